package composer

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testMetadata(t testing.TB, text string) Metadata {
	t.Helper()
	var d Metadata
	require.NoError(t, json.Unmarshal([]byte(text), &d))
	return d
}

// A version decides what it requires and how it is loaded, never where its archive comes from or what runs.
func TestMetadataServesOnlyWhatAVersionMayDecide(t *testing.T) {
	m, err := ReadManifest([]byte(fullManifest))
	require.NoError(t, err)
	d, err := m.Metadata("v1.2.3")
	require.NoError(t, err)
	d, err = d.WithDist(Dist{URL: "https://example.com/dist/acme/log/1.2.3.zip", Reference: "abc", SHA1: "0123"})
	require.NoError(t, err)
	d = d.WithTime(time.Date(2026, 1, 2, 4, 4, 5, 6, time.FixedZone("", 3600)))
	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.NotContains(t, string(text), "evil")
	require.JSONEq(t, `{
		"name": "acme/log", "version": "v1.2.3", "version_normalized": "1.2.3.0", "description": "Writes logs",
		"type": "library", "keywords": ["log", "psr-3"], "homepage": "https://example.com",
		"license": ["MIT", "GPL-2.0-only"], "authors": [{"name": "Ada", "email": "ada@example.com"}],
		"support": {"issues": "https://example.com/issues"},
		"require": {"php": ">=8.1", "ext-json": "*", "psr/log": "^2.0 || ^3.0", "Acme/Core": "self.version"},
		"require-dev": [], "conflict": {"acme/old": "<1.0"}, "replace": {"acme/log-core": "self.version"},
		"suggest": {"ext-intl": "for dates"}, "autoload": {"psr-4": {"Acme\\Log\\": "src/"}}, "bin": ["bin/log"],
		"extra": {"branch-alias": {"dev-main": "2.x-dev"}, "name": "\ud83d\ude00"}, "abandoned": false,
		"dist": {"type": "zip", "url": "https://example.com/dist/acme/log/1.2.3.zip", "reference": "abc", "shasum": "0123"},
		"time": "2026-01-02T03:04:05+00:00"}`, string(text))

	_, err = m.Metadata("nonsense")
	require.Error(t, err)
}

// Composer takes a path for a file on its own machine.
func TestDistAddressMustBeAbsolute(t *testing.T) {
	for _, address := range []string{"/dist/x.zip", "dist/x.zip", "file:///x.zip", "//example.com/x.zip", "https:///x.zip", "", "\x00"} {
		_, err := Metadata{}.WithDist(Dist{URL: address})
		require.ErrorContains(t, err, "absolute", "%q", address)
	}
}

func TestWithLeavesTheOriginalAlone(t *testing.T) {
	a := testMetadata(t, `{"version":"1.0","z":1}`)
	b := a.WithTime(time.Unix(0, 0))
	c, err := b.WithDist(Dist{URL: "http://x/y"})
	require.NoError(t, err)
	d, err := c.WithDist(Dist{URL: "http://x/z"})
	require.NoError(t, err)
	text, err := json.Marshal([]Metadata{a, b, c, d})
	require.NoError(t, err)
	require.Equal(t, `[{"version":"1.0","z":1},{"time":"1970-01-01T00:00:00+00:00","version":"1.0","z":1},`+
		`{"dist":{"type":"zip","url":"http://x/y"},"time":"1970-01-01T00:00:00+00:00","version":"1.0","z":1},`+
		`{"dist":{"type":"zip","url":"http://x/z"},"time":"1970-01-01T00:00:00+00:00","version":"1.0","z":1}]`, string(text))
}

func TestMinify(t *testing.T) {
	versions := []Metadata{
		testMetadata(t, `{"name":"a/b","version":"3","require":{"php":"*"},"license":"MIT"}`),
		testMetadata(t, `{"name":"a/b","version":"2","require":{"php":"*"},"bin":["x"]}`),
		testMetadata(t, `{"name":"a/b","version":"1","license":"MIT","bin":["x"]}`),
		testMetadata(t, `{"name":"a/b","version":"1","license":"MIT","bin":["x"]}`),
	}
	minified, ok := Minify(versions)
	require.True(t, ok)
	text, err := json.Marshal(minified)
	require.NoError(t, err)
	require.JSONEq(t, `[{"name":"a/b","version":"3","require":{"php":"*"},"license":"MIT"},
		{"version":"2","license":"__unset","bin":["x"]},
		{"version":"1","require":"__unset","license":"MIT"},
		{}]`, string(text))
	expanded := Expand(minified)
	require.Len(t, expanded, 4)
	for i := range versions {
		require.True(t, versions[i].Equal(expanded[i]), i)
	}
}

