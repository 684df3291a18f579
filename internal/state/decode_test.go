package state

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the quicker decoder must take and refuse as encoding/json does.
func TestDecodeAsBefore(t *testing.T) {
	update, _, err := DecodeUpdate([]byte(`{"PATH":"a","root_stage":"deploy","state":{"name":"a","name":"b","inputs":{"n":1e3,"bad":"` + "\xff" + `"},"other":1}}`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"n": 1000.0, "bad": "\ufffd"}, update.State.Inputs)
	for _, bad := range []string{`{"path":"a","root_stage":"deploy","state":{"inputs":{"n":1e400}}}`, `{"path":"a","root_stage":"deploy","state":{}} x`, `{"path":1}`, `null`, `[]`, ``,
		`{"path":"a","root_stage":"deploy","state":{"inputs":{"n":` + strings.Repeat("[", 20000) + `}}}`} {
		_, _, err := DecodeUpdate([]byte(bad))
		require.ErrorIs(t, err, ErrInvalidJSON, "%.80s", bad)
	}
}
