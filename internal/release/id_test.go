package release

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseID(t *testing.T) {
	for text, want := range map[string]string{
		"app-v1.2.3": "_/app-v1.2.3", "app-latest": "_/app-latest", "app-@": "_/app-latest", "app-v@": "_/app-latest",
		"app-v1.@": "_/app-v1.@", "app:ci": "_/app:ci", "app:v1.0": "_/app-v1.0", "app:1.0": "_/app-v1.0",
		"app:1.@": "_/app-v1.@", "app:latest": "_/app-latest", "app:@": "_/app-latest",
		"my-app-v1": "_/my-app-v1", "ns/my-app-v0.1": "ns/my-app-v0.1", "ns/my-app:prod-1": "ns/my-app:prod-1", "_/x-latest": "_/x-latest",
	} {
		id, err := ParseID(text)
		require.NoError(t, err, text)
		require.Equal(t, want, id.String(), text)
		again, err := ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, again)
	}
	for text, want := range map[string]string{
		"":             "Invalid release format: ''.",
		"bad":          "Invalid release format: bad.",
		"../x-v1":      "Invalid release format: ../x-v1.",
		"a/b/c-v1":     "Invalid release format: a/b/c-v1.",
		"-v1":          "Invalid release format: -v1.",
		"app:":         "Invalid release format: app:.",
		"app-0.0.1":    "Invalid version string in release ID 'app-0.0.1': '0.0.1' is not a valid version.",
		"app-vx":       "Invalid version string in release ID 'app-vx': 'vx' is not a valid version.",
		"app-vlatest":  "Invalid version string in release ID 'app-vlatest': 'vlatest' is not a valid version.",
		"app-v1.0\x00": "Invalid version string in release ID 'app-v1.0\x00': 'v1.0\x00' is not a valid version.",
	} {
		_, err := ParseID(text)
		require.EqualError(t, err, want, text)
	}
}

func TestIDParts(t *testing.T) {
	id, err := ParseID("ns/my-app-v1.0")
	require.NoError(t, err)
	require.True(t, id.Resolved())
	require.Equal(t, "my-app-v1.0", id.Unqualified())
	require.Equal(t, "ns/my-app", id.Versionless())
	for _, open := range []string{"a-latest", "a-v1.@", "a:ci"} {
		id, err := ParseID(open)
		require.NoError(t, err)
		require.False(t, id.Resolved(), open)
	}
}

func TestValidTag(t *testing.T) {
	for _, tag := range []string{"v10.alpha", "ci", "production", "a-b", "release_1"} {
		require.True(t, ValidTag(tag), tag)
	}
	for _, tag := range []string{"", "latest", "@", "v@", "v1", "1.0", "v0.1.@", "0", "a b", "a/b", "a\n"} {
		require.False(t, ValidTag(tag), tag)
	}
}

func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"app-v1.2.3", "ns/my-app:ci", "bad", "", "a:b:c", "x/y/z-v1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil {
			return
		}
		again, err := ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, again)
		require.True(t, SafePath(id.Versionless()))
	})
}
