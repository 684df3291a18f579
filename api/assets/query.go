package assets

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slipway/assets"
	"slipway/internal/rsql"
)

// parameters are the query parameters of a request, each at most once.
type parameters map[string]string

// readQuery reads a raw query. Only "&" separates pairs: Go's own parser drops a pair with a ";" in it, so that a filter
// with "and" written as ";" would be no filter at all. Whatever cannot be read, is there twice or is not among the
// allowed ones is refused: to ignore it would give what was not asked for.
func readQuery(raw string, allowed []string) (parameters, error) {
	p := parameters{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		nameText, valueText, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(nameText)
		if err != nil || !utf8.ValidString(name) {
			return nil, assets.BadParameter("?", string(rsql.CodeInvalidQuery), "the name of a parameter holds a percent sign that starts no escape, or is not UTF-8")
		}
		if !slices.Contains(allowed, name) {
			return nil, assets.BadParameter(shown(name), assets.CodeUnknownParameter, "unknown parameter, expected "+strings.Join(allowed, ", "))
		}
		bad := func(position int, detail, expected string) error {
			return assets.BadText(name, &rsql.Error{Code: rsql.CodeInvalidQuery, Position: position, Detail: detail, Expected: []string{expected}})
		}
		if _, twice := p[name]; twice {
			return nil, bad(0, "the parameter is there more than once", "it once")
		}
		value, err := url.QueryUnescape(valueText)
		if err != nil {
			return nil, bad(badEscape(valueText), "a percent sign starts no escape", "two hexadecimal digits behind it, or %25 for a percent sign")
		}
		if !utf8.ValidString(value) {
			return nil, bad(utf8.RuneCountInString(value[:validPrefix(value)]), "the value is not UTF-8", "text in UTF-8")
		}
		p[name] = value
	}
	return p, nil
}

// badEscape counts the characters of a decoded value before the first percent sign that starts no escape.
func badEscape(text string) int {
	hex := func(at int) bool { return at < len(text) && strings.IndexByte("0123456789abcdefABCDEF", text[at]) >= 0 }
	for at := 0; ; at++ {
		next := strings.IndexByte(text[at:], '%')
		if next < 0 {
			return 0 // not reached: there is one
		}
		if at += next; !hex(at+1) || !hex(at+2) {
			before, _ := url.QueryUnescape(text[:at])
			return utf8.RuneCountInString(before)
		}
	}
}

// validPrefix is how many bytes of a text are UTF-8, from its start.
func validPrefix(text string) int {
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return i
		}
	}
	return len(text)
}

// shown shortens a name that the client made up.
func shown(name string) string {
	if r := []rune(name); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return name
}

// parameterNames lists the query parameters of a request type, embedded structs included.
func parameterNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, parameterNames(f.Type)...)
		} else if name, ok := f.Tag.Lookup("query"); ok {
			names = append(names, name)
		}
	}
	return names
}

// text gives a parameter, or nil where it is absent.
func (p parameters) text(name string) *string {
	v, ok := p[name]
	if !ok {
		return nil
	}
	return &v
}

// limit reads limit: 10 to 100; absent gives absentLimit.
func (p parameters) limit(absentLimit int) (int, error) {
	v, ok := p["limit"]
	if !ok {
		return absentLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 10 || n > 100 {
		return 0, assets.BadParameter("limit", assets.CodeInvalidParameter, "expected a whole number from 10 to 100")
	}
	return n, nil
}

// paging reads what every list has. A cursor that is there but empty is a bad one, not none.
func (p parameters) paging(absentLimit int) (assets.Paging, error) {
	n, err := p.limit(absentLimit)
	if err != nil {
		return assets.Paging{}, err
	}
	for _, name := range []string{"starting_after", "ending_before"} {
		if v, ok := p[name]; ok && v == "" {
			return assets.Paging{}, assets.BadParameter(name, string(rsql.CodeInvalidCursor), "expected a cursor from a link of this list")
		}
	}
	return assets.Paging{Limit: n, StartingAfter: p["starting_after"], EndingBefore: p["ending_before"]}, nil
}

// count reads meta_count.
func (p parameters) count() (string, error) {
	v, ok := p["meta_count"]
	if ok && v != assets.CountWith && v != assets.CountOnly {
		return "", assets.BadParameter("meta_count", assets.CodeInvalidParameter, "expected with or only")
	}
	return v, nil
}

// groupMetaFields are what meta_fields can name.
var groupMetaFields = []string{"count", "labels", "tags", "issues", "risk_score", "built_at", "last_seen_at", "updated_at"}

// aggregates are the parameters that say of which asset of a group a member of its meta is.
var aggregates = map[string][]string{"aggregate[built_at]": {"max", "min", "first", "last"}, "aggregate[issues]": {"first", "last", "sum"}}

// metaFields reads meta_fields, and checks the parameters beside it.
func (p parameters) metaFields() (map[string]bool, error) {
	for name, allowed := range aggregates {
		if v, ok := p[name]; ok && !slices.Contains(allowed, v) {
			return nil, assets.BadParameter(name, assets.CodeInvalidParameter, "expected one of "+strings.Join(allowed, ", "))
		}
	}
	v, ok := p["meta_fields"]
	if !ok {
		return nil, nil
	}
	fields := map[string]bool{}
	for name := range strings.SplitSeq(v, ",") {
		switch {
		case name == "all":
			for _, f := range groupMetaFields {
				fields[f] = true
			}
		case slices.Contains(groupMetaFields, name):
			fields[name] = true
		default:
			return nil, assets.BadParameter("meta_fields", assets.CodeInvalidParameter, "expected all, or a list of "+strings.Join(groupMetaFields, ", "))
		}
	}
	return fields, nil
}

// images says whether asset_types, where it is given, names container images: it is the only type there is.
func (p parameters) images() (bool, error) {
	v, ok := p["asset_types"]
	if !ok {
		return true, nil
	}
	types := strings.Split(v, ",")
	for _, t := range types {
		if t == "" || strings.ContainsFunc(t, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r == '_' || r == '-') }) {
			return false, assets.BadParameter("asset_types", assets.CodeInvalidParameter, "expected a comma-separated list of asset types, such as container_images")
		}
	}
	return slices.Contains(types, "container_images"), nil
}

// links makes the addresses around a page from the request's own: paths, with all its parameters. The address of the page
// itself is the request's as it came, but for characters that no address may have: servers take them, clients that parse the
// address may not.
func links(r *http.Request, p parameters, next, prev string) pageLinks {
	with := func(name, cursor string) string {
		q := url.Values{}
		for k, v := range p {
			if k != "starting_after" && k != "ending_before" {
				q.Set(k, v)
			}
		}
		if name != "" {
			q.Set(name, cursor)
		}
		if len(q) == 0 {
			return r.URL.EscapedPath()
		}
		return r.URL.EscapedPath() + "?" + q.Encode()
	}
	l := pageLinks{Self: r.URL.EscapedPath(), First: with("", "")}
	if r.URL.RawQuery != "" {
		l.Self += "?" + escapeQuery(r.URL.RawQuery)
	}
	if next != "" {
		l.Next = with("starting_after", next)
	}
	if prev != "" {
		l.Prev = with("ending_before", prev)
	}
	return l
}

// escapeQuery writes what may not stand in a query (RFC 3986, section 3.4) as an escape, and leaves the rest as it is.
func escapeQuery(raw string) string {
	var b strings.Builder
	for i := range len(raw) {
		switch c := raw[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@/?%", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
