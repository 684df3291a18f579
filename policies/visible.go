package policies

import "slices"

// None says that nothing at all is visible, so that a list need not ask the database.
func (v Visible) None() bool { return !v.All && len(v.Scopes) == 0 }

// Covers says whether a thing is visible, given its path: the ids of its project and organizations up to the root. It is
// for things that are already in memory; queries filter in SQL.
func (v Visible) Covers(path []string) bool {
	if v.All {
		return true
	}
	return meet(v.Scopes, path) && (len(v.Within) == 0 || meet(v.Within, path))
}

func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}
