package models

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/keyring"
)

// S11: a column that holds encrypted values and is not in the list would keep an old key alive for ever, or lose its values
// with it. Every place that the sources bind values to must be there.
func TestS11EverySealedColumnIsKnown(t *testing.T) {
	known := map[string]bool{}
	for _, c := range sealedColumns {
		known[c.at] = true
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	places := regexp.MustCompile(`place\("(\w+)", (?:"(\w+)"|c\.column)`)
	found := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range places.FindAllStringSubmatch(string(b), -1) {
			if m[2] == "" { // the columns of builds, which stand beside it
				require.Equal(t, "builds", m[1])
				continue
			}
			found++
			require.True(t, known[m[1]+"/"+m[2]+"/"], "%s seals %s.%s", f, m[1], m[2])
		}
	}
	require.Greater(t, found, 20)
}

// S11: the inputs of errands, which are in the snapshots of executions, are sealed again with everything else, and nothing else
// of a snapshot changes.
func TestS11ErrandInputsInSnapshots(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		keys, err := keyring.Open(filepath.Join(t.TempDir(), "keys.json"))
		require.NoError(t, err)
		s.UseEncrypter(keys)
		errand := func(inputs map[string]any) *Execution {
			d := h.job.Definition(ActionErrand)
			d.ErrandName = `odd "errand_inputs":"x" name`
			d.ErrandInputs, err = s.SealErrandInputs(h.job.ID, inputs)
			require.NoError(t, err)
			e, _, err := s.CreateExecution(ctx, NewExecution{Kind: KindDeployment, ProjectID: h.project.ID, EnvironmentID: h.env.ID, SubjectID: h.job.ID, SubjectName: h.job.Name, Definition: d})
			require.NoError(t, err)
			return e
		}
		with, without := errand(map[string]any{"token": "canary"}), errand(nil)
		deploy := h.triggered(KindDeployment)
		definition := func(e *Execution) (d DeploymentDefinition) {
			t.Helper()
			require.NoError(t, h.row(e).DefinitionInto(&d))
			return d
		}
		before := map[*Execution]DeploymentDefinition{}
		for _, e := range []*Execution{with, without, deploy} {
			before[e] = definition(e)
		}
		old := keys.Primary()
		require.NoError(t, keys.Rotate())
		var found []SealedValue
		require.NoError(t, s.EachSealedValue(ctx, func(v SealedValue) error {
			if v.column.member != "" {
				found = append(found, v)
			}
			return nil
		}))
		require.Len(t, found, 1)
		require.Equal(t, "executions/errand_inputs/"+h.job.ID, found[0].Place())
		id, _ := keyring.KeyOf(found[0].Sealed)
		require.Equal(t, old, id)
		require.NoError(t, s.CheckSealed(found[0]))
		done, err := s.SealAgain(ctx, found[0])
		require.NoError(t, err)
		require.True(t, done)
		require.NoError(t, keys.Prune())
		after := definition(with)
		inputs, err := s.OpenErrandInputs(h.job.ID, after.ErrandInputs)
		require.NoError(t, err)
		require.Equal(t, map[string]any{"token": "canary"}, inputs)
		after.ErrandInputs = before[with].ErrandInputs
		require.Equal(t, before[with], after)
		for _, e := range []*Execution{without, deploy} {
			require.Equal(t, before[e], definition(e))
		}
	})
}

// S11: the values of every column are found, of more rows than a batch has, and sealed again where nobody changed them.
func TestS11SealedValues(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		keys, err := keyring.Open(filepath.Join(t.TempDir(), "keys.json"))
		require.NoError(t, err)
		s.UseEncrypter(keys)
		n := 0
		require.NoError(t, s.EachSealedValue(ctx, func(SealedValue) error { n++; return nil }))
		require.Zero(t, n, "the columns of an empty database can be read")
		const rows = 501
		for i := range rows {
			sealed, err := s.seal([]byte("secret"), place("asset_secrets", "value", fmt.Sprint(i)))
			require.NoError(t, err)
			require.NoError(t, s.writer(ctx).Exec("INSERT INTO asset_secrets (name, value) VALUES (?, ?)", fmt.Sprint(i), sealed).Error)
		}
		var values []SealedValue
		require.NoError(t, s.EachSealedValue(ctx, func(v SealedValue) error { values = append(values, v); return nil }))
		require.Len(t, values, rows)
		done, err := s.SealAgain(ctx, values[0])
		require.NoError(t, err)
		require.True(t, done)
		done, err = s.SealAgain(ctx, values[0])
		require.NoError(t, err)
		require.False(t, done, "it was changed meanwhile")
	})
}
