package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The commands print what the golden files hold, whatever the environment configures.
func TestRoutesAndOpenAPI(t *testing.T) {
	t.Setenv("SLIPWAY_LISTEN", "nowhere")
	t.Setenv("SLIPWAY_AUTH", "none")
	t.Setenv("SLIPWAY_DEVELOPMENT", "true")
	run := func(args ...string) []byte {
		var out bytes.Buffer
		c := newRootCommand()
		c.SetArgs(args)
		c.SetOut(&out)
		require.NoError(t, c.ExecuteContext(t.Context()))
		return out.Bytes()
	}
	want, err := os.ReadFile("../../docs/api/routes.tsv")
	require.NoError(t, err)
	require.Equal(t, string(want), string(run("routes")))
	for _, name := range surfaceNames {
		require.True(t, json.Valid(run("openapi", name)), name)
	}
	for line := range strings.Lines(string(want)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		require.Contains(t, surfaceNames, fields[len(fields)-1])
	}

	c := newRootCommand()
	c.SetArgs([]string{"openapi", "nothing"})
	require.ErrorContains(t, c.ExecuteContext(t.Context()), "expected one of")
}
