package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Repository is a git repository with a work tree, in a folder that goes with the test. Its author and dates are fixed, so
// the same content has the same commit ids in every run.
type Repository struct {
	// Dir is the work tree; also a URL that git understands.
	Dir string
	t   testing.TB
}

// GitRepo makes a repository with the given files (path to content) as its first commit on the branch main. With no files
// the repository is empty, without a commit. A file that begins with "#!" is executable.
func GitRepo(t testing.TB, files map[string]string) *Repository {
	t.Helper()
	Command(t, "git")
	r := &Repository{Dir: t.TempDir(), t: t}
	r.Git("init", "-q", "-b", "main")
	if len(files) > 0 {
		r.Commit("First commit", files)
	}
	return r
}

// URL is the repository's address with the file scheme.
func (r *Repository) URL() string { return "file://" + r.Dir }

// Commit writes files, commits everything and returns the commit's id.
func (r *Repository) Commit(message string, files map[string]string) string {
	r.t.Helper()
	for name, content := range files {
		path := filepath.Join(r.Dir, filepath.FromSlash(name))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			r.t.Fatal(err)
		}
	}
	r.Git("add", "-A")
	r.Git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message)
	return r.Git("rev-parse", "HEAD")
}

// Git runs git in the work tree and returns what it printed, without the last newline.
func (r *Repository) Git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	// Nothing of the user's: a signing key, a template folder or a hook would change what tests see.
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.Dir, "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z",
	}
	output, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return strings.TrimSuffix(string(output), "\n")
}
