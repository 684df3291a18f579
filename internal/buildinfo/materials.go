package buildinfo

import (
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// licenses names the licences of every module in the program, by SPDX identifier: "module TAB id,id". The test that
// holds it against the modules' own licence files also refuses licences that the program may not be given away under.
//
//go:embed licenses.tsv
var licenses string

// Licenses gives the SPDX identifiers of a module's licences, none for a module that is not part of the program.
func Licenses(module string) []string {
	for line := range strings.Lines(licenses) {
		path, ids, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if path == module && ids != "" {
			return strings.Split(ids, ",")
		}
	}
	return nil
}

// WriteMaterials writes the bill of materials of a program as CycloneDX JSON: every module that was linked into it, with
// version, licences and, where the build recorded it, the hash of go.sum. It is made from what the Go linker recorded
// in the program itself, so it cannot disagree with it. The same program gives the same bytes.
func WriteMaterials(w io.Writer, b *debug.BuildInfo) error {
	root := component(b.Main.Path, Version, "")
	root.Type = cyclonedx.ComponentTypeApplication
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &root, Properties: &[]cyclonedx.Property{{Name: "go", Value: b.GoVersion}}}
	components := make([]cyclonedx.Component, 0, len(b.Deps))
	uses := make([]string, 0, len(b.Deps))
	for _, m := range b.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component(m.Path, m.Version, m.Sum)
		components, uses = append(components, c), append(uses, c.BOMRef)
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: root.BOMRef, Dependencies: &uses}}
	if err := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return fmt.Errorf("write the bill of materials: %w", err)
	}
	return nil
}

// component describes one module. sum is the module's line of go.sum, "" where there is none.
func component(path, version, sum string) cyclonedx.Component {
	purl := "pkg:golang/" + path
	if version != "" {
		purl += "@" + version
	}
	c := cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl}
	if ids := Licenses(path); len(ids) > 0 {
		var choices cyclonedx.Licenses
		for _, id := range ids {
			choices = append(choices, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: id}})
		}
		c.Licenses = &choices
	}
	// "h1:" is a SHA-256 over the names and contents of the module's files, in base64.
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) == 32 {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
	}
	return c
}
