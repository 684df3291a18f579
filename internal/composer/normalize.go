package composer

import "strings"

// branchNumber stands for "any number" in the normal form of a numeric branch: 1.x-dev is 1.9999999.9999999.9999999-dev.
const branchNumber = "9999999"

// Normalize brings a version into the form in which versions are compared: 1.2-b1 becomes 1.2.0.0-beta1, 1.x-dev
// becomes 1.9999999.9999999.9999999-dev, dev-main stays. An alias (1.0 as 2.0), a stability flag (@dev) and build
// metadata (+build) are dropped. The error is a *ParseError.
func Normalize(version string) (string, error) {
	if len(version) > MaxVersionLength {
		return "", &ParseError{What: "version", Input: version, Offset: MaxVersionLength,
			Expected: "at most 255 bytes"}
	}
	trimmed := trimSpace(version)
	for i := range len(trimmed) {
		if c := trimmed[i]; c < ' ' || c == 0x7f {
			return "", &ParseError{What: "version", Input: version, Offset: strings.Index(version, trimmed) + i,
				Expected: "no control characters"}
		}
	}
	normal, at, expected := normalize(trimmed)
	if expected != "" {
		return "", &ParseError{What: "version", Input: version, Offset: strings.Index(version, trimmed) + at,
			Expected: expected}
	}
	if len(normal) > MaxVersionLength {
		return "", &ParseError{What: "version", Input: version, Offset: len(version),
			Expected: "a version of at most 255 bytes after normalization"}
	}
	return normal, nil
}

// normalize does the work of Normalize on trimmed text. On failure expected says what was missing at offset at of s.
func normalize(s string) (normal string, at int, expected string) {
	s = trimSpace(s)
	if source, ok := stripAlias(s); ok {
		s = source
	}
	s, _, _ = stabilityFlag(s)
	if s == "master" || s == "trunk" || s == "default" {
		return "dev-" + s, 0, ""
	}
	if hasPrefixFold(s, "dev-") {
		return "dev-" + s[len("dev-"):], 0, ""
	}
	full := s
	s = stripBuild(s)

	numbers, end := classicNumbers(s)
	if end > 0 {
		if x, n := scanSuffix(s[end:]); end+n == len(s) {
			return appendSuffix(numbers, x), 0, ""
		}
	}
	if digits, dateEnd := dateNumbers(s); dateEnd > 0 {
		if x, n := scanSuffix(s[dateEnd:]); dateEnd+n == len(s) {
			return appendSuffix(digits, x), 0, ""
		}
	}
	// A numeric branch: what stands before a trailing dev. One that is not numeric would need the prefix dev-.
	if hasSuffixFold(s, "dev") {
		name := s[:len(s)-len("dev")]
		if strings.HasSuffix(name, ".") || strings.HasSuffix(name, "-") {
			name = name[:len(name)-1]
		}
		if normal, ok := numericBranch(trimSpace(name)); ok {
			return normal, 0, ""
		}
	}
	at, expected = explainVersion(full, s)
	return "", at, expected
}

// explainVersion says what is wrong with a version that matched none of the forms: full with, s without its build
// metadata.
func explainVersion(full, s string) (at int, expected string) {
	if s == "" {
		return 0, "a version such as 1.2.3 or dev-main"
	}
	i := 0
	if s[0] == 'v' || s[0] == 'V' {
		i = 1
	}
	n := digitsAt(s, i)
	if n == 0 {
		return i, "a digit, or the prefix dev- of a branch"
	}
	if n > 5 {
		return i, "a number of at most five digits or a date such as 20240131"
	}
	parts := 1
	for i += n; parts < 4 && i < len(s) && s[i] == '.' && digitsAt(s, i+1) > 0; parts++ {
		i += 1 + digitsAt(s, i+1)
	}
	_, n = scanSuffix(s[i:])
	i += n
	switch {
	case parts == 4 && n <= 1 && i < len(s) && isDigit(s[i]):
		return i, "at most four numbers"
	case i < len(full) && full[i] == '+':
		return i, "build metadata of the form +word at the end"
	}
	return i, "a suffix such as -beta2, -RC1, -p1 or -dev, or the end"
}

// stripAlias recognizes "source as alias" and returns the source.
func stripAlias(s string) (string, bool) {
	i := 0
	for i < len(s) && s[i] != ',' && !isSpace(s[i]) {
		i++
	}
	source := s[:i]
	n := spacesAt(s, i)
	if source == "" || n == 0 {
		return "", false
	}
	i += n
	if !strings.HasPrefix(s[i:], "as") {
		return "", false
	}
	i += len("as")
	n = spacesAt(s, i)
	alias := s[i+n:]
	if n == 0 || alias == "" {
		return "", false
	}
	for j := range len(alias) {
		if alias[j] == ',' || isSpace(alias[j]) {
			return "", false
		}
	}
	return source, true
}

// stripBuild drops +build. Anything with a blank or a comma in it is left alone, to be refused later.
func stripBuild(s string) string {
	plus := strings.IndexByte(s, '+')
	if plus <= 0 || plus == len(s)-1 {
		return s
	}
	for i := range len(s) {
		if isSpace(s[i]) || i < plus && s[i] == ',' {
			return s
		}
	}
	return s[:plus]
}

