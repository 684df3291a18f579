package rsql

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Sort is the order of a list, the most significant key first.
type Sort []SortKey

// SortKey is one field of an order.
type SortKey struct {
	Field      string
	Descending bool
}

// ParseSort reads a sort parameter, already decoded: fields separated by commas, "-" before those in descending order, as
// in "-created_at,name". An empty text is an empty order. A field that is not among the allowed ones or is there twice is
// an [*Error] with CodeInvalidSort.
func ParseSort(text string, allowed ...string) (Sort, error) {
	if text == "" {
		return nil, nil
	}
	var order Sort
	position := 0
	for item := range strings.SplitSeq(text, ",") {
		field, descending := strings.CutPrefix(item, "-")
		if !slices.Contains(allowed, field) {
			return nil, &Error{Code: CodeInvalidSort, Position: position, Expected: allowed,
				Detail: "cannot sort by " + excerpt(field)}
		}
		if slices.ContainsFunc(order, func(key SortKey) bool { return key.Field == field }) {
			return nil, &Error{Code: CodeInvalidSort, Position: position, Expected: []string{"each field once"},
				Detail: "field " + field + " is there twice"}
		}
		order = append(order, SortKey{Field: field, Descending: descending})
		position += utf8.RuneCountInString(item) + 1
	}
	return order, nil
}

// String writes the order as ParseSort reads it.
func (s Sort) String() string {
	items := make([]string, len(s))
	for i, key := range s {
		items[i] = key.Field
		if key.Descending {
			items[i] = "-" + key.Field
		}
	}
	return strings.Join(items, ",")
}
