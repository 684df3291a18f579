// Package release holds what a release is outside of any database: its id, its metadata document and its package
// archive. The formats are those of the existing inventory and its client, so that releases can be exchanged with them.
package release

import (
	"fmt"
	"regexp"
	"strings"

	"slipway/internal/version"
)

// DefaultProject is the project of a release id that names none.
const DefaultProject = "_"

// ID names a release. At most one of Version and Tag is set: Version is a resolved version ("1.0"), a pattern ("1.@")
// or "latest"; Tag is a tag.
type ID struct {
	Project string
	Name    string
	Version string
	Tag     string
}

// idPart is wider than the rule for names, because ids of foreign releases are only checked for being harmless: the
// parts become folders below deps/.
var idPart = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// ParseID reads a release id: "app-v1.2.3", "app-latest", "app-@", "app-v@", "app-v1.@", "app:tag", "app:v1.0",
// "app:1.@" or "app:latest", each with an optional "project/" in front. A name may hold "-": the version stands behind
// the last one.
func ParseID(s string) (ID, error) {
	invalid := &InvalidError{Message: fmt.Sprintf("Invalid release format: %s.", quoteEmpty(s))}
	if len(s) > 1024 {
		return ID{}, &InvalidError{Message: "Invalid release format: the text is too long."}
	}
	id := ID{Project: DefaultProject}
	rest := s
	if project, name, ok := strings.Cut(s, "/"); ok {
		id.Project, rest = project, name
	}
	if name, selector, ok := strings.Cut(rest, ":"); ok {
		id.Name = name
		switch bare := strings.TrimPrefix(selector, "v"); {
		case selector == "latest" || bare == "@":
			id.Version = "latest"
		case version.Valid(bare) || version.Unresolved(bare) && bare != "latest":
			id.Version = bare
		case ValidTag(selector):
			id.Tag = selector
		default:
			return ID{}, invalid
		}
	} else {
		cut := strings.LastIndex(rest, "-")
		if cut < 0 {
			return ID{}, invalid
		}
		id.Name = rest[:cut]
		switch text := rest[cut+1:]; text {
		case "latest", "@", "v@":
			id.Version = "latest"
		default:
			bare, ok := strings.CutPrefix(text, "v")
			if !ok || bare == "latest" || !version.Valid(bare) && !version.Unresolved(bare) {
				return ID{}, &InvalidError{Message: fmt.Sprintf(
					"Invalid version string in release ID '%s': '%s' is not a valid version.", s, text)}
			}
			id.Version = bare
		}
	}
	if !idPart.MatchString(id.Project) || !idPart.MatchString(id.Name) {
		return ID{}, invalid
	}
	return id, nil
}

// Resolved reports whether the id names one version and not a pattern, "latest" or a tag.
func (id ID) Resolved() bool { return id.Tag == "" && version.Valid(id.Version) }

// String prints the id in its canonical form: "project/name-v1.0", "project/name-latest" or "project/name:tag".
func (id ID) String() string { return id.Project + "/" + id.Unqualified() }

// Unqualified prints the id without its project.
func (id ID) Unqualified() string {
	switch {
	case id.Tag != "":
		return id.Name + ":" + id.Tag
	case id.Version == "latest" || id.Version == "@":
		return id.Name + "-latest"
	}
	return id.Name + "-v" + id.Version
}

// Versionless prints "project/name", which is how a deployment names the release that it runs.
func (id ID) Versionless() string { return id.Project + "/" + id.Name }

// Query returns what the id asks for as a version query, without a leading "v".
func (id ID) Query() string {
	if id.Tag != "" {
		return id.Tag
	}
	return id.Version
}

// ParseVersionless reads "project/name" or "name".
func ParseVersionless(s string) (project, name string, err error) {
	project, name = DefaultProject, s
	if p, n, ok := strings.Cut(s, "/"); ok {
		project, name = p, n
	}
	if !idPart.MatchString(project) || !idPart.MatchString(name) {
		return "", "", &InvalidError{Message: fmt.Sprintf("Invalid release format: %s.", quoteEmpty(s))}
	}
	return project, name, nil
}

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$`)

// ValidTag reports whether text may be a tag: it is not empty, at most 64 bytes, and does not read as a version query
// ("latest", "@", "v1", "1.0", "v0.1.@").
func ValidTag(text string) bool {
	if len(text) > 64 || !tagPattern.MatchString(text) {
		return false
	}
	query, err := version.ParseQuery(text)
	return err == nil && query.Kind == version.Tag
}

func quoteEmpty(s string) string {
	if s == "" {
		return "''"
	}
	return s
}
