package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
	"slipway/internal/version"
)

// shelf is an inventory of documents.
type shelf struct{ documents []*release.Metadata }

func newShelf(t *testing.T, documents ...string) *shelf {
	t.Helper()
	s := &shelf{}
	for _, document := range documents {
		m, err := release.Decode([]byte(document))
		require.NoError(t, err, document)
		s.documents = append(s.documents, m)
	}
	return s
}

func (s *shelf) versions(project, name string) (versions []string) {
	for _, m := range s.documents {
		if m.Project == project && m.Name == name {
			versions = append(versions, m.Version)
		}
	}
	return versions
}

func (s *shelf) Release(_ context.Context, id release.ID) (*release.Metadata, error) {
	query, err := version.ParseQuery(id.Query())
	if err != nil {
		return nil, err
	}
	found, ok := query.Select(s.versions(id.Project, id.Name))
	if id.Tag == "production" {
		found, ok = "1.0", true
	}
	for _, m := range s.documents {
		if ok && m.Project == id.Project && m.Name == id.Name && m.Version == found {
			return m, nil
		}
	}
	return nil, ErrNotFound
}

func (s *shelf) NextVersion(_ context.Context, project, name, prefix string) (string, error) {
	return version.Next(s.versions(project, name), prefix), nil
}

// compile writes files into a folder and compiles the plan among them.
func compile(t *testing.T, files map[string]string, inventory Inventory, options Options) (*Compiled, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	parsed, err := Parse("escape.yml", []byte(files["escape.yml"]))
	if err != nil {
		return nil, err
	}
	return Compile(t.Context(), parsed, root, inventory, options)
}

func compiled(t *testing.T, files map[string]string, inventory Inventory) *release.Metadata {
	t.Helper()
	c, err := compile(t, files, inventory, Options{})
	require.NoError(t, err)
	return c.Metadata
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return string(data)
}

const (
	dependency = `{"name":"dep","version":"1.2.3","project":"ns","metadata":{"key":"value"},
		"inputs":[{"id":"needed"},{"id":"optional","default":"x"},{"id":"shared"},{"id":"late"},{"id":"environment"},{"id":"for_build","scopes":["build"]}],
		"consumes":[{"name":"postgres","variable":"pg"},{"name":"cache","scopes":["build"]}]}`
	extension = `{"name":"ext","version":"1.0","project":"infra","metadata":{"from":"ext","both":"ext"},"generates":["out/*"],"provides":["web"],
		"consumes":[{"name":"k8s"}],"inputs":[{"id":"region","default":"eu"},{"id":"own","default":"ext"}],"outputs":[{"id":"address"}],
		"stages":{"build":{"script":"build.sh arg"},"deploy":{"script":"./deploy.sh"},"test":{"inline":"true"},"smoke":{"cmd":"true"}},
		"errands":{"backup":{"exec_stage":{"script":"backup.sh"}}},"templates":[{"file":"a.tpl","target":"a"}],
		"depends":[{"release_id":"ns/dep-v1.2.3","variable":"dep","deploy_mapping":{"needed":"n","late":"l","shared":"s"},"build_mapping":{"needed":"n","late":"l","shared":"s"}}]}`
)

func TestVersions(t *testing.T) {
	inventory := newShelf(t, dependency, `{"name":"app","version":"1.0.4"}`, `{"name":"app","version":"0.9"}`, `{"name":"app","version":"3.1","project":"other"}`)
	for text, want := range map[string]string{
		"1.10": "1.10", "'1.0'": "1.0", "@": "2", "auto": "2", "1.@": "1.1", "1.0.@": "1.0.5", "7.@": "7.0",
		"$dep.version": "1.2.3", "$dep.version.track_minor_version()": "1.2.0", `$__concat("0.", "@")`: "0.10",
	} {
		m := compiled(t, map[string]string{"escape.yml": "name: app\nversion: " + quote(text) + "\ndepends: [ns/dep-latest as dep]\n"}, inventory)
		require.Equal(t, want, m.Version, text)
	}
	c, err := compile(t, map[string]string{"escape.yml": "name: app\nversion: 1.0\n"}, inventory, Options{Project: "other", Version: "v9.9"})
	require.NoError(t, err)
	require.Equal(t, "other/app-v9.9", c.Metadata.ID().String())
	p, err := Parse("escape.yml", []byte("name: app\nversion: 1.0\n"))
	require.NoError(t, err)
	require.Equal(t, "_/app", p.Deployment(""))
	require.Equal(t, "other/app", p.Deployment("other"))
	c, err = compile(t, map[string]string{"escape.yml": "name: app\nversion: '@'\n"}, inventory, Options{Project: "other"})
	require.NoError(t, err)
	require.Equal(t, "4", c.Metadata.Version, "the next version is that of the project the release goes to")
}