// classicNumbers reads one to four numbers, the first of at most five digits, and fills them up to four. end is where
// they end in s, 0 if s does not begin with such a number.
func classicNumbers(s string) (numbers string, end int) {
	begin := 0
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		begin = 1
	}
	n := digitsAt(s, begin)
	if n == 0 || n > 5 {
		return "", 0
	}
	end = begin + n
	parts := 1
	for parts < 4 && end < len(s) && s[end] == '.' {
		n = digitsAt(s, end+1)
		if n == 0 {
			break
		}
		end += 1 + n
		parts++
	}
	return s[begin:end] + ".0.0.0"[:2*(4-parts)], end
}

// dateNumbers reads a date version: 2010-01-02, 20100102.203040, 2010.01.02.10.20.30.0.3. All separators become dots.
// end is where it ends in s, 0 if s does not begin with one.
func dateNumbers(s string) (numbers string, end int) {
	begin := 0
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		begin = 1
	}
	if digitsAt(s, begin) < 4 {
		return "", 0
	}
	// A suffix cannot begin with a digit, so the numbers reach as far as digits and single separators go.
	end = begin + digitsAt(s, begin)
	for end < len(s) {
		j := end
		if s[j] == '.' || s[j] == ':' || s[j] == '-' {
			j++
		}
		n := digitsAt(s, j)
		if n == 0 {
			break
		}
		end = j + n
	}
	if !datePairs(s[begin+4:end], 0) {
		return "", 0
	}
	return dateSeparators.Replace(s[begin:end]), end
}

var dateSeparators = strings.NewReplacer(":", ".", "-", ".")

// datePairs reports whether what follows the year is one to six groups of two digits and then at most two of one to
// three digits, each with an optional separator before it. The grammar is ambiguous, so this tries; the lengths bound
// the work.
func datePairs(s string, pairs int) bool {
	if pairs > 0 && dateTail(s, 2) {
		return true
	}
	if pairs == 6 {
		return false
	}
	i := 0
	if s != "" && !isDigit(s[0]) {
		i = 1
	}
	return digitsAt(s, i) >= 2 && datePairs(s[i+2:], pairs+1)
}

// dateTail reports whether s is at most groups groups of one to three digits.
func dateTail(s string, groups int) bool {
	if s == "" {
		return true
	}
	if groups == 0 {
		return false
	}
	i := 0
	if !isDigit(s[0]) {
		i = 1
	}
	for n := min(digitsAt(s, i), 3); n > 0; n-- {
		if dateTail(s[i+n:], groups-1) {
			return true
		}
	}
	return false
}

// appendSuffix joins normalized numbers and a suffix.
func appendSuffix(numbers string, x suffix) string {
	if x.stability == "stable" {
		// Only the lower-case word is dropped; the reference keeps "-stable" for any other spelling.
		return numbers
	}
	if x.stability != "" {
		numbers += "-" + expandStability(x.stability) + strings.TrimLeft(x.number, ".-")
	}
	if x.dev {
		numbers += "-dev"
	}
	return numbers
}

// NormalizeBranch brings the name of a branch of a repository into the form in which versions are compared: 2.0 and
// v2.0.x become 2.0.9999999.9999999-dev, any other name gets the prefix dev-. The error is a *ParseError; it comes only
// from names that are empty, too long or hold control characters.
func NormalizeBranch(name string) (string, error) {
	trimmed := trimSpace(name)
	if trimmed == "" || len(name) > MaxVersionLength-len("dev-") {
		return "", &ParseError{What: "branch", Input: name, Offset: 0, Expected: "a name of 1 to 251 bytes"}
	}
	for i := range len(trimmed) {
		if c := trimmed[i]; c < ' ' || c == 0x7f {
			return "", &ParseError{What: "branch", Input: name, Offset: strings.Index(name, trimmed) + i,
				Expected: "no control characters"}
		}
	}
	if normal, ok := numericBranch(trimmed); ok && len(normal) <= MaxVersionLength {
		return normal, nil
	}
	return "dev-" + trimmed, nil
}

// numericBranch normalizes 1, v1.2, 1.x, 1.2.* and their like; ok is false for every other name.
func numericBranch(name string) (normal string, ok bool) {
	i := 0
	if name != "" && (name[0] == 'v' || name[0] == 'V') {
		i = 1
	}
	n := digitsAt(name, i)
	if n == 0 {
		return "", false
	}
	var b strings.Builder
	b.WriteString(name[i : i+n])
	i += n
	for range 3 {
		b.WriteByte('.')
		if i == len(name) {
			b.WriteString(branchNumber)
			continue
		}
		if name[i] != '.' || i+1 == len(name) {
			return "", false
		}
		i++
		if isWildcard(name[i]) {
			b.WriteString(branchNumber)
			i++
			continue
		}
		n = digitsAt(name, i)
		if n == 0 {
			return "", false
		}
		b.WriteString(name[i : i+n])
		i += n
	}
	if i != len(name) {
		return "", false
	}
	b.WriteString("-dev")
	return b.String(), true
}
