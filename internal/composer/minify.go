package composer

import "bytes"

// The minified form of a list of versions, "composer/2.0": the first version stands whole, each later one only with
// what differs from the one before it; a member that is gone has the value "__unset".

// minifiedFormat is the value of "minified" that announces the form.
const minifiedFormat = "composer/2.0"

// deletionMark is the value of a member that the version before had and this one has not.
const deletionMark = `"__unset"`

// Minify returns the minified form of a list of versions. ok is false, and nothing is returned, if the list cannot be
// minified: a value that is itself "__unset" would be lost when a client expands it. Members that are null count as
// absent, as in PHP.
func Minify(versions []Metadata) (minified []Metadata, ok bool) {
	minified = make([]Metadata, 0, len(versions))
	var last []member
	for i, version := range versions {
		current := withoutNull(version.members)
		if i == 0 {
			minified = append(minified, Metadata{current})
		} else {
			minified = append(minified, Metadata{difference(last, current)})
		}
		for _, x := range current {
			if string(x.value) == deletionMark {
				return nil, false
			}
		}
		last = current
	}
	return minified, true
}

// difference returns what leads from last to current, both sorted by key.
func difference(last, current []member) []member {
	var changes []member
	for len(last) > 0 || len(current) > 0 {
		switch {
		case len(last) == 0 || len(current) > 0 && current[0].key < last[0].key:
			changes = append(changes, current[0])
			current = current[1:]
		case len(current) == 0 || last[0].key < current[0].key:
			changes = append(changes, member{last[0].key, []byte(deletionMark)})
			last = last[1:]
		default:
			if !bytes.Equal(last[0].value, current[0].value) {
				changes = append(changes, current[0])
			}
			last, current = last[1:], current[1:]
		}
	}
	return changes
}

// Expand undoes Minify.
func Expand(minified []Metadata) []Metadata {
	versions := make([]Metadata, 0, len(minified))
	var last []member
	for i, changes := range minified {
		if i == 0 {
			last = changes.members
		} else {
			last = applied(last, changes.members)
		}
		versions = append(versions, Metadata{last})
	}
	return versions
}

// applied returns last with the changes made, both sorted by key.
func applied(last, changes []member) []member {
	result := make([]member, 0, len(last)+len(changes))
	for len(last) > 0 || len(changes) > 0 {
		if len(changes) == 0 || len(last) > 0 && last[0].key < changes[0].key {
			result = append(result, last[0])
			last = last[1:]
			continue
		}
		if string(changes[0].value) != deletionMark {
			result = append(result, changes[0])
		}
		if len(last) > 0 && last[0].key == changes[0].key {
			last = last[1:]
		}
		changes = changes[1:]
	}
	return result
}

// withoutNull leaves out members that are null; it copies only if there are any.
func withoutNull(members []member) []member {
	for i, x := range members {
		if string(x.value) != "null" {
			continue
		}
		kept := append([]member(nil), members[:i]...)
		for _, y := range members[i+1:] {
			if string(y.value) != "null" {
				kept = append(kept, y)
			}
		}
		return kept
	}
	return members
}