func quote(text string) string {
	if strings.HasPrefix(text, "'") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

func TestScriptForms(t *testing.T) {
	for text, want := range map[string]string{
		"build.sh":                          `{"script":"build.sh"}`,
		"./build.sh":                        `{"script":"build.sh"}`,
		"./sub/../build.sh one 'two words'": `{"script":"build.sh one 'two words'"}`,
		"sub/run":                           `{"script":"sub/run"}`,
		"make all":                          `{"cmd":"make","args":["all"]}`,
		"/bin/echo \"a b\" c\\ d":           `{"cmd":"/bin/echo","args":["a b","c d"]}`,
		`echo $__concat("a b", "c") $this.version`: `{"cmd":"echo","args":["$__concat(\"a b\", \"c\")","$this.version"]}`,
		"out/server --port 80":                     `{"cmd":"out/server","args":["--port","80"]}`,
		"{cmd: echo, args: [1, '$this.name']}":     `{"cmd":"echo","args":["1","$this.name"]}`,
		"{script: build.sh}":                       `{"script":"build.sh"}`,
		"{script: ./build.sh x}":                   `{"script":"build.sh x"}`,
		"{inline: 'echo $HOME | cat'}":             `{"inline":"echo $HOME | cat"}`,
		"":                                         `null`,
		"{cmd: }":                                  `null`,
	} {
		yaml := text
		if !strings.HasPrefix(text, "{") {
			yaml = quote(text)
		}
		m := compiled(t, map[string]string{"escape.yml": "name: app\nversion: 1.0\nbuild: " + yaml + "\n", "build.sh": "", "sub/run": ""}, newShelf(t))
		require.Equal(t, want, asJSON(t, m.Stages["build"]), text)
		if strings.Contains(want, "build.sh") {
			require.Contains(t, m.Files, "build.sh", text)
		}
	}
}

func TestUnknownKeysAreIgnoredWithAWarning(t *testing.T) {
	c, err := compile(t, map[string]string{"escape.yml": "name: app\nversion: 1.0\nowner: me\ninputs:\n- {id: a, sensitiv: true}\n"}, newShelf(t), Options{})
	require.NoError(t, err)
	require.Len(t, c.Warnings, 2)
	require.Equal(t, "escape.yml:3: field 'owner': plans have no such field: it does nothing", c.Warnings[0])
	require.True(t, strings.HasPrefix(c.Warnings[1], "escape.yml:5: field 'inputs': unknown key 'sensitiv': expected one of id, type,"), c.Warnings[1])
}

func TestScriptsAreMadeExecutable(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run.sh"), nil, 0o600))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	p, err := Parse("escape.yml", []byte("name: app\nversion: 1.0\nbuild: run.sh\n"))
	require.NoError(t, err)
	_, err = Compile(t.Context(), p, root, newShelf(t), Options{})
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "run.sh"))
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&0o100)
}

