package composer

import "strings"

// ParseConstraint reads a Composer constraint: exact versions, comparisons, ranges with ~, ^, " - " and wildcards,
// joined by blanks or commas (and) and by | or || (or, which binds weaker). The error is a *ParseError.
//
// The surprising parts are Composer's: < and >= without a stability mean the -dev of that version, so ^1.2 admits
// 1.2.0-alpha; > and <= do not; a stability flag (@beta) changes a comparison only if its version names no stability.
func ParseConstraint(text string) (Constraint, error) {
	p := constraintParser{text: text}
	c := Constraint{text: text}
	if len(text) > MaxConstraintLength {
		return Constraint{}, p.fail(MaxConstraintLength, "at most 2048 bytes")
	}
	if i := controlCharacter(text); i >= 0 {
		return Constraint{}, p.fail(i, "no control characters")
	}
	terms := 0
	for _, side := range splitAlternatives(text) {
		alternative, err := p.alternative(side)
		if err != nil {
			return Constraint{}, err
		}
		if terms += len(alternative); terms > MaxConstraintTerms {
			return Constraint{}, p.fail(side.begin, "at most 256 comparisons")
		}
		c.alternatives = append(c.alternatives, alternative)
	}
	return c, nil
}

// constraintParser carries the whole text, for errors.
type constraintParser struct{ text string }

func (p *constraintParser) fail(offset int, expected string) error {
	return &ParseError{What: "constraint", Input: p.text, Offset: offset, Expected: expected}
}

// alternative parses one side of ||.
func (p *constraintParser) alternative(side span) ([]term, error) {
	s := p.text[side.begin:side.end]
	for i := range len(s) {
		if isSpace(s[i]) && s[i] != ' ' && s[i] != '\t' {
			return nil, p.fail(side.begin+i, "no line break")
		}
	}
	var terms []term
	for _, part := range splitConjunction(p.text, side) {
		more, err := p.part(part)
		if err != nil {
			return nil, err
		}
		for i := range more {
			if len(more[i].version.normal) > MaxVersionLength {
				return nil, p.fail(part.begin, "a version of at most 255 bytes")
			}
		}
		terms = append(terms, more...)
	}
	return terms, nil
}

// part parses what stands between two separators: one comparison, or one range, which is two.
func (p *constraintParser) part(at span) ([]term, error) {
	s := p.text[at.begin:at.end]
	if source, ok := stripAlias(s); ok {
		s = source
	}
	flag := ""
	if rest, f, ok := stabilityFlag(s); ok && !strings.ContainsFunc(rest, isCommaOrSpace) {
		s = rest
		if s == "" {
			s = "*"
		}
		if f != "stable" {
			flag = f
		}
	}
	s = stripReference(s)

	if lone, ok := isAnything(s); ok {
		if lone {
			return []term{{op: opAny}}, nil
		}
		// v*, *.* and their like mean "any number", which leaves named branches out.
		return []term{{opGreaterEqual, FromNormalized("0.0.0.0-dev")}}, nil
	}
	if strings.HasPrefix(s, "~") {
		if terms, ok := tildeRange(s); ok {
			return terms, nil
		}
		if strings.HasPrefix(s, "~>") {
			return nil, p.fail(at.begin, "~ instead of ~>, which Composer does not know")
		}
		return nil, p.failRange(at, s)
	}
	if strings.HasPrefix(s, "^") {
		if terms, ok := caretRange(s); ok {
			return terms, nil
		}
		return nil, p.failRange(at, s)
	}
	if terms, ok := wildcardRange(s); ok {
		return terms, nil
	}
	if terms, isRange, offset, expected := hyphenRange(s); isRange {
		if expected != "" {
			return nil, p.fail(at.begin+offset, expected)
		}
		return terms, nil
	}
	return p.comparison(at, s, flag)
}

// failRange explains why what follows ~ or ^ is no version.
func (p *constraintParser) failRange(at span, s string) error {
	_, offset, expected := normalize(s[1:])
	if expected == "" {
		offset, expected = 0, "a version with one to four numbers"
	} else if i := strings.IndexAny(s, "*xX"); i > 0 {
		offset, expected = i-1, "a number: a wildcard does not go with ~ or ^"
	}
	return p.fail(at.begin+1+offset, expected)
}

