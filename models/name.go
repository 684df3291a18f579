package models

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"slipway/internal/problem"
)

// The names that identities may have. Project names are the client's: it checks them again.
var (
	projectPattern      = regexp.MustCompile(`^[a-zA-Z0-9]+[a-zA-Z0-9-_]+$`)
	accountPattern      = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]*$`)
	teamPattern         = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9 ._-]*$`)
	organizationPattern = regexp.MustCompile(`^[a-z0-9]+[a-z0-9\-_]+[a-z0-9]+$`)
)

const maxName = 100

func checkName(what, name string, pattern *regexp.Regexp) error {
	if len(name) > maxName || !pattern.MatchString(name) {
		return problem.BadField("name", "'%s' cannot be the name of %s: expected at most %d characters that match %s", shorten(name, maxName), what, maxName, pattern)
	}
	return nil
}

// CheckProjectName returns an error for people where name cannot be one of a project.
func CheckProjectName(name string) error { return checkName("a project", name, projectPattern) }

// checkText refuses free text that the database cannot hold.
func checkText(field, text string, maxBytes int) error {
	if len(text) > maxBytes {
		return problem.BadField(field, "is longer than %d bytes", maxBytes)
	}
	if !storable(text) {
		return problem.BadField(field, "expected valid UTF-8 text without NUL")
	}
	return nil
}

// storable says whether PostgreSQL takes text at all. Lookups by a name that it does not take find nothing; asking it
// would be an error of the database.
func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

// shorten cuts text to at most max bytes, at a character's border.
func shorten(text string, max int) string {
	if len(text) <= max {
		return text
	}
	text = text[:max]
	for len(text) > 0 && !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}

// clean makes any text storable.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