func TestFullPlan(t *testing.T) {
	files := map[string]string{
		"escape.yml": `
name: my-project/full
version: 1.2.0
description: "  Full app "
license: Apache
logo: logo.png
metadata: {author: Alice, of: $dep.metadata.key, self: $this.name}
depends:
- release_id: ns/dep-v1.@ as dep
  mapping: {needed: $this.inputs.greeting, late: "x"}
  deploy_mapping: {needed: override}
  consumes: {pg: $db.deployment}
includes: [files, "*.md", nothing-here]
generates: [out/*.bin]
provides: [web]
consumes: [postgres as db]
build_consumes: [{name: registry, skip_activate: true}]
inputs:
- greeting
- {id: shared, default: s}
- {id: tags, type: "list[string]", default: [a, b], items: [a, b, c], description: Tags, friendly: The tags}
- {id: count, type: integer, default: "3"}
- version
deploy_inputs:
- {id: secret, sensitive: true, visible: false, eval_before_dependencies: no-such-value}
outputs: [url]
build: build.sh
errands:
  backup: {description: Back it up, run: backup.sh now, inputs: [{id: where, default: here}]}
templates: [conf.txt.tpl]
deploy_templates: [{file: d.tpl, target: out/d.conf, mapping: {x: 1}}]
downloads: [{url: "http://h/f", dest: dl.txt, platform: linux, if_not_exists: [x]}]
unknown_field: 1
`,
		"logo.png": "png", "files/a.txt": "text", "files/sub/b.txt": "b", "README.md": "r", "build.sh": "", "backup.sh": "",
		"conf.txt.tpl": "{{name}}", "d.tpl": "{{x}}", "out/x.bin": "bin", "out/x.txt": "no", "other.txt": "no",
	}
	files["escape.yml"] = strings.Replace(files["escape.yml"], "no-such-value", "false", 1)
	c, err := compile(t, files, newShelf(t, dependency), Options{Client: "slipway 1", Source: Source{Repository: "git@x", Branch: "main", Revision: "abc", Message: "m", Author: "A <a@b>"}})
	require.NoError(t, err)
	m := c.Metadata
	require.Equal(t, "Full app", m.Description)
	require.Equal(t, "cG5n", m.Logo)
	require.Equal(t, map[string]string{"author": "Alice", "of": "value", "self": "full"}, m.Metadata)
	require.Equal(t, "slipway 1", m.BuiltWithEscapeVersion)
	require.Equal(t, []string{"git@x", "main", "abc", "m", "A <a@b>"}, []string{m.Repository, m.Branch, m.Revision, m.RevisionMessage, m.RevisionAuthor})
	var names []string
	for name := range m.Files {
		names = append(names, name)
	}
	require.ElementsMatch(t, []string{"files/a.txt", "files/sub/b.txt", "README.md", "out/x.bin", "build.sh", "backup.sh", "conf.txt.tpl", "d.tpl"}, names)
	require.Equal(t, "1cb251ec0d568de6a929b520c4aed8d1", m.Files["files/a.txt"])
	require.Equal(t, `[{"release_id":"ns/dep-v1.2.3","mapping":{},`+
		`"build_mapping":{"late":"x","needed":"$this.inputs.greeting","shared":"$this.inputs.shared"},`+
		`"deploy_mapping":{"late":"x","needed":"override","shared":"$this.inputs.shared"},`+
		`"consumes":{"pg":"$db.deployment"},"deployment_name":"dep","variable":"dep","scopes":["build","deploy"]}]`, asJSON(t, m.Depends))
	require.Equal(t, `[{"name":"postgres","scopes":["build","deploy"],"variable":"db","skip_activate":false,"skip_deactivate":false},`+
		`{"name":"registry","scopes":["build"],"variable":"registry","skip_activate":true,"skip_deactivate":false}]`, asJSON(t, m.Consumes))
	require.Equal(t, `[{"id":"greeting","type":"string","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]},`+
		`{"id":"shared","type":"string","default":"s","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]},`+
		`{"id":"tags","type":"list","default":["a","b"],"description":"Tags","friendly":"The tags","visible":true,"options":{"string":true},"items":["a","b","c"],"eval_before_dependencies":true,"scopes":["build","deploy"]},`+
		`{"id":"count","type":"integer","default":3,"visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]},`+
		`{"id":"version","type":"version","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]},`+
		`{"id":"secret","type":"string","visible":false,"sensitive":true,"items":null,"eval_before_dependencies":false,"scopes":["deploy"]}]`, asJSON(t, m.Inputs))
	require.Equal(t, `{"backup":{"name":"backup","description":"Back it up","script":"","exec_stage":{"script":"backup.sh now"},`+
		`"inputs":[{"id":"where","type":"string","default":"here","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]}]}}`, asJSON(t, m.Errands))
	require.Equal(t, "conf.txt", m.Templates[0].Target)
	require.Equal(t, "$this.name", m.Templates[0].Mapping["name"])
	require.Equal(t, "$this.inputs.greeting", m.Templates[0].Mapping["greeting"])
	require.NotContains(t, m.Templates[0].Mapping, "secret", "an input that is not in all scopes of the template")
	require.Equal(t, "$this.inputs.secret", m.Templates[1].Mapping["secret"])
	require.Equal(t, int64(1), m.Templates[1].Mapping["x"])
	require.Equal(t, `[{"url":"http://h/f","dest":"dl.txt","overwrite":false,"if_not_exists":["x"],"unpack":false,"platform":"linux","arch":"","scopes":["build","deploy"]}]`, asJSON(t, m.Downloads))
	document, err := m.Indented()
	require.NoError(t, err)
	again, err := release.Decode(document)
	require.NoError(t, err, "what is compiled can be registered")
	require.Equal(t, asJSON(t, m), asJSON(t, again))
}

