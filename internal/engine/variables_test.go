package engine

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/plan"
	"slipway/internal/state"
)

// Everything that an expression can say of the release, of a dependency and of a provider (facts 3.9), by the outputs of a
// deployment.
func TestVariablesOfExpressions(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: infra/db\nversion: 3\ndescription: A database\nlicense: BSD\nmetadata: {k: of the provider}\nprovides: [postgres]\ninputs: [{id: in, default: i}]\noutputs: [{id: out, default: o}]\n"})
	_, _, err := b.deploy(t, "infra/db-v3", Target{})
	require.NoError(t, err)
	b.push(t, map[string]string{"escape.yml": "name: ns/dep\nversion: 2\ndescription: A dependency\nmetadata: {k: of the dependency}\ninputs: [{id: in, default: di}]\noutputs: [{id: out, default: do}]\n"})
	want := map[string]string{
		"$this.name": "app", "$this.version": "1.0", "$this.id": "ns/app-v1.0", "$this.release": "app-v1.0", "$this.versionless_release": "ns/app",
		"$this.branch": "main", "$this.revision": "abc", "$this.repository": "git@x", "$this.description": "The app", "$this.license": "MIT", "$this.logo": "eA==",
		"$this.project": "proj", "$this.environment": "dev", "$this.deployment": "root", "$this.metadata.k": "own", "$this.inputs.in": "given",
		"$dep.name": "dep", "$dep.version": "2", "$dep.id": "ns/dep-v2", "$dep.release": "dep-v2", "$dep.versionless_release": "ns/dep", "$dep.description": "A dependency",
		"$dep.project": "ns", "$dep.deployment": "root:dep", "$dep.metadata.k": "of the dependency", "$dep.inputs.in": "given", "$dep.outputs.out": "do",
		"$pg.name": "db", "$pg.version": "3", "$pg.id": "infra/db-v3", "$pg.license": "BSD", "$pg.deployment": "infra/db", "$pg.metadata.k": "of the provider",
		"$pg.inputs.in": "i", "$pg.outputs.out": "o",
	}
	text := "name: ns/app\nversion: 1.0\ndescription: The app\nlicense: MIT\nlogo: logo.png\nmetadata: {k: own}\ndepends: [ns/dep-v2 as dep]\nconsumes: [postgres as pg]\ninputs: [{id: in, default: i}]\noutputs:\n"
	names := map[string]string{}
	for i, expression := range slices.Sorted(maps.Keys(want)) {
		names[expression] = "o" + strings.Repeat("x", i)
		text += "- {id: " + names[expression] + ", default: " + expression + "}\n"
	}
	_, err = b.Release(t.Context(), ReleaseRequest{Dir: source(t, map[string]string{"escape.yml": text, "logo.png": "x"}), Steps: quick,
		Source: plan.Source{Repository: "git@x", Branch: "main", Revision: "abc"}})
	require.NoError(t, err)
	result, _, err := b.deploy(t, "ns/app-v1.0", Target{Project: "proj", Deployment: "root", Variables: map[string]any{"in": "given"}})
	require.NoError(t, err)
	for expression, value := range want {
		require.Equal(t, value, result.Outputs[names[expression]], expression)
	}
}

// Variables that the platform fills in: by their id, or by their type under another id. Nobody can give them.
func TestMagicVariables(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1.5\ninputs: [version, client, project, deployment, environment, {id: which, type: environment}]\n" +
		"deploy: {inline: 'echo $INPUT_version $INPUT_client $INPUT_project $INPUT_deployment $INPUT_environment $INPUT_which'}\n"})
	_, _, err := b.deploy(t, "app-latest", Target{Project: "proj", Deployment: "mine"})
	require.NoError(t, err)
	require.Equal(t, "1.5 slipway test proj mine dev dev\n", b.runner.out.String())
	_, _, err = b.deploy(t, "app-latest", Target{Deployment: "mine", Variables: map[string]any{"version": "2"}})
	require.EqualError(t, err, "the input 'version' of app-v1.5 is set by the platform and cannot be given")
}

// Whose value counts (facts 3.8): the default, then that of the environment, of the root deployment, of the nested one, and
// of the stage, which is what users and parents give.
func TestPrecedenceOfInputs(t *testing.T) {
	b := newBench(t)
	inputs := "inputs: [{id: a, default: default}, {id: b, default: default}, {id: c, default: default}, {id: d, default: default}, {id: e, default: default}]\n"
	b.push(t, map[string]string{"escape.yml": "name: leaf\nversion: 1\n" + inputs + "deploy: {inline: 'echo leaf $INPUT_a $INPUT_b $INPUT_c $INPUT_d $INPUT_e'}\n"})
	b.push(t, map[string]string{"escape.yml": "name: root\nversion: 1\n" + strings.ReplaceAll(inputs, "e, default", "e, eval_before_dependencies: false, default") +
		"depends: [{release_id: leaf-v1 as leaf, mapping: {e: mapped}}]\ndeploy: {inline: 'echo root $INPUT_a $INPUT_b $INPUT_c $INPUT_d $INPUT_e'}\n"})
	of := func(who string, ids ...string) map[string]any {
		values := map[string]any{}
		for _, id := range ids {
			values[id] = who
		}
		return values
	}
	b.state.environment.Inputs = of("environment", "b", "c", "d", "e")
	root := b.state.environment.EnsureDeployment("root")
	root.Inputs = of("deployment", "c", "d", "e")
	// The parent's values are mapped by their ids, save for the one that is not known before dependencies run.
	nested := root.EnsureStage(state.StageDeploy).EnsureDeployment("leaf")
	nested.Inputs = of("nested", "d", "e")
	_, _, err := b.deploy(t, "root-v1", Target{Deployment: "root", Variables: of("user", "d")})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "leaf default environment deployment user mapped\nroot default environment deployment user deployment\n", b.runner.out.String(),
		"what the parent maps is the input of the nested stage, and wins")

	// Inputs that people gave stay for the next time, without being given again.
	b.runner.out.Reset()
	_, _, err = b.deploy(t, "root-v1", Target{Deployment: "root"})
	require.NoError(t, err)
	require.Contains(t, b.runner.out.String(), "root default environment deployment user deployment\n")
	// A release without a mapping for it takes the nested deployment's own.
	b = newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: leaf\nversion: 1\n" + inputs + "deploy: {inline: 'echo leaf $INPUT_a $INPUT_b $INPUT_c $INPUT_d'}\n"})
	b.push(t, map[string]string{"escape.yml": "name: root\nversion: 1\ndepends: [leaf-v1 as leaf]\n"})
	b.state.environment.Inputs = of("environment", "b", "c", "d")
	root = b.state.environment.EnsureDeployment("root")
	root.Inputs = of("deployment", "c", "d")
	root.EnsureStage(state.StageDeploy).EnsureDeployment("leaf").Inputs = of("nested", "d")
	_, _, err = b.deploy(t, "root-v1", Target{Deployment: "root"})
	require.NoError(t, err)
	require.Equal(t, "leaf default environment deployment nested\n", b.runner.out.String())
}

