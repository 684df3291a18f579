// Package version knows the versions of releases: their grammar, their order, and the queries that name one of them.
//
// A version is one or more decimal numbers joined by dots ("1", "0.0.10", "0.0.5.0"). It never carries a leading "v";
// that letter belongs to release ids and to queries.
package version

import "strings"

// MaxLength bounds the text of a version in bytes. Longer ones are not valid: they serve nobody and would only cost
// storage and comparisons.
const MaxLength = 128

// Valid reports whether v is a resolved version: one or more decimal numbers joined by dots.
func Valid(v string) bool {
	if v == "" || len(v) > MaxLength {
		return false
	}
	for part := range strings.SplitSeq(v, ".") {
		if !digits(part) {
			return false
		}
	}
	return true
}

// Unresolved reports whether v is a version that still has to be looked up: "latest", "@" or a pattern such as "1.@".
func Unresolved(v string) bool {
	if v == "latest" || v == "@" {
		return true
	}
	prefix, ok := strings.CutSuffix(v, ".@")
	return ok && Valid(prefix)
}

// Compare orders two valid versions part by part as numbers: -1 if a is lower, 1 if a is higher, 0 if no part differs.
// Where one is the beginning of the other, the longer one is higher: 0 < 0.0 < 0.0.0 < 0.1. Parts have no upper bound.
func Compare(a, b string) int {
	for {
		partA, restA, moreA := strings.Cut(a, ".")
		partB, restB, moreB := strings.Cut(b, ".")
		if c := compareNumbers(partA, partB); c != 0 {
			return c
		}
		switch {
		case moreA && !moreB:
			return 1
		case !moreA && moreB:
			return -1
		case !moreA:
			return 0
		}
		a, b = restA, restB
	}
}

// Max returns the highest of the valid versions in the list, and false if it holds none.
func Max(versions []string) (string, bool) {
	best, found := "", false
	for _, v := range versions {
		if Valid(v) && (!found || Compare(v, best) > 0) {
			best, found = v, true
		}
	}
	return best, found
}

// Previous returns the highest valid version in the list that is strictly below v, and false if there is none.
func Previous(versions []string, v string) (string, bool) {
	best, found := "", false
	for _, candidate := range versions {
		if Valid(candidate) && Compare(candidate, v) < 0 && (!found || Compare(candidate, best) > 0) {
			best, found = candidate, true
		}
	}
	return best, found
}

// Next returns the version that follows the listed ones under a prefix such as "" or "0.1.". The prefix is taken as
// text: of every version that starts with it the rest is looked at, and only the first number of the highest rest
// counts, so that 0.0.5.0 is followed by 0.0.6 and not by 0.0.5.1. Without any match it is the prefix and "0", whatever
// the prefix says.
func Next(versions []string, prefix string) string {
	rests := make([]string, 0, len(versions))
	for _, v := range versions {
		if rest, ok := strings.CutPrefix(v, prefix); ok {
			rests = append(rests, rest) // Max leaves out what is no version once the prefix is gone
		}
	}
	highest, found := Max(rests)
	if !found {
		return prefix + "0"
	}
	first, _, _ := strings.Cut(highest, ".")
	return prefix + increment(first)
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// compareNumbers compares decimal numbers of any length as text, so that no number overflows.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		if len(a) < len(b) {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// increment adds one to a decimal number of any length.
func increment(number string) string {
	sum := []byte(strings.TrimLeft(number, "0"))
	for i := len(sum) - 1; i >= 0; i-- {
		if sum[i] < '9' {
			sum[i]++
			return string(sum)
		}
		sum[i] = '0'
	}
	return "1" + string(sum)
}