// Each field in each of its forms (facts 3.1), where the full plan above has another one.
func TestFormsOfFields(t *testing.T) {
	m := compiled(t, map[string]string{"escape.yml": `
name: app
version: auto
depends:
- {release_id: ns/dep-v1.2.3, variable: one, deployment_name: first, scopes: [build], mapping: {needed: 1, shared: 2, late: 3}}
- {release_id: "ns/dep:v1.2.3 as two", scopes: deploy, mapping: {needed: [1, $this.name], shared: true, late: 3}, build_mapping: {needed: x}}
- ns/dep:production as three
consumes: one
build_consumes: [both as b, only]
deploy_consumes: [both as b, {name: other, variable: o, scopes: [build, deploy], skip_deactivate: true}]
inputs: single
build_inputs: [at_build, {id: everywhere, scopes: [build, deploy]}]
outputs: [{id: anything, type: bool, default: yes}]
build_outputs: [at_build]
deploy_outputs: [{id: at_deploy, type: "list[integer]", default: "[1, 2]"}]
provides: web
includes: a.txt
errands: {old: {script: run.sh}, long: {run: {cmd: echo, args: [$this.version]}, description: Says it}}
templates: [{file: t.tpl, scopes: build}, {file: t.tpl, target: c.conf}]
build_templates: [{file: t.tpl, target: b.conf}]
deploy_templates: [{file: t.tpl, target: c.conf}, t.tpl2]
smoke: {inline: "a\nb"}
activate_provider: run.sh on
deactivate_provider: run.sh off
`, "a.txt": "", "run.sh": "", "t.tpl": "", "t.tpl2": ""}, newShelf(t, dependency, `{"name":"dep","version":"1.0","project":"ns"}`))
	require.Equal(t, "0", m.Version)
	require.Equal(t, []string{"one", "first", "ns/dep-v1.2.3", "build"}, []string{m.Depends[0].Variable, m.Depends[0].DeploymentName, m.Depends[0].ReleaseID, strings.Join(m.Depends[0].Scopes, ",")})
	require.Equal(t, `{"late":3,"needed":1,"shared":2}`, asJSON(t, m.Depends[0].BuildMapping))
	require.Equal(t, []string{"two", "two", "ns/dep-v1.2.3", "deploy"}, []string{m.Depends[1].Variable, m.Depends[1].DeploymentName, m.Depends[1].ReleaseID, strings.Join(m.Depends[1].Scopes, ",")})
	require.Equal(t, `{"late":3,"needed":[1,"$this.name"],"shared":true}`, asJSON(t, m.Depends[1].DeployMapping))
	require.Equal(t, `{"late":3,"needed":"x","shared":true}`, asJSON(t, m.Depends[1].BuildMapping))
	require.Equal(t, []string{"three", "ns/dep-v1.0"}, []string{m.Depends[2].Variable, m.Depends[2].ReleaseID}, "a tag is pinned to its version")
	require.Equal(t, `[{"name":"one","scopes":["build","deploy"],"variable":"one","skip_activate":false,"skip_deactivate":false},`+
		`{"name":"both","scopes":["build","deploy"],"variable":"b","skip_activate":false,"skip_deactivate":false},`+
		`{"name":"only","scopes":["build"],"variable":"only","skip_activate":false,"skip_deactivate":false},`+
		`{"name":"other","scopes":["build","deploy"],"variable":"o","skip_activate":false,"skip_deactivate":true},`+
		`{"name":"postgres","scopes":["build","deploy"],"variable":"pg","skip_activate":true,"skip_deactivate":true}]`, asJSON(t, m.Consumes))
	scopes := func(list []*release.Variable) map[string]string {
		out := map[string]string{}
		for _, v := range list {
			out[v.ID] = strings.Join(v.Scopes, ",")
		}
		return out
	}
	require.Equal(t, map[string]string{"single": "build,deploy", "at_build": "build", "everywhere": "build,deploy"}, scopes(m.Inputs))
	require.Equal(t, map[string]string{"anything": "build,deploy", "at_build": "build", "at_deploy": "deploy"}, scopes(m.Outputs))
	require.Equal(t, []any{true, []any{int64(1), int64(2)}, map[string]any{"integer": true}}, []any{m.Outputs[0].Default, m.Outputs[2].Default, m.Outputs[2].Options})
	require.Equal(t, `[{"name":"web"}]`, asJSON(t, m.Provides))
	require.Equal(t, `{"script":"run.sh"}`, asJSON(t, m.Errands["old"].ExecStage))
	require.Equal(t, `{"cmd":"echo","args":["$this.version"]}`, asJSON(t, m.Errands["long"].ExecStage))
	require.Equal(t, `{"activate_provider":{"script":"run.sh on"},"deactivate_provider":{"script":"run.sh off"},"smoke":{"inline":"a\nb"}}`, asJSON(t, m.Stages))
	var targets []string
	for _, template := range m.Templates {
		targets = append(targets, template.File+" "+template.Target+" "+strings.Join(template.Scopes, ","))
	}
	require.Equal(t, []string{"t.tpl t build", "t.tpl c.conf build", "t.tpl b.conf build", "t.tpl c.conf deploy", "t.tpl2 t deploy"}, targets,
		"of two for one target each has its scope; where both have it the later one counts")
	require.Equal(t, `{"branch":"$this.branch","description":"$this.description","everywhere":"$this.inputs.everywhere","id":"$this.id","logo":"$this.logo","name":"$this.name","release":"$this.release",`+
		`"repository":"$this.repository","revision":"$this.revision","single":"$this.inputs.single","version":"$this.version","versionless_release":"$this.versionless_release"}`, asJSON(t, m.Templates[len(m.Templates)-1].Mapping))
	require.Len(t, m.Files, 4, "%v", m.Files)
}