// A provider may be named by the path of a nested deployment, and by the flag before what the state has.
func TestProviderIsANestedDeployment(t *testing.T) {
	b := newBench(t)
	b.push(t, providerRelease("db", "postgres", ""))
	b.push(t, map[string]string{"escape.yml": "name: stack\nversion: 1\ndepends: [infra/db-v1.0 as db]\n"})
	b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1\nconsumes: [postgres as pg]\noutputs: [{id: from, default: $pg.deployment}]\ndeploy: {inline: 'echo $INPUT_none'}\n"})
	_, _, err := b.deploy(t, "stack-v1", Target{Deployment: "stack"})
	require.NoError(t, err)
	_, _, err = b.deploy(t, "app-v1", Target{Deployment: "app"})
	require.ErrorContains(t, err, "Missing provider of type 'postgres'", "nested ones are not chosen by themselves")
	result, _, err := b.deploy(t, "app-v1", Target{Deployment: "app", Providers: map[string]string{"pg": "stack:db"}})
	require.NoError(t, err)
	require.Equal(t, "stack:db", result.Outputs["from"])
	_, _, err = b.deploy(t, "infra/db-v1.0", Target{Deployment: "single"})
	require.NoError(t, err)
	result, _, err = b.deploy(t, "app-v1", Target{Deployment: "app"})
	require.NoError(t, err)
	require.Equal(t, "stack:db", result.Outputs["from"], "what the state has comes before the only one that there is")
	result, _, err = b.deploy(t, "app-v1", Target{Deployment: "app", Providers: map[string]string{"postgres": "single"}})
	require.NoError(t, err)
	require.Equal(t, "single", result.Outputs["from"], "what is given comes before what the state has")
}

// A consumer may leave either half to somebody else.
func TestConsumersSkipActivation(t *testing.T) {
	for flags, want := range map[string]string{
		"": "on db.local\ndeploy\noff db.local\n", ", skip_activate: true": "deploy\noff db.local\n", ", skip_deactivate: true": "on db.local\ndeploy\n",
		", skip_activate: true, skip_deactivate: true": "deploy\n",
	} {
		b := newBench(t)
		b.push(t, providerRelease("db", "postgres", ""))
		_, _, err := b.deploy(t, "infra/db-v1.0", Target{})
		require.NoError(t, err)
		m := b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1\nconsumes: [{name: postgres" + flags + "}]\ndeploy: {inline: echo deploy}\n"}).Metadata
		b.runner.out.Reset()
		_, _, err = b.deploy(t, "app-v1", Target{})
		require.NoError(t, err)
		require.Equal(t, want, b.runner.out.String(), flags)
		outlined, err := Outline(t.Context(), m, ReleaseSteps{Deploy: true}, "", b.inventory)
		require.NoError(t, err)
		require.Len(t, outlined, strings.Count(want, "\n"), flags)
	}
}

// Inline scripts are the shell's: nothing in them is evaluated.
func TestInlineScriptsAreNotEvaluated(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1\ndeploy: {inline: 'this=shell; echo \"$this.name $# $0\" | sed s,/.*/,,'}\n"})
	_, _, err := b.deploy(t, "app-v1", Target{})
	require.NoError(t, err)
	require.Regexp(t, `^shell\.name 0 \S*inline-deploy\.sh\n$`, b.runner.out.String())
}

// Expressions that look at the world see the folder of the release, what the engine is given as environment, and its clock.
func TestExpressionsSeeTheRelease(t *testing.T) {
	b := newBench(t)
	b.Env = map[string]string{"GIVEN": "yes"}
	b.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1\nincludes: [a.txt]\noutputs:\n- {id: text, default: '$__read_file(\"a.txt\").trim()'}\n- {id: env, default: '$__env_lookup(\"GIVEN\")'}\n" +
		"- {id: at, default: $__timestamp()}\n- {id: there, type: bool, default: '$__file_exists(\"a.txt\")'}\n", "a.txt": "content\n"})
	result, _, err := b.deploy(t, "app-v1", Target{})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"text": "content", "env": "yes", "at": "1700000000", "there": true}, result.Outputs)
}
