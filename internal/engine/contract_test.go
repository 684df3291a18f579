package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tell is a script that says what it was given: its step, its arguments, its outputs file and its environment.
const tell = `printf '%s|%s|' "$1" "$*"
if [ -e .escape/outputs.json ]; then cat .escape/outputs.json; else printf none; fi
printf '|%s|%s|%s|%s' "${OUTPUT_url-unset}" "${INPUT_PREVIOUS_s-unset}" "${INPUT_PREVIOUS_OUTPUT_url-unset}" "${INPUT_OUTPUT_url-unset}"
printf '|%s %s %s %s %s' "$INPUT_s" "$INPUT_b" "$INPUT_n" "$INPUT_l" "$INPUT_METADATA_team"
printf '|%s %s %s\n' "$ESCAPE_PLATFORM" "$ESCAPE_ARCH" "$PYTHONUNBUFFERED"
case "$1" in build|deploy) printf '{"url":"made by %s"}' "$1" > "$2";; esac
`

// The script contract of facts 3.2, step by step: which script runs when, and what it finds.
func TestScriptContract(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: infra/db\nversion: 1.0\nprovides: [postgres]\noutputs: [{id: url, default: db}]\ninputs: [{id: s, default: provider}]\n" +
		"deploy: {inline: 'true'}\nactivate_provider: tell.sh activate\ndeactivate_provider: tell.sh deactivate\n", "tell.sh": tell})
	_, _, err := b.deploy(t, "infra/db-v1.0", Target{})
	require.NoError(t, err)
	var plan strings.Builder
	plan.WriteString("name: app\nversion: 1.0\nmetadata: {team: blue}\nconsumes: [{name: postgres, scopes: [deploy]}]\noutputs: [{id: url, default: none}]\n" +
		"inputs: [{id: s, default: ' a \"b\" '}, {id: b, type: bool, default: yay}, {id: n, type: integer, default: 3.9}, {id: l, type: list, default: '[\"x\", 1]'}]\n" +
		"errands: {fix: {run: tell.sh fix, inputs: [{id: s, default: of the errand}]}}\n")
	for _, step := range []string{"pre_build", "build", "post_build", "test", "pre_deploy", "deploy", "post_deploy", "smoke", "pre_destroy", "destroy", "post_destroy"} {
		plan.WriteString(step + ": tell.sh " + step + "\n")
	}
	said := func(do func()) []string {
		t.Helper()
		b.runner.out.Reset()
		do()
		return strings.Split(strings.TrimSuffix(b.runner.out.String(), "\n"), "\n")
	}
	const none, made = "none", `{"url":"made by %s"}`
	line := func(step, file, output, previous, previousOutput string) string {
		return fmt.Sprintf(`%s|%[1]s .escape/outputs.json|%s|%s|%s|%s|unset| a "b"  1 3 ["x",1] blue|%s %s 1`, step, file, output, previous, previousOutput, runtime.GOOS, runtime.GOARCH)
	}
	provider := func(step string) string {
		return fmt.Sprintf("%s|%[1]s .escape/outputs.json|none|db|unset|unset|unset|provider    |%s %s 1", step, runtime.GOOS, runtime.GOARCH)
	}
	var id string
	require.Equal(t, []string{
		line("pre_build", none, "unset", "unset", "unset"), line("build", "{}", "unset", "unset", "unset"),
		line("post_build", fmt.Sprintf(made, "build"), "made by build", "unset", "unset"),
		line("test", none, "made by build", "unset", "unset"),
		line("pre_destroy", none, "made by build", "unset", "unset"), line("destroy", fmt.Sprintf(made, "build"), "made by build", "unset", "unset"),
		line("post_destroy", fmt.Sprintf(made, "build"), "made by build", "unset", "unset"),
		provider("activate"), line("pre_deploy", none, "unset", "unset", "unset"), line("deploy", "{}", "unset", "unset", "unset"),
		line("post_deploy", fmt.Sprintf(made, "deploy"), "made by deploy", "unset", "unset"), provider("deactivate"),
		provider("activate"), line("smoke", none, "made by deploy", "unset", "unset"), provider("deactivate"),
		provider("activate"), line("pre_destroy", none, "made by deploy", "unset", "unset"), line("destroy", fmt.Sprintf(made, "deploy"), "made by deploy", "unset", "unset"),
		line("post_destroy", fmt.Sprintf(made, "deploy"), "made by deploy", "unset", "unset"), provider("deactivate"),
	}, said(func() { id = b.release(t, map[string]string{"escape.yml": plan.String(), "tell.sh": tell}).ID.String() }))

	// From the second run on, scripts see what the run before had.
	deploy := func() {
		_, _, err := b.deploy(t, id, Target{Deployment: "app"})
		require.NoError(t, err, b.runner.out.String())
	}
	said(deploy)
	second := said(deploy)
	require.Equal(t, line("pre_deploy", none, "unset", ` a "b" `, "made by deploy"), second[1])
	require.Equal(t, line("deploy", "{}", "unset", ` a "b" `, "made by deploy"), second[2])

	// An errand has inputs of its own before those of the release, and the outputs under both names.
	require.Equal(t, fmt.Sprintf(`fix|fix .escape/outputs.json|{}|made by deploy|unset|unset|made by deploy|of the errand 1 3 ["x",1] blue|%s %s 1`, runtime.GOOS, runtime.GOARCH), said(func() {
		_, err := b.Errand(t.Context(), DeployedRequest{Dir: t.TempDir(), Errand: "fix", Target: Target{Deployment: "app"}})
		require.NoError(t, err, b.runner.out.String())
	})[1])
}