func TestMinifyTreatsNullAsAbsent(t *testing.T) {
	minified, ok := Minify([]Metadata{testMetadata(t, `{"a":null,"b":1}`), testMetadata(t, `{"a":1,"b":null,"c":2}`)})
	require.True(t, ok)
	text, err := json.Marshal(minified)
	require.NoError(t, err)
	require.Equal(t, `[{"b":1},{"a":1,"b":"__unset","c":2}]`, string(text))
}

// A value that means "removed" would vanish in the client; such a list is written in full.
func TestDeletionMarkAsAValueIsNotMinified(t *testing.T) {
	versions := []Metadata{testMetadata(t, `{"version":"2","x":1}`), testMetadata(t, `{"version":"1","x":"__unset"}`)}
	_, ok := Minify(versions)
	require.False(t, ok)
	file := AppendPackageFile(nil, "a/b", versions)
	require.Equal(t, `{"packages":{"a/b":[{"version":"2","x":1},{"version":"1","x":"__unset"}]}}`, string(file))
	packages, err := ReadPackageFile(file)
	require.NoError(t, err)
	require.True(t, packages["a/b"][1].Equal(versions[1]))
}

// Every sequence of three versions out of all subsets of members survives.
func TestMinifyRoundTrip(t *testing.T) {
	var all []Metadata
	for _, a := range []string{``, `"a":1,`, `"a":2,`} {
		for _, b := range []string{``, `"b":"x",`, `"b":{"y":[]},`} {
			all = append(all, testMetadata(t, `{`+a+b+`"name":"a/b"}`))
		}
	}
	for _, x := range all {
		for _, y := range all {
			for _, z := range all {
				minified, ok := Minify([]Metadata{x, y, z})
				require.True(t, ok)
				expanded := Expand(minified)
				require.True(t, expanded[0].Equal(x) && expanded[1].Equal(y) && expanded[2].Equal(z))
			}
		}
	}
}

func TestPackageFiles(t *testing.T) {
	var versions []Metadata
	for _, version := range []string{"1.0", "dev-main", "2.0-beta1", "1.10", "2.0", "1.x-dev", "1.2-dev", "nonsense"} {
		versions = append(versions, testMetadata(t, fmt.Sprintf(`{"name":"acme/log","version":%q}`, version)))
	}
	releases, development := SplitVersions(versions)
	require.Equal(t, `{"packages":{"acme/log":[{"name":"acme/log","version":"2.0"},{"version":"2.0-beta1"},`+
		`{"version":"1.10"},{"version":"1.0"}]},"minified":"composer/2.0"}`, string(AppendPackageFile(nil, "acme/log", releases)))
	require.Equal(t, `{"packages":{"acme/log":[{"name":"acme/log","version":"1.x-dev"},{"version":"1.2-dev"},`+
		`{"version":"dev-main"}]},"minified":"composer/2.0"}`, string(AppendPackageFile(nil, "acme/log", development)))
	require.Equal(t, `{"packages":{"acme/log":[]},"minified":"composer/2.0"}`, string(AppendPackageFile(nil, "acme/log", nil)))

	_, err := ReadPackageFile([]byte(`{"packages":{},"minified":"composer/3.0"}`))
	require.ErrorContains(t, err, "unknown form")
	_, err = ReadPackageFile([]byte(`{"packages":{"a/b":[null]}}`))
	require.Error(t, err)
}

func TestParsePackagePath(t *testing.T) {
	name, dev, ok := ParsePackagePath("acme/log.json")
	require.True(t, ok && !dev)
	require.Equal(t, "acme/log", name)
	name, dev, ok = ParsePackagePath("acme/log~dev.json")
	require.True(t, ok && dev)
	require.Equal(t, "acme/log", name)
	for _, path := range []string{"", "acme/log", "acme/log~dev", "Acme/log.json", "acme/log~x.json", "acme/../x.json", "acme.json",
		"acme/log~dev~dev.json", "acme/log.json.json"} {
		_, _, ok := ParsePackagePath(path)
		require.False(t, ok, path)
	}
}

func BenchmarkPackageFileThousandVersions(b *testing.B) {
	var versions []Metadata
	for i := range 1000 {
		d := testMetadata(b, fmt.Sprintf(`{"name":"acme/log","version":"1.%d","version_normalized":"1.%d.0.0",
			"require":{"php":">=8.1","psr/log":"^3.0"},"autoload":{"psr-4":{"Acme\\Log\\":"src/"}},"type":"library"}`, i, i))
		d, _ = d.WithDist(Dist{URL: fmt.Sprintf("https://example.com/dist/acme/log/1.%d.zip", i), SHA1: fmt.Sprintf("%040d", i)})
		versions = append(versions, d)
	}
	buffer := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendPackageFile(buffer[:0], "acme/log", versions)
	}
	b.SetBytes(int64(len(buffer)))
}
