package models

import (
	"regexp"
	"slices"
	"strings"

	"slipway/internal/rsql"
)

// imageTagText is the SQL of an asset's image tags as one text on PostgreSQL, each in quotes and in lower case: 'latest' 'v1.2'.
// An index holds its trigrams. array_to_string would say it more plainly, but an index takes only what cannot depend on
// settings, and of the ways to make a text of an array that is the one by way of a text search vector.
const imageTagText = `lower(array_to_tsvector(image_tags)::text COLLATE "C")`

// trigram is what a piece of a text must have for the index to find those that hold it: three characters of a word, or
// two beside its end, or a word of one.
var trigram = regexp.MustCompile(`[a-z0-9]{3}|[^a-z0-9][a-z0-9]{2}|[a-z0-9]{2}[^a-z0-9]|[^a-z0-9][a-z0-9][^a-z0-9]`)

// imageTagsLike is a condition, served by the index, that assets with an image tag like a pattern meet. Others may meet it
// too: the pattern may begin in one tag and end in another. found is false where no index serves a pattern that short.
func imageTagsLike(v rsql.Value) (sql string, args []any, found bool) {
	pieces := matchOf(v).pieces
	pieces[0], pieces[len(pieces)-1] = "'"+pieces[0], pieces[len(pieces)-1]+"'"
	if slices.ContainsFunc(pieces, trigram.MatchString) {
		return imageTagText + " LIKE ?", []any{"%'" + rsql.LikePattern(v) + "'%"}, true
	}
	longest := slices.MaxFunc(pieces, func(a, b string) int { return len(a) - len(b) })
	for _, neighbours := range [][]string{neighboursOf("", longest), neighboursOf(longest, "")} {
		if slices.ContainsFunc(neighbours, func(n string) bool { return !trigram.MatchString(n) }) {
			continue
		}
		conditions := make([]string, len(neighbours))
		for i, n := range neighbours {
			conditions[i], args = imageTagText+" LIKE ?", append(args, rsql.ContainsPattern(n))
		}
		return "(" + strings.Join(conditions, " OR ") + ")", args, true
	}
	return "", nil, false
}

// neighboursOf is a text with each character that an image tag, or its quote, may have between before and after.
func neighboursOf(before, after string) []string {
	var list []string
	for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789_.-'" {
		list = append(list, before+string(c)+after)
	}
	return list
}
