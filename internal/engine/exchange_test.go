package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
	"slipway/internal/state"
)

// clientPackage writes a package as the original client does (facts 3.6): a gzipped tar of regular files, each with the
// folder NAME-vVERSION in front of it, no folders, owner 0, the modes of the files, and the metadata as indented JSON.
func clientPackage(t *testing.T, metadata string, files map[string]string) (*release.Metadata, []byte) {
	t.Helper()
	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(metadata), &document))
	sums := map[string]string{}
	for name, content := range files {
		sum := md5.Sum([]byte(content))
		sums[name] = hex.EncodeToString(sum[:])
	}
	document["files"] = sums
	indented, err := json.MarshalIndent(document, "", "   ")
	require.NoError(t, err)
	m, err := release.Decode(indented)
	require.NoError(t, err)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	add := func(name, content string) {
		mode := int64(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		require.NoError(t, w.WriteHeader(&tar.Header{Name: m.Name + "-v" + m.Version + "/" + name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, content)
		require.NoError(t, err)
	}
	for name, content := range files {
		add(name, content)
	}
	add("release.json", string(indented))
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return m, out.Bytes()
}

// What the client has built and pushed is deployed here: a release with a dependency, an extension and a dependency of that
// dependency, all as the client packs them.
func TestPackagesOfTheClientAreDeployed(t *testing.T) {
	b := newBench(t)
	push := func(metadata string, files map[string]string) {
		t.Helper()
		m, archive := clientPackage(t, metadata, files)
		require.NoError(t, b.inventory.Register(t.Context(), m))
		require.NoError(t, b.inventory.Upload(t.Context(), m.ID(), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }))
	}
	client := `"api_version":15,"built_with_core_version":"0.15.7","built_with_escape_version":"0.28.1",`
	push(`{`+client+`"name":"leaf","project":"ns","version":"3","stages":{"deploy":{"inline":"echo leaf"}}}`, nil)
	push(`{`+client+`"name":"dep","project":"ns","version":"0.1.0","outputs":[{"id":"url","type":"string","default":"http://dep"}],"inputs":[{"id":"dep_in","type":"string"}],
		"depends":[{"release_id":"ns/leaf-v3","variable":"ns/leaf","deployment_name":"ns/leaf","scopes":["build","deploy"]}],
		"stages":{"deploy":{"script":"dep.sh"}}}`, map[string]string{"dep.sh": "#!/bin/sh\necho dep $INPUT_dep_in; test -f deps/ns/leaf/release.json\n"})
	push(`{`+client+`"name":"ext","project":"infra","version":"1.0","stages":{"smoke":{"script":"smoke.sh"}}}`, map[string]string{"smoke.sh": "#!/bin/sh\necho smoke $OUTPUT_url\n"})
	push(`{`+client+`"name":"full","project":"my-project","version":"1.2.0","extends":[{"release_id":"infra/ext-v1.0"}],
		"inputs":[{"id":"greeting","type":"string","default":"hi","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]}],
		"outputs":[{"id":"url","type":"string","default":"$dep.outputs.url"}],
		"depends":[{"release_id":"ns/dep-v0.1.0","mapping":{},"build_mapping":{"dep_in":"$this.inputs.greeting"},"deploy_mapping":{"dep_in":"$this.inputs.greeting"},
			"consumes":{},"deployment_name":"dep","variable":"dep","scopes":["build","deploy"]}],
		"stages":{"deploy":{"script":"bin/deploy.sh one"},"pre_deploy":{"cmd":"echo","args":["pre","$this.version"]},"smoke":{"script":"deps/infra/ext/smoke.sh"}},
		"templates":[{"file":"conf.txt.tpl","target":"conf.txt","scopes":["deploy"],"mapping":{"greeting":"$this.inputs.greeting"}}]}`,
		map[string]string{"bin/deploy.sh": "#!/bin/sh\necho deploy $1; cat conf.txt\n", "conf.txt.tpl": "conf {{greeting}}\n"})
	_, dir, err := b.deploy(t, "my-project/full-latest", Target{Deployment: "full", Variables: map[string]any{"greeting": "yo"}})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "leaf\ndep yo\npre 1.2.0\ndeploy one\nconf yo\n", b.runner.out.String())
	require.FileExists(t, filepath.Join(dir, "deps/ns/dep/deps/ns/leaf/release.json"))
	require.Equal(t, "http://dep", b.state.environment.Deployments["full"].Stages[state.StageDeploy].CalculatedOutputs["url"])
	b.runner.out.Reset()
	_, err = b.Smoke(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "full"}})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "smoke http://dep\n", b.runner.out.String())
}

// What is built here has the layout that the client unpacks.
func TestPackagesHaveTheLayoutOfTheClient(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: ns/dep\nversion: 1.0\n"})
	dir := source(t, map[string]string{"escape.yml": "name: ns/app\nversion: 1.0\ndepends: [ns/dep-v1.0 as dep]\nincludes: [files]\nbuild: build.sh\n", "build.sh": "#!/bin/sh\n", "files/sub/a.txt": "a", "files/b.txt": "b"})
	require.NoError(t, os.Chmod(filepath.Join(dir, "files/b.txt"), 0o640))
	result, err := b.Release(t.Context(), ReleaseRequest{Dir: dir, Steps: AllSteps, Target: Target{Project: "proj", Environment: "dev"}})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, filepath.Join(dir, ".escape/target/app-v1.0.tgz"), result.Package)
	packed, err := os.ReadFile(result.Package)
	require.NoError(t, err)
	require.Equal(t, packed, b.inventory.packages["ns/app-v1.0"])
	z, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	r := tar.NewReader(z)
	modes := map[string]int64{}
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.Equal(t, byte(tar.TypeReg), h.Typeflag, h.Name)
		require.Equal(t, []int{0, 0}, []int{h.Uid, h.Gid}, h.Name)
		name, ok := strings.CutPrefix(h.Name, "app-v1.0/")
		require.True(t, ok, h.Name)
		modes[name] = h.Mode
		if name != "release.json" {
			continue
		}
		document, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Contains(t, string(document), "\n   \"name\": \"app\",\n", "it is indented")
		var sent, kept bytes.Buffer
		require.NoError(t, json.Compact(&sent, document))
		registered, err := json.Marshal(b.inventory.releases["ns/app-v1.0"])
		require.NoError(t, err)
		require.NoError(t, json.Compact(&kept, registered))
		require.Equal(t, kept.String(), sent.String(), "it is what was registered")
	}
	require.Equal(t, map[string]int64{"release.json": 0o644, "build.sh": 0o755, "files/sub/a.txt": 0o644, "files/b.txt": 0o640}, modes)
	var listed []string
	for name := range result.Metadata.Files {
		listed = append(listed, name)
	}
	slices.Sort(listed)
	require.Equal(t, []string{"build.sh", "files/b.txt", "files/sub/a.txt"}, listed, "no dependency and no plan is in it")
}
