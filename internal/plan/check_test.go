package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// check writes a plan with files into a folder and gives what Check finds, one line each.
func check(t *testing.T, text string, inventory Inventory) []string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "there.sh"), nil, 0o755))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	compiled, faults, err := Check(t.Context(), "escape.yml", []byte(text), root, inventory, Options{ReadOnly: true})
	require.NoError(t, err)
	require.Equal(t, len(faults) == 0, compiled != nil)
	var lines []string
	for _, f := range faults {
		lines = append(lines, f.Error())
	}
	// The first thing that Parse and Compile find is one of them.
	p, err := Parse("escape.yml", []byte(text))
	if err == nil {
		_, err = Compile(t.Context(), p, root, inventory, Options{ReadOnly: true})
	}
	if err == nil {
		require.Empty(t, lines)
	} else {
		require.Contains(t, lines, err.Error())
	}
	return lines
}

func TestCheckTellsEveryFaultInOrder(t *testing.T) {
	lines := check(t, `name: App
version: abc
depends:
- bad
- ns/gone-v1 as gone
- {release_id: ns/dep-v1, scopes: [test, never], mapping: {a: $this., b: $__nope()}}
- ns/dep-v1.2.3 as dep
metadata:
  fine: $dep.metadata.key
  wrong: $dep.nope
  later: $dep.outputs.url
inputs:
- 1x
- {id: a, type: float, visible: x, items: y}
- {id: n, type: integer, default: x}
- same
build_inputs: [same]
build: build.sh
deploy: there.sh
smoke: {cmd: a, inline: b}
errands:
  one: {}
  two: {run: two.sh, description: [a]}
  three: {run: three.sh}
templates: [gone.tpl, ../out.tpl]
downloads: [{url: x}, {dest: y, unpack: x}]
logo: logo.png
includes: ['[', ../x]
`, newShelf(t, dependency))
	require.Equal(t, strings.Split(`escape.yml:1: field 'name': Invalid name 'App'
escape.yml:2: field 'version': Invalid version string 'abc'.
escape.yml:4: field 'depends': Invalid release format: bad.
escape.yml:5: field 'depends': the release 'ns/gone-v1' was not found in the inventory
escape.yml:6: field 'depends': expected a name after '.' (in "$this." at character 7)
escape.yml:6: field 'depends': there is no function 'nope' (in "$__nope()" at character 1)
escape.yml:6: field 'depends': unknown scope 'test': expected 'build' or 'deploy'
escape.yml:6: field 'depends': unknown scope 'never': expected 'build' or 'deploy'
escape.yml:10: field 'metadata': there is no field 'nope' (in "$dep.nope" at character 5)
escape.yml:11: field 'metadata': 'outputs' of a dependency are not known before it is deployed (in "$dep.outputs.url" at character 5)
escape.yml:13: field 'inputs': Invalid variable id '1x': expected letters, then letters, digits, '-' and '_'
escape.yml:14: field 'inputs': Unknown variable type 'float'
escape.yml:14: field 'inputs': expected true or false
escape.yml:14: field 'inputs': the items of 'a' are a list or an expression that gives one
escape.yml:15: field 'inputs': the default value of the variable 'n' is not a whole number
escape.yml:16: field 'inputs': the variable 'same' is defined twice for the scope 'build'
escape.yml:18: field 'build': missing script build.sh
escape.yml:20: field 'smoke': Found a problem in the 'smoke' field: More than one field is set. Expecting only one of 'cmd', 'inline' and 'script'.
escape.yml:22: field 'errands': the errand 'one' needs 'run'
escape.yml:23: field 'errands': expected a text
escape.yml:24: field 'errands': missing script three.sh
escape.yml:25: field 'templates': the path '../out.tpl' leaves the plan's folder
escape.yml:25: field 'templates': missing template gone.tpl
escape.yml:26: field 'downloads': Missing 'dest' in download config for 'x'
escape.yml:26: field 'downloads': expected true or false
escape.yml:27: field 'logo': the file 'logo.png' cannot be read
escape.yml:28: field 'includes': '[' is not a valid pattern
escape.yml:28: field 'includes': the path '../x' leaves the plan's folder`, "\n"), lines)
}

// What only follows from something that is wrong is no fault of its own.
func TestCheckTellsNoConsequences(t *testing.T) {
	inventory := newShelf(t, dependency)
	for text, want := range map[string][]string{
		"name: app\nversion: $gone.version\ndepends: [ns/gone-v1 as gone]\nmetadata: {a: $gone.metadata.b, c: $this.metadata.a.upper()}\nbuild: there.sh $gone.version\n": {
			"escape.yml:3: field 'depends': the release 'ns/gone-v1' was not found in the inventory"},
		"name: app\nversion: $dep.version\ndepends: [{release_id: ns/dep-v1.2.3 as dep, scopes: [never]}]\nmetadata: {a: $dep.version}\n": {
			"escape.yml:3: field 'depends': unknown scope 'never': expected 'build' or 'deploy'"},
		"name: app\nversion: 1.0\nextends: [ns/gone-v1]\nmetadata: {a: $this.metadata.inherited, b: $heir.version}\n": {
			"escape.yml:3: field 'extends': the release 'ns/gone-v1' was not found in the inventory"},
		"name: app\nversion: 1.0\nmetadata: {a: $this.nope, b: $this.metadata.a}\n": {
			"escape.yml:3: field 'metadata': there is no field 'nope' (in \"$this.nope\" at character 6)"},
		"version: '@'\nname: App\n": {"escape.yml:2: field 'name': Invalid name 'App'"},
		"name: app\nversion: [1]\n": {"escape.yml:2: field 'version': expected a text"},
		"name: [\nversion: 1\n":     {"escape.yml:2: not valid YAML: did not find expected ',' or ']'"},
		"description: x\n":          {"escape.yml: field 'name': the field is required", "escape.yml: field 'version': the field is required"},
		"name: app\nversion: 1.0\n": nil,
	} {
		require.Equal(t, want, check(t, text, inventory), text)
	}
}

// A plan of nothing but faults does not make a list without end.
func TestCheckEndsSomewhere(t *testing.T) {
	require.Len(t, check(t, "name: app\nversion: 1.0\ninputs:\n"+strings.Repeat("- 1x\n", 5000), newShelf(t)), maxFaults)
}
