package testenv

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
)

// RecordVariable makes the tests that record histories do so. What is recorded on the day of a release must replay for as
// long as such workflows may be open.
const RecordVariable = "SLIPWAY_RECORD_HISTORIES"

// Recording skips a test that records histories, unless they are asked for.
func Recording(t testing.TB) {
	t.Helper()
	if os.Getenv(RecordVariable) == "" {
		t.Skip(RecordVariable + " is not set: nothing is recorded")
	}
}

// largeHistory is the size in bytes from which a history is written compressed.
const largeHistory = 256 << 10

// RecordHistory writes the history of a workflow's run, of its current one where run is "", as the file name.json of a
// folder, or name.json.gz where it is large.
func RecordHistory(t testing.TB, c client.Client, dir, name, id, run string) {
	t.Helper()
	h := &historypb.History{}
	it := c.GetWorkflowHistory(t.Context(), id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, event)
	}
	encoded, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(h)
	require.NoError(t, err)
	encoded = withoutIdentities(t, encoded)
	file := filepath.Join(dir, name+".json")
	if len(encoded) > largeHistory {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err = z.Write(encoded)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		encoded, file = b.Bytes(), file+".gz"
	}
	require.NoError(t, os.WriteFile(file, encoded, 0o644))
}

// withoutIdentities takes the names of the machine and the process out of a history: they are nobody's business and tell
// a replay nothing.
func withoutIdentities(t testing.TB, history []byte) []byte {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(history, &v))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, m := range v {
				if s, ok := m.(string); ok && k == "identity" && s != "" {
					v[k] = "worker"
				} else {
					walk(m)
				}
			}
		case []any:
			for _, m := range v {
				walk(m)
			}
		}
	}
	walk(v)
	out, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return append(out, '\n')
}