// comparison parses an operator, which may be absent, and a version.
func (p *constraintParser) comparison(at span, s, flag string) ([]term, error) {
	op, n := scanOperator(s)
	begin := n
	for begin < len(s) && isSpace(s[begin]) {
		begin++
	}
	version := s[begin:]
	normal, offset, expected := normalize(version)
	if expected != "" {
		// "foobar-dev" is accepted for what should be "dev-foobar".
		if !strings.HasSuffix(version, "-dev") || !isBranchText(version) {
			if version == "" && len(s) < at.end-at.begin {
				begin = 0 // an alias or a flag was taken away: point at the whole part
			}
			return nil, p.fail(at.begin+begin+offset, expectedVersion(version, expected))
		}
		normal, _, _ = normalize("dev-" + strings.TrimSuffix(version, "-dev"))
	}
	switch {
	case op != opEqual && flag != "" && StabilityOf(normal) == Stable:
		normal += "-" + flag
	case op == opLess || op == opGreaterEqual:
		if !endsWithSuffix(version) && !strings.HasPrefix(version, "dev-") {
			normal += "-dev"
		}
	}
	return []term{{op, FromNormalized(normal)}}, nil
}

// expectedVersion improves the explanation for mistakes that are usual in constraints.
func expectedVersion(version, expected string) string {
	switch {
	case version == "":
		return "a version"
	case strings.Contains(version, "*"):
		return "a wildcard only as a whole number at the end, as in 5.*"
	}
	return expected
}

// scanOperator returns the operator at the start of s and its length; no operator is ==.
func scanOperator(s string) (operator, int) {
	for _, o := range [...]struct {
		text string
		op   operator
	}{{"<>", opNotEqual}, {"!=", opNotEqual}, {">=", opGreaterEqual}, {">", opGreater}, {"<=", opLessEqual},
		{"<", opLess}, {"==", opEqual}, {"=", opEqual}} {
		if strings.HasPrefix(s, o.text) {
			return o.op, len(o.text)
		}
	}
	return opEqual, 0
}

// endsWithSuffix reports whether a version ends with a hyphen and a suffix, so that it names its stability itself. As
// in the reference, -RC does not count: >=1.0-RC1 means >= 1.0.0.0-RC1-dev.
func endsWithSuffix(version string) bool {
	for i := range len(version) {
		if version[i] != '-' {
			continue
		}
		if x, n := scanSuffix(version[i+1:]); i+1+n == len(version) && !equalFold(x.stability, "rc") {
			return true
		}
	}
	return false
}

// isBranchText reports whether s holds only what may be in the misspelt name of a branch.
func isBranchText(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && !isLetter(c) && c != '-' && c != '.' && c != '/' {
			return false
		}
	}
	return s != ""
}

func isCommaOrSpace(r rune) bool { return r == ',' || r < 0x80 && isSpace(byte(r)) }

// stripReference drops #commit from dev-name#commit and 1.x-dev#commit; only Composer's installer uses it.
func stripReference(s string) string {
	isDevName := hasPrefixFold(s, "dev-")
	for i := 1; i < len(s)-1; i++ {
		if c := s[i-1]; c == ',' || c == '@' || isSpace(c) {
			return s
		}
		if s[i] == '#' && (isDevName && i > len("dev-") || i > len(".x-dev") && hasSuffixFold(s[:i], ".x-dev")) {
			return s[:i]
		}
	}
	return s
}

// isAnything recognizes *, x, v*, *.* and so on; lone is set for a single wildcard without v.
func isAnything(s string) (lone, ok bool) {
	i := 0
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		i = 1
	}
	if i == len(s) || !isWildcard(s[i]) {
		return false, false
	}
	lone = i == 0 && len(s) == 1
	for i++; i < len(s); i += 2 {
		if s[i] != '.' || i+1 == len(s) || !isWildcard(s[i+1]) {
			return false, false
		}
	}
	return lone, true
}
