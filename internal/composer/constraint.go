package composer

import "strings"

// Constraint is a parsed version constraint such as "^1.2 || 5.*". Make one with ParseConstraint; the zero value
// matches nothing. A Constraint is immutable and safe for concurrent use.
type Constraint struct {
	text string
	// alternatives holds the sides of || ; all terms of one side must hold.
	alternatives [][]term
}

// operator is how a term compares.
type operator uint8

const (
	opAny operator = iota // matches everything, named branches too
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
)

var operatorText = [...]string{opAny: "*", opEqual: "==", opNotEqual: "!=", opLess: "<", opLessEqual: "<=",
	opGreater: ">", opGreaterEqual: ">="}

// term is one comparison with a version.
type term struct {
	op      operator
	version Version
}

// Matches reports whether the version satisfies the constraint, with the semantics of composer/semver: a named branch
// (dev-main) satisfies only the constraint that names it, a != and *. It does not allocate.
func (c Constraint) Matches(v Version) bool {
	for _, terms := range c.alternatives {
		if matchesAll(terms, v) {
			return true
		}
	}
	return false
}

func matchesAll(terms []term, v Version) bool {
	for i := range terms {
		if !terms[i].matches(v) {
			return false
		}
	}
	return true
}

func (t *term) matches(v Version) bool {
	if t.op == opAny {
		return true
	}
	if v.branch || t.version.branch {
		switch t.op {
		case opEqual:
			return v.normal == t.version.normal
		case opNotEqual:
			return v.normal != t.version.normal
		}
		return false // branches have no order
	}
	order := compareKeys(v.key, t.version.key)
	switch t.op {
	case opEqual:
		return order == 0
	case opNotEqual:
		return order != 0
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	case opGreater:
		return order > 0
	default:
		return order >= 0
	}
}

// Text returns the constraint as it was written.
func (c Constraint) Text() string { return c.text }

// String returns the comparisons the constraint stands for in composer/semver's notation: "[>= 1.2.0.0-dev <
// 2.0.0.0-dev]" for ^1.2, with || between alternatives.
func (c Constraint) String() string {
	var b strings.Builder
	if len(c.alternatives) > 1 {
		b.WriteByte('[')
	}
	for i, terms := range c.alternatives {
		if i > 0 {
			b.WriteString(" || ")
		}
		if len(terms) > 1 {
			b.WriteByte('[')
		}
		for j := range terms {
			if j > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(operatorText[terms[j].op])
			if terms[j].op != opAny {
				b.WriteByte(' ')
				b.WriteString(terms[j].version.normal)
			}
		}
		if len(terms) > 1 {
			b.WriteByte(']')
		}
	}
	if len(c.alternatives) > 1 {
		b.WriteByte(']')
	}
	return b.String()
}
