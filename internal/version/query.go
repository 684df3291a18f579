package version

import (
	"errors"
	"strings"
)

// ErrEmptyQuery is returned for a query without any text.
var ErrEmptyQuery = errors.New("Empty version query") //nolint:staticcheck // the text is part of the protocol

// Kind says what a query asks for.
type Kind int

const (
	Latest Kind = iota // the highest version of all
	Prefix             // the highest version below a prefix
	Exact              // one version, literally
	Tag                // the version that a tag points at
)

// Query names one version of a release: "latest", "@", "v@", "v0.1.@", "0.1.@", "v1.0", "1.0", or a tag.
type Query struct {
	Kind Kind
	// Value is the prefix with its last dot, the version, or the tag. It is empty for Latest.
	Value string
}

// ParseQuery reads a query. Everything that does not read as a version, a pattern or "latest" is a tag, so the only
// possible error is ErrEmptyQuery.
func ParseQuery(s string) (Query, error) {
	bare := strings.TrimPrefix(s, "v")
	switch {
	case s == "":
		return Query{}, ErrEmptyQuery
	case s == "latest" || bare == "@":
		return Query{Kind: Latest}, nil
	case Valid(bare):
		return Query{Kind: Exact, Value: bare}, nil
	case Unresolved(bare) && bare != "latest":
		return Query{Kind: Prefix, Value: strings.TrimSuffix(bare, "@")}, nil
	}
	return Query{Kind: Tag, Value: s}, nil
}

// Select returns the version of the list that the query asks for. An exact query matches literally: "1" does not find
// "1.0". A tag never matches here, since tags are kept elsewhere and play no part in the order of versions.
func (q Query) Select(versions []string) (string, bool) {
	switch q.Kind {
	case Latest:
		return Max(versions)
	case Exact:
		for _, v := range versions {
			if v == q.Value {
				return v, true
			}
		}
	case Prefix:
		under := make([]string, 0, len(versions))
		for _, v := range versions {
			if strings.HasPrefix(v, q.Value) {
				under = append(under, v)
			}
		}
		return Max(under)
	}
	return "", false
}

// String prints the query in its shortest form without a leading "v".
func (q Query) String() string {
	switch q.Kind {
	case Latest:
		return "latest"
	case Prefix:
		return q.Value + "@"
	}
	return q.Value
}
