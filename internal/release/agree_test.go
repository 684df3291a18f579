package release_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
)

const (
	sumA = "0cc175b9c0f1b6a831c399e269772661"
	sumB = "92eb5ffee6ae2fec3ad71c777531578f"
)

func TestCheckAgrees(t *testing.T) {
	decode := func(t *testing.T, document string) *release.Metadata {
		t.Helper()
		m, err := release.Decode([]byte(document))
		require.NoError(t, err)
		return m
	}
	full := `{"name":"app","version":"1","project":"ns","api_version":15,"built_with_escape_version":"0.28","description":"d","files":{"a":"` + sumA + `"},` +
		`"metadata":{"k":"v"},"consumes":["pg"],"depends":["base-v1"],"inputs":[{"id":"count","type":"integer","default":3}],"provides":["web"],` +
		`"stages":{"build":{"script":"a"}},"templates":[{"file":"a","mapping":{"n":1.5}}],"errands":{"e":{"name":"e","exec_stage":{"cmd":"x"},"inputs":[]}}}`
	registered := decode(t, full)
	change := func(t *testing.T, change func(map[string]any)) *release.Metadata {
		t.Helper()
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(full), &m))
		change(m)
		b, err := json.Marshal(m)
		require.NoError(t, err)
		return decode(t, string(b))
	}
	// The document that a client writes before it is normalised, and the one that the server gives out after it.
	normalised, err := json.Marshal(registered)
	require.NoError(t, err)
	require.NoError(t, release.CheckAgrees(decode(t, full), registered))
	require.NoError(t, release.CheckAgrees(decode(t, string(normalised)), registered))
	require.NoError(t, release.CheckAgrees(change(t, func(m map[string]any) {
		m["project"], m["api_version"], m["built_with_escape_version"], m["unknown"] = "_", 4, "", "dropped"
	}), registered), "what wrote the document may differ")
	require.NoError(t, release.CheckAgrees(change(t, func(m map[string]any) { m["files"] = map[string]string{"a": "0CC175B9C0F1B6A831C399E269772661"} }), registered))

	const says = "The release.json of the package says something else than what was registered, in: "
	for name, c := range map[string]struct {
		change func(map[string]any)
		reason string
	}{
		"script":       {func(m map[string]any) { m["stages"] = map[string]any{"build": map[string]any{"inline": "evil"}} }, says + "'stages'"},
		"more stages":  {func(m map[string]any) { m["stages"].(map[string]any)["deploy"] = map[string]any{"script": "a"} }, says + "'stages'"},
		"default":      {func(m map[string]any) { m["inputs"].([]any)[0].(map[string]any)["default"] = 4 }, says + "'inputs'"},
		"description":  {func(m map[string]any) { m["description"] = "other" }, says + "'description'"},
		"a download":   {func(m map[string]any) { m["downloads"] = []any{map[string]any{"url": "http://h/f", "dest": "f"}} }, says + "'downloads'"},
		"two of them":  {func(m map[string]any) { m["provides"], m["depends"] = []string{"db"}, []string{"base-v2"} }, says + "'depends', 'provides'"},
		"missing file": {func(m map[string]any) { delete(m, "files") }, "The package lacks the file 'a', which is registered with the release"},
		"other file": {func(m map[string]any) { m["files"] = map[string]string{"a": sumB} },
			"The file 'a' of the package is not the one that was registered: its checksum is " + sumB + ", expected " + sumA},
		"more files": {func(m map[string]any) { m["files"] = map[string]string{"a": sumA, "b": sumB} },
			"The package has the file 'b', which is not registered with the release"},
	} {
		t.Run(name, func(t *testing.T) {
			require.EqualError(t, release.CheckAgrees(change(t, c.change), registered), c.reason)
		})
	}
	// Facts 1.2: the minimal body names no files.
	require.NoError(t, release.CheckAgrees(decode(t, `{"name":"app","version":"1","files":{"a":"`+sumA+`"}}`), registered), "a package may be silent")
	minimal := decode(t, `{"name":"app","version":"1"}`)
	require.NoError(t, release.CheckAgrees(decode(t, `{"name":"app","version":"1","description":"d","provides":["web"],"files":{"a":"`+sumA+`"}}`), minimal))
	require.EqualError(t, release.CheckAgrees(decode(t, `{"name":"app","version":"1","stages":{"build":{"cmd":"x"}}}`), minimal), says+"'stages'")
}
