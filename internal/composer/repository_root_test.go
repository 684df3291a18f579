package composer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRepositoryRootV2(t *testing.T) {
	names := []string{"acme/log", "acme/core"}
	root, err := RepositoryRoot{Prefix: "/composer/"}.V2(names)
	require.NoError(t, err)
	require.Equal(t, `{"packages":[],"metadata-url":"/composer/p2/%package%.json",`+
		`"available-packages":["acme/core","acme/log"],"notify-batch":"/composer/downloads"}`, string(root))
	require.Equal(t, []string{"acme/log", "acme/core"}, names)

	root, err = RepositoryRoot{}.V2(nil)
	require.NoError(t, err)
	require.Equal(t, `{"packages":[],"metadata-url":"/p2/%package%.json","available-packages":[],"notify-batch":"/downloads"}`,
		string(root))

	root, err = RepositoryRoot{Prefix: "https://example.com:8080/c"}.V2(nil)
	require.NoError(t, err)
	require.Contains(t, string(root), `"https://example.com:8080/c/p2/%package%.json"`)
}

func TestRepositoryRootV1(t *testing.T) {
	root, err := RepositoryRoot{Prefix: "/composer"}.V1(map[string][]Metadata{
		"acme/log":  {testMetadata(t, `{"name":"acme/log","version":"1.0"}`), testMetadata(t, `{"name":"acme/log","version":"dev-main"}`)},
		"acme/core": {testMetadata(t, `{"name":"acme/core","version":"2.0"}`)},
	})
	require.NoError(t, err)
	require.Equal(t, `{"packages":{"acme/core":{"2.0":{"name":"acme/core","version":"2.0"}},`+
		`"acme/log":{"1.0":{"name":"acme/log","version":"1.0"},"dev-main":{"name":"acme/log","version":"dev-main"}}},`+
		`"notify-batch":"/composer/downloads"}`, string(root))
	root, err = RepositoryRoot{}.V1(nil)
	require.NoError(t, err)
	require.Equal(t, `{"packages":{},"notify-batch":"/downloads"}`, string(root))
}

func TestRepositoryRootRefusesPrefixes(t *testing.T) {
	for _, prefix := range []string{"composer", "//example.com", "ftp://example.com", "/a%2Fb", "/a?b", "/a#b", "https://", "/\x00"} {
		_, err := RepositoryRoot{Prefix: prefix}.V2(nil)
		require.ErrorContains(t, err, "must be a path", "%q", prefix)
		_, err = RepositoryRoot{Prefix: prefix}.V1(nil)
		require.Error(t, err, "%q", prefix)
	}
}

func TestReadDownloads(t *testing.T) {
	downloads, err := ReadDownloads([]byte(`{"downloads":[{"name":"acme/hello","version":"5.1.0.0","x":1}]}`))
	require.NoError(t, err)
	require.Equal(t, []Download{{Name: "acme/hello", Version: "5.1.0.0"}}, downloads)
	for body, want := range map[string]string{
		``:                   "report of downloads",
		`[]`:                 "report of downloads",
		`{}`:                 "missing or empty",
		`{"downloads":[{}]}`: "entry 1: package name",
		`{"downloads":[{"name":"a/b","version":"1"},{"name":"a/b"}]}`:                                     "entry 2: version",
		`{"downloads":[` + strings.Repeat(`{},`, MaxDownloads) + `{}]}`:                                   "more than 2000",
		`{"downloads":[{"name":"` + strings.Repeat("a", 1000) + `/b","version":"1"}]}`:                    "longer than",
		fmt.Sprintf(`{"downloads":[{"name":"a/b","version":"1.0%s"}]}`, strings.Repeat(`\u0000`, 10)+"1"): "control characters",
	} {
		_, err := ReadDownloads([]byte(body))
		require.ErrorContains(t, err, want, "%.80s", body)
	}
}

func BenchmarkRepositoryRootTenThousandPackages(b *testing.B) {
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("acme/package-%d", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = RepositoryRoot{Prefix: "/composer"}.V2(names)
	}
}
