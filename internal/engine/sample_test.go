package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/state"
)

// Two applications as people write them: the second depends on the first through a version query and uses its output.
func firstApp() map[string]string {
	return map[string]string{
		"escape.yml": `name: shop/backend
version: 0.1.@
description: " The backend "
license: Apache-2.0
metadata:
  team: payments
includes: [bin, conf]
inputs:
- id: greeting
  default: hello
  description: What it says
- id: retries
  type: integer
  default: 3
- id: tags
  type: list[string]
  default: [a, b]
- id: debug
  type: bool
  default: yes
- id: password
  sensitive: true
  default: hunter22
  scopes: [deploy]
outputs:
- id: url
- id: port
  type: integer
  default: "$this.inputs.retries"
build: build.sh
test: test.sh extra 'two words'
deploy: deploy.sh
smoke: smoke.sh
destroy:
  inline: echo "destroyed $INPUT_greeting $OUTPUT_url" > destroyed.txt
`,
		"build.sh":    "set -e\nmkdir -p bin\nprintf '#!/bin/sh\\necho %s\\n' \"$INPUT_greeting\" > bin/server\nchmod +x bin/server\nprintf '{\"url\":\"built\"}' > \"$1\"\n",
		"test.sh":     "test \"$(bin/server)\" = hello\ntest \"$1\" = extra && test \"$2\" = 'two words' && test \"$3\" = .escape/outputs.json\n",
		"deploy.sh":   "set -e\ntest \"$(cat \"$1\")\" = '{}'\necho '{\"url\":\"http://'\"$INPUT_greeting\"'.local\"}' > \"$1\"\n",
		"smoke.sh":    "test \"$OUTPUT_url\" = \"http://$INPUT_greeting.local\" && test -x bin/server\n",
		"conf/a.conf": "a=1\n",
		"notes.md":    "not packaged\n",
	}
}

func secondApp() map[string]string {
	return map[string]string{
		"app/escape.yml": `name: shop/frontend
version: $back.version.track_minor_version()
depends:
- release_id: shop/backend-v0.@ as back
  mapping:
    greeting: $this.inputs.title.lower()
inputs:
- {id: title, default: WELCOME}
- id: backend_url
  default: $back.outputs.url
  eval_before_dependencies: false
outputs:
- {id: page, default: "$__concat($this.inputs.backend_url, \"/page\")"}
build: cc.sh
deploy: deploy.sh $back.outputs.url
smoke: {cmd: test, args: ["$this.outputs.page", "=", "$__concat($back.outputs.url, \"/page\")"]}
`,
		"app/cc.sh":     "#!/bin/sh\necho built > artifact\n",
		"app/deploy.sh": "#!/bin/sh\ntest \"$1\" = \"$INPUT_backend_url\" && test -f deps/shop/backend/bin/server\n",
	}
}

func TestSampleRelease(t *testing.T) {
	b := newBench(t)
	result := b.release(t, firstApp())
	require.Equal(t, "shop/backend-v0.1.0", result.ID.String())
	require.Equal(t, []string{
		"build shop/backend build", "build shop/backend test", "build shop/backend destroy",
		"deploy shop/backend deploy", "deploy shop/backend smoke", "deploy shop/backend destroy",
	}, b.runner.keys())
	m := result.Metadata
	require.Equal(t, "The backend", m.Description)
	require.Len(t, m.Files, 6, "%v", m.Files)
	require.Contains(t, m.Files, "bin/server", "files that the build makes are packaged")
	require.NotContains(t, m.Files, "notes.md")
	require.Contains(t, b.secrets, "hunter22")
	require.NotNil(t, b.inventory.packages["shop/backend-v0.1.0"])

	env := b.runner.env(t, "deploy shop/backend deploy")
	require.Equal(t, "hello", env["INPUT_greeting"])
	require.Equal(t, "3", env["INPUT_retries"])
	require.Equal(t, `["a","b"]`, env["INPUT_tags"])
	require.Equal(t, "1", env["INPUT_debug"])
	require.Equal(t, "payments", env["INPUT_METADATA_team"])
	require.Equal(t, "hunter22", env["INPUT_password"])
	require.Equal(t, "linux", env["ESCAPE_PLATFORM"])
	require.Equal(t, "1", env["PYTHONUNBUFFERED"])
	require.NotContains(t, env, "OUTPUT_url")
	require.NotContains(t, b.runner.env(t, "build shop/backend build"), "INPUT_password")
	require.Equal(t, "3", b.runner.env(t, "deploy shop/backend smoke")["OUTPUT_port"])

	require.Equal(t, []string{
		"shop/backend build running_pre_step", "shop/backend build running_main_step", "shop/backend build running_post_step", "shop/backend build ok",
		"shop/backend build running_test_step", "shop/backend build ok",
		"shop/backend build running_pre_destroy_step", "shop/backend build running_main_destroy_step", "shop/backend build running_post_destroy_step", "shop/backend build empty",
	}, b.state.statuses[:10])
	deployed := b.state.environment.Deployments["shop/backend"]
	require.Equal(t, "shop/backend", deployed.Release)
	require.Equal(t, "0.1.0", deployed.Stages[state.StageDeploy].Version)
	require.Equal(t, state.Empty, deployed.Stages[state.StageDeploy].CodeOf())
	require.Nil(t, deployed.Stages[state.StageDeploy].CalculatedOutputs)

	// The same source again is the next version.
	again := b.fork(t).release(t, firstApp())
	require.Equal(t, "0.1.1", again.ID.Version)
}

