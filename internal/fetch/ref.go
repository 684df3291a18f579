package fetch

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var commitID = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)

// CheckBranch reports whether a name can be a branch or tag, by git's own rules (git-check-ref-format) and one more: it
// may not begin with a dash, since programs could take it for an option. The empty name is the default branch.
func CheckBranch(name string) error {
	refuse := func(why string) error {
		return &Error{Kind: KindBranch, Message: "the branch name cannot be used: it " + why}
	}
	switch {
	case name == "":
		return nil
	case len(name) > 250:
		return refuse("is longer than 250 bytes")
	case strings.HasPrefix(name, "-"):
		return refuse("begins with a dash")
	case !utf8.ValidString(name):
		return refuse("is not valid UTF-8")
	case name == "@" || name == "HEAD":
		return refuse("is a name that git keeps for itself")
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return refuse("contains white space or control characters")
	case strings.ContainsAny(name, `~^:?*[\`):
		return refuse(`contains one of ~ ^ : ? * [ \`)
	case strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.Contains(name, "//"):
		return refuse("contains .. or @{ or //")
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.HasSuffix(name, "."):
		return refuse("begins or ends with / or ends with a dot")
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return refuse("has a part that begins with a dot or ends with .lock")
		}
	}
	return nil
}

// CheckCommit reports whether a text can be a commit id: 7 to 64 hexadecimal digits. The empty text is none.
func CheckCommit(id string) error {
	if id != "" && !commitID.MatchString(id) {
		return &Error{Kind: KindCommit, Message: "the commit is not an id of 7 to 64 hexadecimal digits"}
	}
	return nil
}
