package fetch

import (
	"context"
	"strings"
)

// maxChanges is how many changed files are told. More count as unknown, which makes a build build.
const maxChanges = 20_000

// changed gives the files that differ between two commits. False says that they cannot be compared: the earlier one is
// not in the repository any more, or too much differs.
func changed(ctx context.Context, dir, since string) ([]string, bool) {
	if _, err := git(ctx, dir, "cat-file", "-e", since+"^{commit}"); err != nil {
		return nil, false
	}
	said, err := git(ctx, dir, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", since, "HEAD", "--")
	if err != nil {
		return nil, false
	}
	if len(said) > maxAnswer/4 || strings.Count(said, "\x00") > maxChanges {
		return nil, false
	}
	files := []string{}
	for name := range strings.SplitSeq(said, "\x00") {
		if name != "" {
			files = append(files, strings.ToValidUTF8(name, "\ufffd"))
		}
	}
	return files, true
}
