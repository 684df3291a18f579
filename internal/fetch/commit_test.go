package fetch

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/runner"
)

// Git bounds neither the name of an author nor a message.
func TestLongCommitsAreCut(t *testing.T) {
	f := newFixture(t)
	tree := gitRun(t, f.path, "rev-parse", "main^{tree}")
	long := strings.Repeat("é", 150_000)
	command := exec.Command("git", "hash-object", "-t", "commit", "-w", "--stdin")
	command.Dir = f.path
	command.Stdin = strings.NewReader("tree " + tree + "\nauthor A" + long + " <a@example.com> 1700000000 +0000\ncommitter c <c@example.com> 1700000000 +0000\n\nM" + long + "\n")
	id, err := command.Output()
	require.NoError(t, err)
	gitRun(t, f.path, "update-ref", "refs/heads/long", strings.TrimSpace(string(id)))
	result, err := newBench(t, open, runner.UserRange{}).fetch(t, Request{URL: f.path, Branch: "long"})
	require.NoError(t, err)
	require.Equal(t, "A"+long[:498], result.Commit.Author)
	require.Equal(t, "M"+long[:19_998], result.Commit.Message)
}
