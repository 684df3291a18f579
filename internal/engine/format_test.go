package engine

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/state"
)

var quick = ReleaseSteps{Package: true, Push: true}

// push makes a release without running anything.
func (b *bench) push(t *testing.T, files map[string]string) *ReleaseResult {
	t.Helper()
	result, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: quick})
	require.NoError(t, err)
	return result
}

func (b *bench) deploy(t *testing.T, id string, target Target) (*DeployResult, string, error) {
	t.Helper()
	dir := t.TempDir()
	result, err := b.Deploy(t.Context(), DeployRequest{Dir: dir, Release: b.mustID(t, id), Target: target})
	return result, dir, err
}

func TestExtensionRunsInTheFolderOfWhatExtendsIt(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{
		"escape.yml":  "name: infra/base\nversion: 1.0\nincludes: [lib]\ndeploy: run.sh arg\noutputs: [who]\n",
		"run.sh":      ". ./deps/infra/base/lib/name.sh\nprintf '{\"who\":\"%s %s\"}' \"$(cat own.txt)\" \"$name $1\" > \"$2\"\n",
		"lib/name.sh": "name=base\n",
	})
	b.push(t, map[string]string{
		"escape.yml": "name: infra/middle\nversion: 1.0\nextends: [infra/base-v1.@]\nsmoke: {inline: 'test \"$OUTPUT_who\" = \"mine base arg\"'}\n",
	})
	b.push(t, map[string]string{
		"escape.yml": "name: app\nversion: 1.0\nextends: [infra/base-latest]\nincludes: [own.txt]\n", "own.txt": "mine",
	})
	_, _, err := b.deploy(t, "app-v1.0", Target{Deployment: "app"})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "mine base arg", b.state.environment.Deployments["app"].Stages["deploy"].CalculatedOutputs["who"])

	// An extension of an extension: its package is below the one that extends it.
	b.push(t, map[string]string{"escape.yml": "name: twice\nversion: 1.0\nextends: [infra/middle-latest]\nincludes: [own.txt]\n", "own.txt": "mine"})
	require.Equal(t, "deps/infra/middle/deps/infra/base/run.sh arg", b.inventory.releases["_/twice-v1.0"].Stages["deploy"].Script)
}

func TestTemplates(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{
		"escape.yml": "name: app\nversion: 2.0\ninputs: [{id: tags, type: list, default: [x, y]}, {id: on, type: bool, default: true}]\n" +
			"templates: [conf.txt.tpl]\ndeploy_templates: [{file: in/a.tpl, target: out/a.txt, mapping: {extra: '$this.version.upper()'}}]\ndeploy: {cmd: cat, args: [conf.txt, out/a.txt]}\n",
		"conf.txt.tpl": "{{name}} {{version}}{{#tags}} {{.}}{{/tags}}{{#on}} on{{/on}}\n", "in/a.tpl": "{{{extra}}}\n",
	})
	_, dir, err := b.deploy(t, "app-latest", Target{})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "app 2.0 x y on\n2.0\n", b.runner.out.String())
	require.FileExists(t, filepath.Join(dir, "out/a.txt"))
}

// TestScriptTextIsReadByAShell: what the author writes behind a script is shell text, and expressions in it are one
// argument each.
func TestScriptTextIsReadByAShell(t *testing.T) {
	nasty := "a  b; echo $(id) \"'"
	for text, want := range map[string]string{
		"args.sh":                                  "[.escape/outputs.json]",
		"args.sh one 'two words'":                  "[one][two words][.escape/outputs.json]",
		"args.sh $this.inputs.n x":                 "[" + nasty + "][x][.escape/outputs.json]",
		`args.sh "$INPUT_n" $this.inputs.n`:        "[" + nasty + "][" + nasty + "][.escape/outputs.json]",
		"args.sh $(echo a b) ${INPUT_m}":           "[a][b][m][.escape/outputs.json]",
		"args.sh --m=$INPUT_m && ./args.sh second": "[--m=m][second][.escape/outputs.json]",
		`args.sh $__concat("p q", $this.version)`:  "[p q1.0][.escape/outputs.json]",
		"$this.inputs.script $this.inputs.m":       "[m][.escape/outputs.json]",
		"args.sh $nothing.here":                    "[.here][.escape/outputs.json]",
	} {
		b := newBench(t)
		stage := "'" + strings.ReplaceAll(text, "'", "''") + "'"
		if strings.HasPrefix(text, "$") {
			stage = "{script: " + stage + "}"
		}
		b.push(t, map[string]string{"escape.yml": head + "includes: ['*.sh']\ninputs: [n, {id: m, default: m}, {id: script, default: args.sh}]\ndeploy: " + stage + "\n",
			"args.sh": "printf '[%s]' \"$@\"\n"})
		_, _, err := b.deploy(t, "app-v1.0", Target{Variables: map[string]any{"n": nasty}})
		require.NoError(t, err, text+b.runner.out.String())
		require.Equal(t, want, b.runner.out.String(), text)
	}
}

