package composer

import "strings"

// Character classes. The reference works on bytes, and so do these.

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isSpace is PCRE's \s.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// isWildcard is the placeholder for a number: x, X or *.
func isWildcard(c byte) bool { return c == 'x' || c == 'X' || c == '*' }

// trimSpace removes what PHP's trim removes.
func trimSpace(s string) string { return strings.Trim(s, " \t\n\r\v\x00") }

// hasPrefixFold is strings.HasPrefix without regard to ASCII case; prefix must be lower case.
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// hasSuffixFold is strings.HasSuffix without regard to ASCII case; suffix must be lower case.
func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && hasPrefixFold(s[len(s)-len(suffix):], suffix)
}

// digitsAt returns how many digits s has from i on.
func digitsAt(s string, i int) int {
	n := 0
	for i+n < len(s) && isDigit(s[i+n]) {
		n++
	}
	return n
}

// spacesAt returns how many blanks s has from i on.
func spacesAt(s string, i int) int {
	n := 0
	for i+n < len(s) && s[i+n] == ' ' {
		n++
	}
	return n
}

// controlCharacter returns where the first control character of s other than white space stands, and -1 if there is
// none.
func controlCharacter(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' && !isSpace(c) || c == 0x7f {
			return i
		}
	}
	return -1
}
