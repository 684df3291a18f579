package rsql

import "iter"

// Comparisons gives all comparisons of a filter, from left to right; none of nil.
func Comparisons(n Node) iter.Seq[*Comparison] {
	return func(yield func(*Comparison) bool) { visit(n, true, yield) }
}

// Required gives the comparisons that whatever a filter selects must meet: all but those in alternatives.
func Required(n Node) iter.Seq[*Comparison] {
	return func(yield func(*Comparison) bool) { visit(n, false, yield) }
}

// visit yields comparisons until it is told to stop, and says whether it was not.
func visit(n Node, alternatives bool, yield func(*Comparison) bool) bool {
	var parts []Node
	switch n := n.(type) {
	case And:
		parts = n
	case Or:
		if alternatives {
			parts = n
		}
	case *Comparison:
		return yield(n)
	}
	for _, part := range parts {
		if !visit(part, alternatives, yield) {
			return false
		}
	}
	return true
}