func TestErrands(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{
		"escape.yml": "name: app\nversion: 1.0\ninputs: [{id: name, default: x}]\noutputs: [{id: url, default: u}]\ndeploy: {inline: 'true'}\n" +
			"errands:\n  backup: {run: backup.sh, inputs: [{id: where, items: [a, b]}, {id: n, type: integer, default: 2}]}\n  fail: {run: {inline: exit 4}}\n",
		"backup.sh": "printf '{\"done\":\"%s %s %s %s %s\"}' \"$INPUT_where\" \"$INPUT_n\" \"$INPUT_name\" \"$INPUT_OUTPUT_url\" \"$OUTPUT_url\" > \"$1\"\n",
	})
	_, _, err := b.deploy(t, "app-v1.0", Target{Deployment: "app"})
	require.NoError(t, err)
	run := func(errand string, inputs map[string]any) (*DeployResult, error) {
		return b.Errand(t.Context(), DeployedRequest{Dir: t.TempDir(), Errand: errand, Target: Target{Deployment: "app", Variables: inputs}})
	}
	result, err := run("backup", map[string]any{"where": "a"})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, map[string]any{"done": "a 2 x u u"}, result.Outputs)
	require.Equal(t, "errands.backup", b.runner.scripts[len(b.runner.scripts)-1].Step)
	require.False(t, b.runner.scripts[len(b.runner.scripts)-1].Repeatable)
	_, err = run("backup", map[string]any{"where": "c"})
	require.EqualError(t, err, `the value of 'where' of app-v1.0 is not one of its items: ["a" "b"]`)
	_, err = run("backup", nil)
	require.EqualError(t, err, "missing value for the input 'where' of app-v1.0")
	_, err = run("nope", nil)
	require.EqualError(t, err, "app-v1.0 has no errand 'nope'")
	_, err = run("fail", nil)
	require.EqualError(t, err, "the inline script 'errands.fail' of app-v1.0 exited with status 4")
	require.Equal(t, state.OK, b.state.environment.Deployments["app"].Stages["deploy"].CodeOf(), "an errand does not change the status")
}

func providerRelease(name, provides, more string) map[string]string {
	return map[string]string{"escape.yml": "name: infra/" + name + "\nversion: 1.0\nprovides: [" + provides + "]\noutputs: [{id: address, default: " + name + ".local}]\n" +
		"deploy: {inline: 'true'}\nactivate_provider: on.sh\ndeactivate_provider: {inline: 'echo \"off $OUTPUT_address\"'}\n" + more,
		"on.sh": "echo \"on $OUTPUT_address\"\n"}
}

func TestProviders(t *testing.T) {
	b := newBench(t)
	b.push(t, providerRelease("net", "network", ""))
	b.push(t, providerRelease("db", "postgres", "consumes: [network]\n"))
	b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1.0\nconsumes: [postgres as pg]\ninputs: [{id: db, default: $pg.outputs.address}]\n" +
		"deploy: {inline: 'echo deploy $INPUT_db'}\nsmoke: {inline: 'echo smoke $INPUT_db; exit 1'}\n"})

	_, _, err := b.deploy(t, "app-v1.0", Target{})
	require.EqualError(t, err, "Missing provider of type 'postgres'. This can be configured using the -p / --extra-provider flag.")
	for _, id := range []string{"infra/net-v1.0", "infra/db-v1.0"} {
		_, _, err := b.deploy(t, id, Target{})
		require.NoError(t, err)
	}
	b.runner.out.Reset()
	b.runner.scripts = nil
	_, _, err = b.deploy(t, "app-v1.0", Target{})
	require.NoError(t, err)
	require.Equal(t, "on net.local\non db.local\ndeploy db.local\noff db.local\noff net.local\n", b.runner.out.String(),
		"a provider's own providers come first and go last")
	require.Equal(t, map[string]string{"pg": "infra/db"}, b.state.environment.Deployments["_/app"].Stages["deploy"].Providers)
	for _, s := range b.runner.scripts {
		require.False(t, s.Repeatable)
	}

	// What was activated is deactivated after a failure too.
	b.runner.out.Reset()
	_, err = b.Smoke(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "_/app"}})
	require.EqualError(t, err, "the inline script 'smoke' of app-v1.0 exited with status 1")
	require.Equal(t, "on net.local\non db.local\nsmoke db.local\noff db.local\noff net.local\n", b.runner.out.String())
	require.Equal(t, state.TestFailure, b.state.environment.Deployments["_/app"].Stages["deploy"].CodeOf())

	// A second one makes the choice ambiguous for new deployments, but not for those that have one.
	_, _, err = b.deploy(t, "infra/db-v1.0", Target{Deployment: "other-db"})
	require.NoError(t, err)
	_, _, err = b.deploy(t, "app-v1.0", Target{})
	require.NoError(t, err)
	_, _, err = b.deploy(t, "app-v1.0", Target{Deployment: "new"})
	require.EqualError(t, err, "Missing provider of type 'postgres'. This can be configured using the -p / --extra-provider flag. These deployments provide it: infra/db, other-db.")
	_, _, err = b.deploy(t, "app-v1.0", Target{Deployment: "new", Providers: map[string]string{"postgres": "other-db"}})
	require.NoError(t, err)
	_, _, err = b.deploy(t, "app-v1.0", Target{Deployment: "newer", Providers: map[string]string{"pg": "gone"}})
	require.EqualError(t, err, "the deployment 'gone', which is to provide 'postgres', is not deployed in the environment 'dev'")

	// One that failed is not chosen by itself.
	b.state.environment.Deployments["other-db"].Stages["deploy"].Status.Code = state.Failure
	_, _, err = b.deploy(t, "app-v1.0", Target{Deployment: "newest"})
	require.NoError(t, err)
}

