package fetch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/runner"
)

func TestTag(t *testing.T) {
	f := newFixture(t)
	key, signer := newKey(t, "ed25519")
	_, host := newKey(t, "ed25519")
	shell := serveSSH(t, f.root, "", signer.PublicKey(), host)
	web := serveHTTP(t, f.root)
	b := newBench(t, open, runner.UserRange{})
	for name, r := range map[string]Request{
		"path": {URL: f.path, Branch: "main", Commit: f.second},
		"ssh":  {URL: "ssh://git@" + shell.address + "/my%20repo.git", PrivateKey: key, Branch: "main", Commit: f.second},
	} {
		t.Run(name, func(t *testing.T) {
			tag := "ns/app-v1.0-" + name
			require.NoError(t, b.Tag(t.Context(), r, tag))
			require.Equal(t, f.second, gitRun(t, f.path, "rev-parse", "refs/tags/"+tag))
			require.NoError(t, b.Tag(t.Context(), r, tag), "a repetition finds it done")
			older := r
			older.Commit = f.first
			failsWith(t, b.Tag(t.Context(), older, tag), KindTag, "has a tag "+tag+" already, of another commit; it is not moved")
			require.Equal(t, f.second, gitRun(t, f.path, "rev-parse", "refs/tags/"+tag))
			// An older commit is tagged too, and an annotated tag of it is as good.
			require.NoError(t, b.Tag(t.Context(), older, tag+"-old"))
			require.Equal(t, f.first, gitRun(t, f.path, "rev-parse", "refs/tags/"+tag+"-old"))
			require.NoError(t, b.Tag(t.Context(), older, "v1.0"))
			unknown := r
			unknown.Commit = strings.Repeat("12345678", 5)
			failsWith(t, b.Tag(t.Context(), unknown, tag+"-x"), KindCommit, "does not exist")
		})
	}
	// Nothing but the tag was pushed, and only what a tag needs was asked for.
	require.Equal(t, f.second, gitRun(t, f.path, "rev-parse", "main"))
	for _, c := range shell.commands {
		require.True(t, strings.HasPrefix(c, "git-upload-pack '") || strings.HasPrefix(c, "git-receive-pack '"), c)
	}

	// A server that takes no pushes, and one whose hook says no.
	r := Request{URL: web.URL + "/my%20repo.git", Branch: "main", Commit: f.second}
	failsWith(t, b.Tag(t.Context(), r, "over-http"), KindCredentials, "the key may not push to")
	require.NoError(t, os.MkdirAll(filepath.Join(f.path, ".git", "hooks"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(f.path, ".git", "hooks", "pre-receive"), []byte("#!/bin/sh\necho no tags on Fridays >&2\nexit 1\n"), 0o755))
	r = Request{URL: "ssh://git@" + shell.address + "/my%20repo.git", PrivateKey: key, Branch: "main", Commit: f.second}
	failsWith(t, b.Tag(t.Context(), r, "hooked"), KindTag, "refused the tag hooked: pre-receive hook declined")
}

// S14: the name of a tag is data.
func TestS14Tags(t *testing.T) {
	b := New(Options{Policy: open})
	full := strings.Repeat("a", 40)
	for _, name := range []string{"", "-f", "--force", "a b", "a..b", "x:refs/heads/main", "a\nb", strings.Repeat("x", 300)} {
		err := b.Tag(t.Context(), Request{URL: "/somewhere", Commit: full}, name)
		failsWith(t, err, KindBranch, "cannot be the name of a git tag")
	}
	failsWith(t, b.Tag(t.Context(), Request{URL: "/somewhere", Commit: "abcdef1"}, "x"), KindCommit, "full id")
}

func TestChangedFiles(t *testing.T) {
	f := newFixture(t)
	b := newBench(t, open, runner.UserRange{})
	fetch := func(since string) Result {
		t.Helper()
		result, err := b.fetch(t, Request{URL: f.path, Branch: "main", Since: since})
		require.NoError(t, err)
		return result
	}
	r := fetch(f.first)
	require.Equal(t, []any{true, []string{"escape.yml"}}, []any{r.Compared, r.Changed})
	r = fetch(f.second)
	require.True(t, r.Compared)
	require.Empty(t, r.Changed)
	r = fetch(f.odd)
	require.Equal(t, []string{"odd"}, r.Changed, "a commit of another branch is compared all the same")
	require.False(t, fetch(strings.Repeat("12345678", 5)).Compared, "one that is gone is not")
	gitRun(t, f.path, "mv", "escape.yml", "with space \"quoted\".yml")
	gitRun(t, f.path, "commit", "-q", "-m", "moved")
	require.ElementsMatch(t, []string{"escape.yml", "with space \"quoted\".yml"}, fetch(f.second).Changed)
	_, err := b.fetch(t, Request{URL: f.path, Since: "--output=x"})
	failsWith(t, err, KindCommit, "hexadecimal")
}
