package buildinfo

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licensecheck"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// accepted are the licences under which parts of the program may be given away together with it under Apache-2.0.
// MPL-2.0 stays with the files it is on, which are not changed here.
var accepted = []string{"Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Zlib", "Unlicense", "CC0-1.0", "BlueOak-1.0.0", "MPL-2.0"}

// undeclared are modules without a licence file that cannot be left out, each with the reason why it is linked all the
// same. They stand in licenses.tsv without an identifier.
var undeclared = map[string]string{
	"github.com/nexus-rpc/nexus-proto-annotations": "generated code that go.temporal.io/api needs; its makers' other modules are under MIT",
}

// TestS25GoldenLicenses: every module that is linked into the program has a licence file, the licence is one of those
// accepted, and licenses.tsv says so.
func TestS25GoldenLicenses(t *testing.T) {
	dirs := linked(t)
	var lines []string
	for module, packages := range dirs {
		ids := map[string]bool{}
		for _, dir := range packages {
			for _, id := range licensesIn(t, dir) {
				ids[id] = true
			}
		}
		var list []string
		for id := range ids {
			list = append(list, id)
		}
		slices.Sort(list)
		require.Equal(t, len(list) == 0, undeclared[module] != "", "licence files of %s: %v", module, list)
		for _, id := range list {
			assert.Contains(t, accepted, id, "licence of %s", module)
		}
		lines = append(lines, module+"\t"+strings.Join(list, ",")+"\n")
	}
	slices.Sort(lines)
	want := strings.Join(lines, "")
	if os.Getenv("SLIPWAY_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile("licenses.tsv", []byte(want), 0o644))
		return
	}
	require.Equal(t, want, licenses, "a module came, went or changed its licence: SLIPWAY_UPDATE_GOLDEN=1 go test ./internal/buildinfo")
}

// linked gives the modules of the program and, for each, the folders from its root to every package in use: parts of a
// module may have a licence of their own.
func linked(t *testing.T) map[string][]string {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}", "slipway/cmd/slipway")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	dirs := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 3 {
			continue
		}
		for dir := f[2]; ; dir = filepath.Dir(dir) {
			if !slices.Contains(dirs[f[0]], dir) {
				dirs[f[0]] = append(dirs[f[0]], dir)
			}
			if dir == f[1] || len(dir) <= len(f[1]) {
				break
			}
		}
	}
	require.NotEmpty(t, dirs)
	return dirs
}

// licensesIn reads the licence files of one folder.
func licensesIn(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var ids []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		// LICENSE.docs is on texts that are not part of the program.
		if e.IsDir() || strings.HasSuffix(name, ".GO") || strings.HasSuffix(name, ".DOCS") || !(strings.HasPrefix(name, "LICEN") || strings.HasPrefix(name, "COPYING") || strings.HasPrefix(name, "UNLICENSE")) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		for _, m := range licensecheck.Scan(text).Match {
			if !m.IsURL && !slices.Contains(ids, m.ID) {
				ids = append(ids, m.ID)
			}
		}
	}
	return ids
}

// TestS25BillOfMaterials: it names every linked module, and is the same every time.
func TestS25BillOfMaterials(t *testing.T) {
	b := &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Path: "slipway"}, Deps: []*debug.Module{
		{Path: "github.com/gin-gonic/gin", Version: "v1.10.0", Sum: "h1:nTuyha1TYqgedzytsKYqna+DfLos46nTv2ygFy86HFw="},
		{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "gorm.io/gorm", Version: "v1.25.0"}},
	}}
	var one, two bytes.Buffer
	require.NoError(t, WriteMaterials(&one, b))
	require.NoError(t, WriteMaterials(&two, b))
	require.Equal(t, one.String(), two.String())
	var bom cyclonedx.BOM
	require.NoError(t, json.Unmarshal(one.Bytes(), &bom))
	require.Equal(t, "slipway", bom.Metadata.Component.Name)
	require.Len(t, *bom.Components, 2)
	gin := (*bom.Components)[0]
	require.Equal(t, "pkg:golang/github.com/gin-gonic/gin@v1.10.0", gin.PackageURL)
	require.Equal(t, "MIT", (*gin.Licenses)[0].License.ID)
	require.Len(t, (*gin.Hashes)[0].Value, 64)
	require.Equal(t, "gorm.io/gorm", (*bom.Components)[1].Name)
}
