package rsql

import (
	"fmt"
	"net/url"
	"strings"
)

// ReadFilter takes the parameter that holds a filter out of a raw URL query (url.URL.RawQuery): its decoded value,
// whether it is there, and the rest of the query with every other pair as it was, for [url.ParseQuery].
//
// The raw query is needed because url.ParseQuery drops a pair with a raw ";" in it, so that "?filter=q==a;class==B" would
// be no filter at all and give everything. Here only "&" separates pairs. A value that cannot be decoded and a parameter
// that is there twice are an [*Error] with CodeInvalidQuery: to ignore either would give rows that were not asked for.
//
// The caller must not discard the error of url.ParseQuery for the rest, for the same reason.
func ReadFilter(rawQuery, parameter string) (filter string, found bool, rest string, err error) {
	var others []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		// A name that cannot be decoded is not this parameter. It stays in the rest, whose parser will complain.
		if decoded, err := url.QueryUnescape(name); err != nil || decoded != parameter {
			if pair != "" {
				others = append(others, pair)
			}
			continue
		}
		if found {
			return "", false, "", &Error{Code: CodeInvalidQuery, Position: NoPosition,
				Detail: fmt.Sprintf("parameter %q is there more than once", parameter)}
		}
		found = true
		if filter, err = url.QueryUnescape(value); err != nil {
			return "", false, "", &Error{Code: CodeInvalidQuery, Position: NoPosition,
				Detail:   fmt.Sprintf("parameter %q holds a percent sign that starts no escape", parameter),
				Expected: []string{"two hexadecimal digits after each %, and %25 for a percent sign"}}
		}
	}
	return filter, found, strings.Join(others, "&"), nil
}
