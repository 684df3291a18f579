package composer

import "strings"

// partial is a version in a range: one to four numbers, a suffix, and perhaps build metadata.
type partial struct {
	text    string    // all of it
	numbers [4]string // as written; "" where absent
	count   int       // how many numbers are present
	suffix  suffix
	xdev    bool // ends with .x-dev instead of a suffix
}

// namesStability reports whether the version says itself how stable it is.
func (v *partial) namesStability() bool { return v.suffix.stability != "" || v.suffix.dev || v.xdev }

// scanPartial reads s whole; ok is false if s is something else.
func scanPartial(s string) (v partial, ok bool) {
	v.text = s
	i := 0
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		i = 1
	}
	for v.count < 4 {
		begin := i
		if v.count > 0 && begin < len(s) && s[begin] == '.' {
			begin++
		} else if v.count > 0 {
			break
		}
		n := digitsAt(s, begin)
		if n == 0 {
			break
		}
		v.numbers[v.count] = s[begin : begin+n]
		v.count++
		i = begin + n
	}
	if v.count == 0 {
		return v, false
	}
	rest := s[i:]
	x, n := scanSuffix(rest)
	if isBuildOrEnd(rest[n:]) {
		v.suffix = x
		return v, true
	}
	if len(rest) > 2 && rest[0] == '.' && isWildcard(rest[1]) {
		if n := scanDev(rest[2:]); n > 0 && isBuildOrEnd(rest[2+n:]) {
			v.xdev = true
			return v, true
		}
	}
	return v, false
}

// isBuildOrEnd reports whether s is empty or build metadata: a plus and at least one character, none of them white
// space.
func isBuildOrEnd(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != '+' || len(s) == 1 {
		return false
	}
	for i := range len(s) {
		if isSpace(s[i]) {
			return false
		}
	}
	return true
}

// bounds makes the terms of a range from a lower bound, included, and an upper bound, excluded; an upper bound is a
// development version, so that 2.0-alpha is outside of ^1.0.
func bounds(low, high string) []term {
	return []term{{opGreaterEqual, FromNormalized(low)}, {opLess, FromNormalized(high + "-dev")}}
}

// lowerBound normalizes the version of a range. Without a stability it means the -dev of that version. The suffix is
// added to the text before it is normalized: after build metadata it has no effect, as in the reference.
func (v *partial) lowerBound() (string, bool) {
	text := v.text
	if !v.namesStability() {
		text += "-dev"
	}
	low, _, expected := normalize(text)
	return low, expected == ""
}

// tildeRange reads ~1.2.3: from there up to the next 1.3; the last number given may grow, for ~1 the first.
func tildeRange(s string) ([]term, bool) {
	v, ok := scanPartial(s[1:])
	if !ok {
		return nil, false
	}
	low, ok := v.lowerBound()
	if !ok {
		return nil, false
	}
	position := v.count
	if v.xdev {
		position++
	}
	return bounds(low, bumped(v.numbers, max(1, position-1))), true
}

// caretRange reads ^1.2.3: from there up to the next change of the first number that is not 0.
func caretRange(s string) ([]term, bool) {
	v, ok := scanPartial(s[1:])
	if !ok {
		return nil, false
	}
	low, ok := v.lowerBound()
	if !ok {
		return nil, false
	}
	position := 3
	if v.numbers[0] != "0" || v.numbers[1] == "" {
		position = 1
	} else if v.numbers[1] != "0" || v.numbers[2] == "" {
		position = 2
	}
	return bounds(low, bumped(v.numbers, position)), true
}

// wildcardRange reads 5.*, v5.1.x, 5.*.*: up to three numbers and then wildcards only.
func wildcardRange(s string) ([]term, bool) {
	i := 0
	if strings.HasPrefix(s, "v") {
		i = 1
	}
	var numbers [4]string
	count := 0
	for count < 3 {
		n := digitsAt(s, i)
		if n == 0 {
			break
		}
		numbers[count] = s[i : i+n]
		count++
		i += n
		if i == len(s) || s[i] != '.' {
			return nil, false
		}
		i++
	}
	if count == 0 {
		return nil, false
	}
	for {
		if i == len(s) || !isWildcard(s[i]) {
			return nil, false
		}
		if i++; i == len(s) {
			break
		}
		if s[i] != '.' {
			return nil, false
		}
		i++
	}
	low, high := padded(numbers), bumped(numbers, count)
	if low == "0.0.0.0" {
		return []term{{opLess, FromNormalized(high + "-dev")}}, true
	}
	return bounds(low+"-dev", high), true
}

// hyphenRange reads "1.0 - 2.0". isRange tells whether s is one at all; expected is set if it is one
// that is wrong, from offset on.
//
// The upper end is included. With fewer than three numbers and no suffix it means all versions that begin with it:
// 1.0 - 2.0 admits 2.0.9, 1.0.0 - 2.0.0 does not.
func hyphenRange(s string) (terms []term, isRange bool, offset int, expected string) {
	i := strings.IndexByte(s, ' ')
	if i < 0 {
		return nil, false, 0, ""
	}
	hyphen := i + spacesAt(s, i)
	if hyphen == len(s) || s[hyphen] != '-' {
		return nil, false, 0, ""
	}
	upper := hyphen + 1 + spacesAt(s, hyphen+1)
	from, ok := scanPartial(s[:i])
	to, okTo := scanPartial(s[upper:])
	if upper == hyphen+1 || !ok || !okTo {
		return nil, false, 0, ""
	}
	low, offset, expected := normalize(from.text)
	if expected != "" {
		return nil, true, offset, expected + ", in the lower end of the range"
	}
	high, offset, expected := normalize(to.text)
	if expected != "" {
		return nil, true, upper + offset, expected + ", in the upper end of the range"
	}
	if !from.namesStability() {
		low += "-dev"
	}
	if to.count >= 3 || to.namesStability() {
		return []term{{opGreaterEqual, FromNormalized(low)}, {opLessEqual, FromNormalized(high)}}, true, 0, ""
	}
	return bounds(low, bumped(to.numbers, min(to.count, 2))), true, 0, ""
}

// padded joins four numbers, 0 where one is absent.
func padded(numbers [4]string) string {
	for i := range numbers {
		if numbers[i] == "" {
			numbers[i] = "0"
		}
	}
	return strings.Join(numbers[:], ".")
}

// bumped joins four numbers with the one at position (from 1) raised by one and all after it 0.
func bumped(numbers [4]string, position int) string {
	numbers[position-1] = increment(numbers[position-1])
	for i := position; i < len(numbers); i++ {
		numbers[i] = "0"
	}
	return padded(numbers)
}

// increment adds one to a decimal number of any length and drops its leading zeros.
func increment(digits string) string {
	sum := []byte("0" + digits)
	i := len(sum) - 1
	for ; sum[i] == '9'; i-- {
		sum[i] = '0'
	}
	sum[i]++
	return strings.TrimLeft(string(sum), "0")
}