func TestConsumersOfDependenciesGetTheProviderOfTheParent(t *testing.T) {
	b := newBench(t)
	b.push(t, providerRelease("db", "postgres", ""))
	b.push(t, map[string]string{"escape.yml": "name: dep\nversion: 1.0\nconsumes: [postgres as pg]\noutputs: [{id: db, default: $pg.outputs.address}]\ndeploy: {inline: 'true'}\n"})
	b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1.0\ndepends: [dep-latest as dep]\noutputs: [{id: db, default: $dep.outputs.db}]\n"})
	b.push(t, map[string]string{"escape.yml": "name: app2\nversion: 1.0\nconsumes: [postgres as mine]\ndepends: [{release_id: dep-latest as dep, consumes: {pg: $mine.deployment}}]\n"})
	for name := range map[string]bool{"one": true, "two": true} {
		_, _, err := b.deploy(t, "infra/db-v1.0", Target{Deployment: name})
		require.NoError(t, err)
	}
	result, _, err := b.deploy(t, "app-v1.0", Target{Providers: map[string]string{"pg": "two"}})
	require.NoError(t, err)
	require.Equal(t, "db.local", result.Outputs["db"])
	nested := b.state.environment.Find([]string{"_/app", "dep"}, "deploy")
	require.Equal(t, map[string]string{"pg": "two"}, nested.Stages["deploy"].Providers)
	_, _, err = b.deploy(t, "app2-v1.0", Target{Providers: map[string]string{"mine": "one"}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"pg": "one"}, b.state.environment.Find([]string{"_/app2", "dep"}, "deploy").Stages["deploy"].Providers)
}

// TestNestedDependencies: a dependency of a dependency, and the same release twice under two names.
func TestNestedDependencies(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: leaf\nversion: 1.0\ninputs: [{id: n, type: integer}]\noutputs: [{id: n, type: integer, default: $this.inputs.n}]\ndeploy: {inline: 'echo leaf $INPUT_n'}\ndestroy: {inline: 'echo gone $INPUT_n'}\n"})
	b.push(t, map[string]string{"escape.yml": "name: leaf\nversion: 2.0\ninputs: [{id: n, type: integer}]\ndeploy: {inline: 'echo new $INPUT_n'}\ndestroy: {inline: 'echo newgone $INPUT_n'}\n"})
	b.push(t, map[string]string{"escape.yml": "name: middle\nversion: 1.0\ndepends:\n- {release_id: leaf-v1.0 as a, mapping: {n: 1}}\n- {release_id: leaf-v1.0 as b, mapping: {n: '$a.outputs.n.add(1)'}}\n" +
		"outputs: [{id: sum, type: integer, default: '$a.outputs.n.add($b.outputs.n)'}]\n"})
	b.push(t, map[string]string{"escape.yml": "name: root\nversion: 1.0\ndepends: [middle-v1.0 as middle, {release_id: leaf-v2.0 as leaf, mapping: {n: 9}}]\noutputs: [{id: sum, type: integer, default: $middle.outputs.sum}]\n"})
	result, _, err := b.deploy(t, "root-v1.0", Target{Deployment: "root"})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, int64(3), result.Outputs["sum"])
	require.Equal(t, "leaf 1\nleaf 2\nnew 9\n", b.runner.out.String())
	require.Equal(t, []string{"deploy root:middle:a deploy", "deploy root:middle:b deploy", "deploy root:leaf deploy"}, b.runner.keys())
	require.NotNil(t, b.state.environment.Find([]string{"root", "middle", "a"}, "deploy"))

	b.runner.out.Reset()
	_, err = b.Destroy(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "root"}})
	require.NoError(t, err)
	require.Equal(t, "newgone 9\ngone 2\ngone 1\n", b.runner.out.String())
}