func TestDependencyInputsAndConsumersAreTakenOver(t *testing.T) {
	m := compiled(t, map[string]string{"escape.yml": `
name: app
version: 1.0
depends: [{release_id: ns/dep-latest, scopes: [deploy]}]
inputs: [{id: late, default: x, eval_before_dependencies: false}]
`}, newShelf(t, dependency))
	require.Equal(t, "ns/dep", m.Depends[0].Variable)
	require.Equal(t, "ns/dep", m.Depends[0].DeploymentName)
	require.Equal(t, `{"needed":"$this.inputs.needed","shared":"$this.inputs.shared"}`, asJSON(t, m.Depends[0].DeployMapping))
	require.Equal(t, `{}`, asJSON(t, m.Depends[0].BuildMapping))
	require.Equal(t, map[string]string{"pg": "$pg.deployment"}, m.Depends[0].Consumes)
	require.Equal(t, `[{"name":"postgres","scopes":["deploy"],"variable":"pg","skip_activate":true,"skip_deactivate":true}]`, asJSON(t, m.Consumes))
	require.Len(t, m.Inputs, 3)
	require.Equal(t, []string{"late", "needed", "shared"}, []string{m.Inputs[0].ID, m.Inputs[1].ID, m.Inputs[2].ID})
	require.Equal(t, []string{"deploy"}, m.Inputs[1].Scopes)
}

// A release may have one variable of an id for builds and another one for deployments; both feed a dependency's input.
func TestInputsOfOneIDInEachScope(t *testing.T) {
	m := compiled(t, map[string]string{"escape.yml": "name: app\nversion: 1.0\ndepends: [ns/dep-v1.2.3 as dep]\nbuild_inputs: [needed, shared, late]\n" +
		"deploy_inputs: [{id: needed, type: integer}, shared, {id: late, default: x, eval_before_dependencies: false}]\n"}, newShelf(t, dependency))
	require.Len(t, m.Inputs, 6)
	for _, v := range m.Inputs {
		require.Len(t, v.Scopes, 1, v.ID)
	}
	require.Equal(t, `{"late":"$this.inputs.late","needed":"$this.inputs.needed","shared":"$this.inputs.shared"}`, asJSON(t, m.Depends[0].BuildMapping))
	require.Equal(t, `{"needed":"$this.inputs.needed","shared":"$this.inputs.shared"}`, asJSON(t, m.Depends[0].DeployMapping))
}

func TestExtends(t *testing.T) {
	inventory := newShelf(t, dependency, extension)
	before := asJSON(t, inventory.documents[1])
	m := compiled(t, map[string]string{
		"escape.yml": "name: my-project/app\nversion: 1.0\nextends: [infra/ext-latest]\nmetadata: {both: own}\ndeploy: own.sh\ninputs: [{id: own, default: own}]\n",
		"own.sh":     "", "out/made": "x",
	}, inventory)
	require.Equal(t, []release.Extension{{ReleaseID: "infra/ext-v1.0"}}, m.Extends)
	require.Equal(t, `{"build":{"script":"deps/infra/ext/build.sh arg"},"deploy":{"script":"own.sh"},"smoke":{"cmd":"true"},"test":{"inline":"true"}}`, asJSON(t, m.Stages))
	require.Equal(t, map[string]string{"from": "ext", "both": "own"}, m.Metadata)
	require.Equal(t, []string{"out/*"}, m.Generates)
	require.Contains(t, m.Files, "out/made")
	require.True(t, m.Provide("web"))
	require.Equal(t, "k8s", m.Consumes[0].Name)
	require.Equal(t, "deps/infra/ext/backup.sh", m.Errands["backup"].ExecStage.Script)
	require.Equal(t, "deps/infra/ext/a.tpl", m.Templates[0].File)
	require.Equal(t, "a", m.Templates[0].Target)
	require.Equal(t, "ns/dep-v1.2.3", m.Depends[0].ReleaseID)
	require.Equal(t, "address", m.Outputs[0].ID)
	require.Equal(t, []any{"region", "eu", "own", "own"}, []any{m.Inputs[0].ID, m.Inputs[0].Default, m.Inputs[1].ID, m.Inputs[1].Default})
	require.Equal(t, before, asJSON(t, inventory.documents[1]), "the extension itself is not changed")
}