func TestSampleWithDependency(t *testing.T) {
	b := newBench(t)
	b.release(t, firstApp())
	b = b.fork(t)
	dir := source(t, secondApp())
	result, err := b.Release(t.Context(), ReleaseRequest{Dir: dir, Plan: "app/escape.yml", Steps: AllSteps, Target: Target{Project: "proj"}})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "shop/frontend-v0.1.0", result.ID.String(), "the version follows the dependency")
	require.Equal(t, "shop/backend-v0.1.0", result.Metadata.Depends[0].ReleaseID, "the query is pinned")
	require.Equal(t, []string{
		"deploy shop/frontend:back deploy", "build shop/frontend build",
		"deploy shop/frontend:back destroy",
		"deploy shop/frontend:back deploy 2", "deploy shop/frontend deploy", "deploy shop/frontend smoke",
		"deploy shop/frontend:back destroy 2",
	}, b.runner.keys())
	require.Equal(t, "welcome", b.runner.env(t, "deploy shop/frontend:back deploy")["INPUT_greeting"], "inputs are mapped")
	require.Equal(t, "http://welcome.local", b.runner.env(t, "deploy shop/frontend deploy")["INPUT_backend_url"])
	require.FileExists(t, filepath.Join(dir, "app/.escape/target/frontend-v0.1.0.tgz"))

	// Deployed from the inventory, with an input of the user.
	b = b.fork(t)
	b.state.environment = &state.Environment{Name: "prod"}
	deployed, err := b.Deploy(t.Context(), DeployRequest{Dir: t.TempDir(), Release: b.mustID(t, "shop/frontend-latest"),
		Target: Target{Deployment: "web", Variables: map[string]any{"title": "$this.name $(id); `id` 'x'"}}})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "http://$this.name $(id); `id` 'x'.local/page", deployed.Outputs["page"].(string), "text of a user is only ever data")
}

func TestSampleSmokeAndDestroyOfADeployment(t *testing.T) {
	b := newBench(t)
	b.release(t, firstApp())
	b = b.fork(t)
	deploy := DeployRequest{Dir: t.TempDir(), Release: b.mustID(t, "shop/backend-v0.1.0"), Target: Target{Deployment: "back", Variables: map[string]any{"greeting": "one"}}}
	_, err := b.Deploy(t.Context(), deploy)
	require.NoError(t, err, b.runner.out.String())
	_, err = b.Smoke(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "back"}})
	require.NoError(t, err, b.runner.out.String())

	// The second deployment sees the values of the first one, and keeps the input that was given.
	deploy.Dir, deploy.Variables = t.TempDir(), map[string]any{"retries": "7"}
	second := b.fork(t)
	_, err = second.Deploy(t.Context(), deploy)
	require.NoError(t, err)
	env := second.runner.env(t, "deploy back deploy")
	require.Equal(t, "one", env["INPUT_PREVIOUS_greeting"])
	require.Equal(t, "http://one.local", env["INPUT_PREVIOUS_OUTPUT_url"])
	require.Equal(t, "one", env["INPUT_greeting"])
	require.Equal(t, "7", env["INPUT_retries"])
	require.NotContains(t, b.runner.env(t, "deploy back deploy"), "INPUT_PREVIOUS_greeting")

	dir := t.TempDir()
	_, err = second.Destroy(t.Context(), DeployedRequest{Dir: dir, Target: Target{Deployment: "back"}})
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "destroyed.txt"))
	require.NoError(t, err)
	require.Equal(t, "destroyed one http://one.local", strings.TrimSpace(string(text)))
	stage := second.state.environment.Deployments["back"].Stages[state.StageDeploy]
	require.Equal(t, "0.1.0", stage.Version)
	require.Equal(t, map[string]any{"greeting": "one", "retries": "7"}, stage.Inputs)

	result, err := second.Destroy(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "back"}})
	require.NoError(t, err)
	require.True(t, result.Skipped)
	_, err = second.Smoke(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "back"}})
	require.EqualError(t, err, "the deployment 'back' is not deployed in the environment 'dev'")
	_, err = second.Smoke(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "nope"}})
	require.EqualError(t, err, "the deployment 'nope' is not deployed in the environment 'dev'")
}