type files map[string][]byte

func (f files) Download(_ context.Context, url, file string) error {
	data, ok := f[url]
	if !ok {
		return os.ErrNotExist
	}
	return os.WriteFile(file, data, 0o600)
}

func tarball(t *testing.T, compressed bool, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.Writer = &out
	if compressed {
		z := gzip.NewWriter(&out)
		defer z.Close()
		w = z
	}
	archive := tar.NewWriter(w)
	for _, h := range entries {
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		h.Mode = 0o755
		require.NoError(t, archive.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := archive.Write([]byte("x"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, archive.Close())
	if compressed {
		require.NoError(t, w.(*gzip.Writer).Close())
	}
	return out.Bytes()
}

func TestDownloads(t *testing.T) {
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	w, err := z.Create("z/in.txt")
	require.NoError(t, err)
	_, err = w.Write([]byte("zip"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	regular := tar.Header{Name: "./t/in.txt", Typeflag: tar.TypeReg}
	b := newBench(t)
	b.Downloads = files{
		"http://h/f": []byte("new"), "http://h/z": zipped.Bytes(), "http://h/t": tarball(t, true, regular),
		"http://h/plain": tarball(t, false, regular), "http://h/app": []byte("evaluated"),
		"http://h/slip": tarball(t, false, tar.Header{Name: "../../evil", Typeflag: tar.TypeReg}),
		"http://h/link": tarball(t, false, tar.Header{Name: "l", Linkname: "/etc", Typeflag: tar.TypeSymlink}),
	}
	b.push(t, map[string]string{"escape.yml": `
name: app
version: 1.0
includes: [there.txt, kept.txt]
downloads:
- {url: "http://h/f", dest: sub/new.txt}
- {url: "http://h/f", dest: there.txt}
- {url: "http://h/f", dest: kept.txt, overwrite: true}
- {url: "http://h/gone", dest: not-needed.txt, if_not_exists: ["there.*"]}
- {url: "http://h/gone", dest: other.txt, platform: plan9}
- {url: "http://h/gone", dest: other.txt, scopes: [build]}
- {url: "http://h/z", dest: z/a.zip, unpack: true}
- {url: "http://h/t", dest: a.tar.gz, unpack: true}
- {url: "http://h/t", dest: tgz/a.tgz, unpack: true}
- {url: "http://h/plain", dest: tar/a.tar, unpack: true}
- {url: "http://h/gone", dest: other.txt, arch: z80}
- {url: '$__concat("http://h/", $this.name)', dest: '$__concat($this.name, ".txt")'}
pre_deploy: {cmd: cat, args: [sub/new.txt, there.txt, kept.txt, z/z/in.txt, t/in.txt, tgz/t/in.txt, tar/t/in.txt, app.txt]}
`, "there.txt": "old", "kept.txt": "old"})
	_, _, err = b.deploy(t, "app-v1.0", Target{})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "newoldnewzipxxxevaluated", b.runner.out.String())

	for url, want := range map[string]string{
		"http://h/slip": "the download of http://h/slip for bad-v1.0: the archive has a path that leaves its folder: '../../evil'",
		"http://h/link": "the download of http://h/link for bad-v1.0: the archive has a link or a special file, which is not supported: 'l'",
		"http://h/gone": "the download of http://h/gone for bad-v1.0: file does not exist",
	} {
		b := newBench(t)
		b.Downloads = files{"http://h/slip": tarball(t, false, tar.Header{Name: "../../evil", Typeflag: tar.TypeReg}),
			"http://h/link": tarball(t, false, tar.Header{Name: "l", Linkname: "/etc", Typeflag: tar.TypeSymlink})}
		b.push(t, map[string]string{"escape.yml": "name: bad\nversion: 1.0\ndownloads: [{url: '" + url + "', dest: a.tar, unpack: true}]\n"})
		_, _, err := b.deploy(t, "bad-v1.0", Target{})
		require.EqualError(t, err, want)
	}
	b = b.fork(t)
	b.Downloads = nil
	_, _, err = b.deploy(t, "app-v1.0", Target{})
	require.ErrorContains(t, err, "downloads are not possible here")
}