// TestPlanErrors: every mistake is told with its file, line and field.
func TestPlanErrors(t *testing.T) {
	inventory := newShelf(t, dependency)
	start := "name: app\nversion: 1.0\n"
	for text, want := range map[string]string{
		"":                                  "escape.yml: the plan is empty",
		"# nothing\n":                       "escape.yml: the plan is empty",
		"- a\n":                             "escape.yml:1: a plan is a map of fields such as 'name' and 'version'",
		"just text":                         "escape.yml:1: a plan is a map of fields such as 'name' and 'version'",
		"name: [":                           "escape.yml:1: not valid YAML: did not find expected node content",
		"a: b\n\tc: d":                      "escape.yml:2: not valid YAML: found a tab character that violates indentation",
		"\x00\x01":                          "escape.yml: not valid YAML: control characters are not allowed",
		start + "---\n":                     "escape.yml:3: the plan holds more than one document",
		"version: 1.0":                      "escape.yml: field 'name': the field is required",
		"name: app":                         "escape.yml: field 'version': the field is required",
		"name: app\nversion:\n":             "escape.yml:2: field 'version': the field is required",
		"name: App\nversion: 1.0":           "escape.yml:1: field 'name': Invalid name 'App'",
		"name: list\nversion: 1.0":          "escape.yml:1: field 'name': The name 'list' is a protected variable.",
		"name: A/app\nversion: 1.0":         "escape.yml:1: field 'name': Invalid name 'A'",
		"name: app\nversion: abc":           "escape.yml:2: field 'version': Invalid version string 'abc'.",
		"name: app\nversion: 1.@.@":         "escape.yml:2: field 'version': Invalid version string '1.@.@'.",
		"name: app\nversion: $nope.version": "escape.yml:2: field 'version': there is no variable 'nope' here (in \"$nope.version\" at character 1)",
		"name: app\nversion: [1]":           "escape.yml:2: field 'version': expected a text",
		start + "name: app\n":               "escape.yml:3: the key 'name' is there twice",
		start + "depends:\n- bad\n":         "escape.yml:4: field 'depends': Invalid release format: bad.",
		start + "depends:\n- ns/dep-v1.2.3\n- ns/gone-v1\n":                      "escape.yml:5: field 'depends': the release 'ns/gone-v1' was not found in the inventory",
		start + "depends:\n- ns/dep-latest\n- ns/dep-v1.@\n":                     "escape.yml:5: field 'depends': two dependencies are called 'ns/dep': give them names with 'as' or 'deployment_name'",
		start + "depends: [{mapping: {a: b}}]":                                   "escape.yml:3: field 'depends': 'release_id' is required",
		start + "depends: [ns/dep-v1 as this]":                                   "escape.yml:3: field 'depends': 'this' stands for the release itself and cannot be used as a name",
		start + "depends: [ns/dep-v1 as a.b]":                                    "escape.yml:3: field 'depends': 'a.b' cannot be used as a name: expected letters, digits, '-' and '_'",
		start + "depends: [{release_id: ns/dep-v1, scopes: [test]}]":             "escape.yml:3: field 'depends': unknown scope 'test': expected 'build' or 'deploy'",
		start + "depends:\n- release_id: ns/dep-v1\n  mapping:\n    a: $this.\n": "escape.yml:6: field 'depends': expected a name after '.' (in \"$this.\" at character 7)",
		start + "extends: [ns/gone-v1]":                                          "escape.yml:3: field 'extends': the release 'ns/gone-v1' was not found in the inventory",
		start + "build: build.sh":                                                "escape.yml:3: field 'build': missing script build.sh",
		start + "deploy: ./x":                                                    "escape.yml:3: field 'deploy': missing script ./x",
		start + "deploy: {script: x}":                                            "escape.yml:3: field 'deploy': missing script x",
		start + "deploy: {script: ../x}":                                         "escape.yml:3: field 'deploy': the script ../x is not in the plan's folder",
		start + "build: {cmd: a, inline: b}":                                     "escape.yml:3: field 'build': Found a problem in the 'build' field: More than one field is set. Expecting only one of 'cmd', 'inline' and 'script'.",
		start + "build: {run: a}":                                                "escape.yml:3: field 'build': unknown key 'run': expected one of cmd, args, inline, script",
		start + "build: echo 'x":                                                 "escape.yml:3: field 'build': a quote is not closed",
		start + "build: echo $this.name.":                                        "escape.yml:3: field 'build': expected a name after '.' (in \"$this.name.\" at character 12)",
		start + "build: [a]":                                                     "escape.yml:3: field 'build': expected a map with the keys cmd, args, inline, script",
		start + "inputs:\n- a\n- 1x\n":                                           "escape.yml:5: field 'inputs': Invalid variable id '1x': expected letters, then letters, digits, '-' and '_'",
		start + "inputs: [{type: string}]":                                       "escape.yml:3: field 'inputs': Variable object is missing an 'id'",
		start + "inputs: [PREVIOUS_x]":                                           "escape.yml:3: field 'inputs': Invalid variable id 'PREVIOUS_x': ids that start with 'PREVIOUS_' are reserved",
		start + "inputs:\n- a\nbuild_inputs:\n- a\n":                             "escape.yml:4: field 'inputs': the variable 'a' is defined twice for the scope 'build'",
		start + "inputs: [{id: a, type: float}]":                                 "escape.yml:3: field 'inputs': Unknown variable type 'float'",
		start + "inputs: [{id: a, type: integer, default: x}]":                   "escape.yml:3: field 'inputs': the default value of the variable 'a' is not a whole number",
		start + "inputs: [{id: a, items: x}]":                                    "escape.yml:3: field 'inputs': the items of 'a' are a list or an expression that gives one",
		start + "inputs: [{id: version, default: x}]":                            "escape.yml:3: field 'inputs': the variable 'version' of type 'version' is set by the platform and has no default",
		start + "inputs: [{id: a, visible: x}]":                                  "escape.yml:3: field 'inputs': expected true or false",
		start + "inputs: [[a]]":                                                  "escape.yml:3: field 'inputs': an item of the list is empty or a list itself",
		start + "metadata: [a]":                                                  "escape.yml:3: field 'metadata': expected a map of texts",
		start + "metadata:\n  a: b\n  c: $nope\n":                                "escape.yml:5: field 'metadata': there is no variable 'nope' here (in \"$nope\" at character 1)",
		start + "includes: [../x]":                                               "escape.yml:3: field 'includes': the path '../x' leaves the plan's folder",
		start + "includes: [/etc]":                                               "escape.yml:3: field 'includes': the path '/etc' leaves the plan's folder",
		start + "includes: ['[']":                                                "escape.yml:3: field 'includes': '[' is not a valid pattern",
		start + "logo: nope.png":                                                 "escape.yml:3: field 'logo': the file 'nope.png' cannot be read",
		start + "logo: ../x":                                                     "escape.yml:3: field 'logo': the path '../x' leaves the plan's folder",
		start + "templates: [a.tpl]":                                             "escape.yml:3: field 'templates': missing template a.tpl",
		start + "templates: [bad.tpl]":                                           "escape.yml:3: field 'templates': the template bad.tpl is not valid Mustache: line 1: unmatched open tag",
		start + "templates: [noext]":                                             "escape.yml:3: field 'templates': the template 'noext' needs a 'target', since it has no extension that could be left out",
		start + "downloads: [{url: x}]":                                          "escape.yml:3: field 'downloads': Missing 'dest' in download config for 'x'",
		start + "downloads: [{dest: x}]":                                         "escape.yml:3: field 'downloads': 'url' is required",
		start + "errands: {backup: {}}":                                          "escape.yml:3: field 'errands': the errand 'backup' needs 'run'",
		start + "errands: {backup: {run: x.sh}}":                                 "escape.yml:3: field 'errands': missing script x.sh",
		start + "errands: [a]":                                                   "escape.yml:3: field 'errands': expected a map of errands",
		start + "consumes: [{scopes: [build]}]":                                  "escape.yml:3: field 'consumes': 'name' is required",
		start + "consumes: [a as x, b as x]":                                     "escape.yml:3: field 'consumes': the variable 'x' is used for two consumers",
	} {
		_, err := compile(t, map[string]string{"escape.yml": text, "bad.tpl": "{{"}, inventory, Options{})
		var typed *Error
		require.ErrorAs(t, err, &typed, text)
		require.Equal(t, want, err.Error(), text)
	}
}

