package assets

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
	"slipway/models"
)

// TestImportReadsAFileAgainThatHasChanged: a new export of the same beginning and the same size is not the one whose import
// was interrupted.
func TestImportReadsAFileAgainThatHasChanged(t *testing.T) {
	s, org := onSQLite(t)
	service := newService(t, s)
	text := lines(0, importBatch+500)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := service.Import(ctx, strings.NewReader(text), ImportOptions{OrganizationID: org.ID, Progress: func(int64, int64) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	changed := strings.Replace(line(importBatch-100), "docker.io", "quay.test", 1)
	require.Greater(t, strings.Index(text, line(importBatch-100)), 1<<20)
	r, err := service.Import(t.Context(), strings.NewReader(strings.Replace(text, line(importBatch-100), changed, 1)), ImportOptions{OrganizationID: org.ID})
	require.NoError(t, err)
	require.Zero(t, r.ResumedAt)
	require.EqualValues(t, importBatch+500, r.Lines)
	filter, err := rsql.Parse("registry==quay.test")
	require.NoError(t, err)
	n, err := s.CountAssets(t.Context(), models.AssetQuery{Organizations: []string{org.ID}, Filter: filter})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	// A shorter one of the same beginning neither.
	ctx, cancel = context.WithCancel(t.Context())
	_, err = service.Import(ctx, strings.NewReader(lines(0, importBatch+600)), ImportOptions{OrganizationID: org.ID, Progress: func(int64, int64) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	r, err = service.Import(t.Context(), strings.NewReader(lines(0, importBatch-10)), ImportOptions{OrganizationID: org.ID})
	require.NoError(t, err)
	require.Zero(t, r.ResumedAt)
	require.EqualValues(t, importBatch-10, r.Lines)
}

// TestImportGoesOnAtTheLineThatWasMended: what stands before it is not read twice, though the file has another size now.
func TestImportGoesOnAtTheLineThatWasMended(t *testing.T) {
	s, org := onSQLite(t)
	service := newService(t, s)
	before, behind := lines(0, importBatch+400), lines(importBatch+401, importBatch+500)
	_, err := service.Import(t.Context(), strings.NewReader(before+"{}\n"+behind), ImportOptions{OrganizationID: org.ID})
	var wrong *LineError
	require.ErrorAs(t, err, &wrong)
	require.EqualValues(t, importBatch+401, wrong.Line)
	r, err := service.Import(t.Context(), strings.NewReader(before+line(importBatch+400)+"\n"+behind), ImportOptions{OrganizationID: org.ID})
	require.NoError(t, err)
	require.EqualValues(t, importBatch+400, r.ResumedAt)
	require.EqualValues(t, importBatch+500, r.Lines)
	require.EqualValues(t, importBatch+500, r.Created)
}
