package rsql

import (
	"slices"
	"strings"
)

// Node is a part of a parsed filter: [And], [Or] or [*Comparison].
type Node interface {
	// String gives the part as RSQL in one canonical spelling. Parsing it gives an equal tree.
	String() string
	node()
}

// And holds where all of its two or more parts hold.
type And []Node

// Or holds where one of its two or more parts holds.
type Or []Node

// Comparison compares one field with one value, or with several for =in= and =out=.
type Comparison struct {
	// Field is the selector as written, with the key of an object: "tags.env".
	Field    string
	Operator Operator
	Values   []Value
	// Position and OperatorPosition say where field and operator start, in characters from the start of the filter.
	Position, OperatorPosition int
}

// Value is one value of a comparison.
type Value struct {
	// Text is the value without quotes and escapes.
	Text string
	// Wildcards are the byte offsets in Text of the asterisks that stand for any run of characters. An asterisk that
	// was escaped in quotes is not among them.
	Wildcards []int
	// Position says where the value starts, its quote included, in characters from the start of the filter.
	Position int
}

func (And) node()         {}
func (Or) node()          {}
func (*Comparison) node() {}

func (a And) String() string { return join(a, ";") }
func (o Or) String() string  { return join(o, ",") }

// join puts groups in parentheses also where precedence would not ask for it: the parser does not flatten groups, so
// this is what gives an equal tree.
func join(parts []Node, separator string) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = part.String()
		if _, plain := part.(*Comparison); !plain {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, separator)
}

func (c *Comparison) String() string {
	texts := make([]string, len(c.Values))
	for i, value := range c.Values {
		texts[i] = value.String()
	}
	if c.Operator.takesList() {
		return c.Field + string(c.Operator) + "(" + strings.Join(texts, ",") + ")"
	}
	return c.Field + string(c.Operator) + strings.Join(texts, ",")
}

// String gives the value in single quotes.
func (v Value) String() string {
	var b strings.Builder
	b.WriteByte('\'')
	for i, r := range v.Text {
		if r == '\'' || r == '\\' || (r == '*' && !slices.Contains(v.Wildcards, i)) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}