// TestS14YAMLBombs: small files that would become large are refused at once.
func TestS14YAMLBombs(t *testing.T) {
	laughs := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		n := string(rune('a'+i)) + "0"
		p := string(rune('a'+i-1)) + "0"
		laughs += n + ": &" + n + " [" + strings.Repeat("*"+p+",", 9) + "*" + p + "]\n"
	}
	merges := "a0: &a0 {k: [x,x,x,x,x,x,x,x,x,x]}\n"
	var keys strings.Builder
	for i := range 600 {
		merges += fmt.Sprintf("b%d: {<<: [*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0]}\n", i)
	}
	for i := range 40_000 {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
	}
	long := keys.String()
	for name, test := range map[string]struct{ text, want string }{
		"billion laughs": {laughs, "once its aliases are written out"},
		"merges":         {merges, "once its aliases are written out"},
		"long map":       {long, "field 'name': the field is required"},
		"itself":         {"a: &a [*a]\n", "deeper"},
		"deep":           {"a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "deeper"},
		"large":          {"a: " + strings.Repeat("x", 2<<20), "over the limit of 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			_, err := Parse("escape.yml", []byte(test.text))
			var typed *Error
			require.ErrorAs(t, err, &typed)
			require.ErrorContains(t, err, test.want)
			require.Less(t, time.Since(started), 5*time.Second)
		})
	}
}

