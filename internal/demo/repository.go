package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"slipway/examples"
)

// makeRepository makes the git repository that is built from.
func (d *demo) makeRepository(ctx context.Context) (string, error) {
	d.repository = filepath.Join(d.Dir, "repository")
	if err := examples.Write(examples.Shop(), d.repository); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "--all"},
		{"commit", "--quiet", "--message=Open the shop"},
	} {
		if _, err := d.git(ctx, args...); err != nil {
			return "", err
		}
	}
	commit, err := d.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	d.commit = commit
	return fmt.Sprintf("%s at %.12s", d.repository, commit), nil
}

// git runs git in the repository, without the user's own settings: a signing key or a hook of theirs has no place here.
func (d *demo) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = d.repository
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.Dir, "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Slipway demo", "GIT_AUTHOR_EMAIL=demo@localhost",
		"GIT_COMMITTER_NAME=Slipway demo", "GIT_COMMITTER_EMAIL=demo@localhost",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
