package composer

import "strings"

// span is a part of the constraint's text, from begin up to but without end.
type span struct{ begin, end int }

// splitAlternatives cuts at | and ||, with the white space around them. Three bars leave an empty part, which is
// refused later.
func splitAlternatives(text string) []span {
	whole := span{0, len(text)}
	for whole.begin < whole.end && isTrimmed(text[whole.begin]) {
		whole.begin++
	}
	for whole.end > whole.begin && isTrimmed(text[whole.end-1]) {
		whole.end--
	}
	var sides []span
	begin := whole.begin
	for i := whole.begin; i < whole.end; {
		if text[i] != '|' {
			i++
			continue
		}
		end := i
		for end > begin && isSpace(text[end-1]) {
			end--
		}
		sides = append(sides, span{begin, end})
		i++
		if i < whole.end && text[i] == '|' {
			i++
		}
		for i < whole.end && isSpace(text[i]) {
			i++
		}
		begin = i
	}
	return append(sides, span{begin, whole.end})
}

func isTrimmed(c byte) bool { return isSpace(c) && c != '\f' || c == 0 }

// splitConjunction cuts one alternative at its blanks and commas.
//
// A blank is no separator after an operator (">= 1.0"), beside a hyphen ("1.0 - 2.0"), around "as" ("1.0 as 2.0") and
// at the ends; several blanks are one; a comma may have blanks around it.
func splitConjunction(text string, side span) []span {
	s := text[side.begin:side.end]
	var parts []span
	begin := 0
	for i := 1; i < len(s); {
		end := i
		if s[i] == ' ' || s[i] == ',' {
			end = separatorEnd(s, i)
		}
		if end == i {
			i++
			continue
		}
		parts = append(parts, span{side.begin + begin, side.begin + i})
		begin, i = end, end
	}
	return append(parts, span{side.begin + begin, side.end})
}

// separatorEnd returns where a separator that begins at i ends, or i if none begins there. It tries as a regular
// expression would: as many blanks as possible, then fewer.
func separatorEnd(s string, i int) int {
	if strings.IndexByte("=>< ,", s[i-1]) >= 0 || strings.HasSuffix(s[:i], "as") {
		return i
	}
	for k := spacesAt(s, i); k >= 0; k-- {
		at := i + k // the one blank or comma that separates
		if at >= len(s) || s[at] != ' ' && s[at] != ',' || s[at-1] == '-' || at+1 < len(s) && s[at+1] == '-' {
			continue
		}
		for end := at + 1 + spacesAt(s, at+1); end > at; end-- {
			if end < len(s) && s[end] != ',' && !strings.HasPrefix(s[end:], "as") {
				return end
			}
		}
	}
	return i
}