func TestAliasesAndMerges(t *testing.T) {
	p, err := Parse("escape.yml", []byte("name: app\nversion: 1.0\ncommon: &c {type: integer, default: 1}\ninputs:\n- {<<: *c, id: a}\n- {<<: *c, id: b, default: 2}\n"))
	require.NoError(t, err)
	require.Equal(t, int64(1), p.Inputs[0].Default)
	require.Equal(t, int64(2), p.Inputs[1].Default)
}

// TestS14TemplatesReadNoFiles: a partial could otherwise name any file of the machine.
func TestS14TemplatesReadNoFiles(t *testing.T) {
	_, err := RenderTemplate("{{> /etc/passwd}}", nil)
	require.ErrorContains(t, err, "partials are not supported")
	out, err := RenderTemplate("{{name}} {{{raw}}} {{#on}}yes{{/on}} {{#list}}<{{.}}>{{/list}}",
		map[string]any{"name": "a&b", "raw": "a&b", "on": true, "list": []any{"x", int64(2)}})
	require.NoError(t, err)
	require.Equal(t, "a&amp;b a&b yes <x><2>", out)
}

func TestFilesStayInTheFolder(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "src")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".escape/target"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".git"), 0o755))
	for name, content := range map[string]string{"a": "a", ".escape/target/x.tgz": "x", ".git/config": "secret", "../secret": "secret"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	require.NoError(t, os.Symlink("a", filepath.Join(dir, "inside")))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	c := &Compiled{Metadata: &release.Metadata{}, includes: []string{"."}}
	require.NoError(t, c.CollectFiles(root))
	require.Equal(t, map[string]string{"a": "0cc175b9c0f1b6a831c399e269772661", "inside": "0cc175b9c0f1b6a831c399e269772661"}, c.Metadata.Files)

	require.NoError(t, os.Symlink("../secret", filepath.Join(dir, "outside")))
	var wrong *FileError
	require.ErrorAs(t, c.CollectFiles(root), &wrong)
	require.Equal(t, "the file 'outside' cannot be packaged: it cannot be read or is a link that leaves the plan's folder", wrong.Message)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"name: app\nversion: 1.0\n", "name: a/b\nversion: '@'\ndepends: [x-v1 as y]\nbuild: echo $this.name\n",
		"name: app\nversion: 1.0\ninputs: [{id: a, type: 'list[string]', default: '[]', items: [a]}]\nerrands: {x: {run: {inline: y}}}\n",
		"a: &a [*a]\n", "a: {<<: {b: c}}\n", "templates: [{file: a.b, mapping: {x: [1.5, .inf, ~]}}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		require.NoError(t, err)
		defer root.Close()
		_, faults, err := Check(t.Context(), "escape.yml", data, root, &shelf{}, Options{ReadOnly: true})
		require.NoError(t, err)
		p, err := Parse("escape.yml", data)
		if err != nil {
			var typed *Error
			require.ErrorAs(t, err, &typed)
			require.NotEmpty(t, faults)
			return
		}
		c, err := Compile(t.Context(), p, root, &shelf{}, Options{})
		require.Equal(t, err == nil, len(faults) == 0)
		if err != nil {
			return
		}
		document, err := c.Metadata.Indented()
		require.NoError(t, err)
		_, err = release.Decode(document)
		require.NoError(t, err)
	})
}

func FuzzWords(f *testing.F) {
	for _, seed := range []string{"a b", `a "b c" 'd' e\ f`, `$__concat("a b") x`, "$(x", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := Words(text)
		if err == nil {
			require.NotEmpty(t, words)
		}
	})
}
