package assets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

func newService(t testing.TB, s *models.Store) *Service {
	t.Helper()
	service, err := New(s, nil, bytes.Repeat([]byte("k"), 32), nil, Config{})
	require.NoError(t, err)
	return service
}

func line(n int) string {
	b, _ := json.Marshal(models.Image{Registry: "docker.io", Repository: fmt.Sprintf("team/app-%d", n%50), ConfigDigest: fmt.Sprintf("sha256:%064x", n),
		Labels: []string{"imported"}, Tags: map[string]string{"n": fmt.Sprint(n % 3)}})
	return string(b)
}

func lines(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(line(n) + "\n")
	}
	return b.String()
}

func TestImport(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		service := newService(t, s)
		var progress [][2]int64
		text := lines(0, 300) + "\n" + line(300) // an empty line, and no end of line at the end
		r, err := service.Import(t.Context(), strings.NewReader(text), ImportOptions{OrganizationID: org.ID, Progress: func(b, l int64) { progress = append(progress, [2]int64{b, l}) }})
		require.NoError(t, err)
		require.Equal(t, &ImportResult{Lines: 302, Created: 301}, r)
		require.Equal(t, [2]int64{int64(len(text)), 302}, progress[len(progress)-1])
		n, err := s.CountAssets(t.Context(), models.AssetQuery{Organizations: []string{org.ID}})
		require.NoError(t, err)
		require.EqualValues(t, 301, n)
		// Again: nothing is there twice. More in another file: the indexes stay while it is read.
		r, err = service.Import(t.Context(), strings.NewReader(text), ImportOptions{OrganizationID: org.ID})
		require.NoError(t, err)
		require.Equal(t, &ImportResult{Lines: 302}, r)
		r, err = service.Import(t.Context(), strings.NewReader(lines(290, 310)), ImportOptions{OrganizationID: org.ID})
		require.NoError(t, err)
		require.EqualValues(t, 9, r.Created)
		require.NoError(t, s.EnsureAssetIndexes(t.Context()))
		_, err = service.Import(t.Context(), strings.NewReader(text), ImportOptions{OrganizationID: models.NewID()})
		require.ErrorIs(t, err, models.ErrNotFound)
	})
}

// TestImportGoesOnAfterAnInterruption cuts an import off after its first batch.
func TestImportGoesOnAfterAnInterruption(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		service := newService(t, s)
		path := filepath.Join(t.TempDir(), "images.jsonl")
		require.NoError(t, os.WriteFile(path, []byte(lines(0, importBatch+500)), 0o600))
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		ctx, cancel := context.WithCancel(t.Context())
		_, err = service.Import(ctx, file, ImportOptions{OrganizationID: org.ID, Progress: func(int64, int64) { cancel() }})
		require.ErrorIs(t, err, context.Canceled)
		r, err := service.Import(t.Context(), file, ImportOptions{OrganizationID: org.ID})
		require.NoError(t, err)
		require.Contains(t, []int64{importBatch, importBatch + 500}, r.ResumedAt, "the second batch may have been written meanwhile")
		require.EqualValues(t, importBatch+500, r.Lines)
		// What was written behind the place where it went on counts as there already.
		require.GreaterOrEqual(t, r.Created, int64(importBatch))
		n, err := s.CountAssets(t.Context(), models.AssetQuery{Organizations: []string{org.ID}})
		require.NoError(t, err)
		require.EqualValues(t, importBatch+500, n)
	})
}

func TestImportOfBadLines(t *testing.T) {
	s, org := onSQLite(t)
	service := newService(t, s)
	for _, bad := range []string{"{", "[]", "7", `{"registry":"docker.io"}`, `{"x":1}`, line(1) + line(2), line(1) + "}", line(1) + "]", "\xff", `"` + strings.Repeat("a", 5<<20) + `"`, strings.Replace(line(1), "team/", "TEAM/", 1)} {
		_, err := service.Import(t.Context(), strings.NewReader(lines(1000, 1003)+bad+"\n"+lines(2000, 2001)), ImportOptions{OrganizationID: org.ID})
		var wrong *LineError
		require.ErrorAs(t, err, &wrong, bad[:min(len(bad), 40)])
		require.EqualValues(t, 4, wrong.Line)
		require.Less(t, len(err.Error()), 1000)
	}
	n, err := s.CountAssets(t.Context(), models.AssetQuery{Organizations: []string{org.ID}})
	require.NoError(t, err)
	require.EqualValues(t, 3, n, "what stands before the wrong line is kept")
	var skipped []int64
	r, err := service.Import(t.Context(), strings.NewReader("{\n"+lines(5, 7)+"x\n"), ImportOptions{OrganizationID: org.ID, SkipBad: true, Bad: func(line int64, err error) {
		require.Error(t, err)
		skipped = append(skipped, line)
	}})
	require.NoError(t, err)
	require.Equal(t, []int64{1, 4}, skipped)
	require.EqualValues(t, 2, r.Bad)
	require.EqualValues(t, 2, r.Created)
}

// TestImportSkipsLinesThatAreTooLong: nothing of such a line is taken for another one.
func TestImportSkipsLinesThatAreTooLong(t *testing.T) {
	s, org := onSQLite(t)
	long := `{"registry":"` + strings.Repeat(" ", maxImportLine) + line(7) + `"}`
	var skipped []int64
	o := ImportOptions{OrganizationID: org.ID, SkipBad: true, Bad: func(line int64, err error) {
		require.ErrorContains(t, err, "over the limit")
		skipped = append(skipped, line)
	}}
	text := lines(0, 2) + long + "\n" + lines(2, 4) + long
	r, err := newService(t, s).Import(t.Context(), strings.NewReader(text), o)
	require.NoError(t, err)
	require.Equal(t, []int64{3, 6}, skipped)
	require.Equal(t, &ImportResult{Lines: 6, Created: 4, Bad: 2}, r)
}

// TestImportOfLongLinesTakesLittleMemory: a batch ends where it has enough bytes, however few lines these are.
func TestImportOfLongLinesTakesLittleMemory(t *testing.T) {
	s, org := onSQLite(t)
	var b strings.Builder
	for n := range 40 {
		img := models.Image{Registry: "docker.io", Repository: "team/app", ConfigDigest: fmt.Sprintf("sha256:%064x", n), Document: json.RawMessage(`{"author":"` + strings.Repeat("a", 1<<20-100) + `"}`)}
		encoded, err := json.Marshal(img)
		require.NoError(t, err)
		b.Write(append(encoded, '\n'))
	}
	var done []int64
	_, err := newService(t, s).Import(t.Context(), strings.NewReader(b.String()), ImportOptions{OrganizationID: org.ID, Progress: func(bytes, _ int64) { done = append(done, bytes) }})
	require.NoError(t, err)
	require.Len(t, done, 2)
	require.Len(t, assetsOf(t, s, org), 40)
}

func TestReportAddsTags(t *testing.T) {
	s, org := onSQLite(t)
	service := newService(t, s)
	img := models.Image{Registry: "docker.io", Repository: "team/app", ConfigDigest: fmt.Sprintf("sha256:%064x", 1), ImageTags: []string{"1"}, Labels: []string{"not-for-builds"}}
	_, err := service.Report(t.Context(), org.ID, policies.Subject{Kind: models.SubjectServiceAccount, ID: "ci", Name: "ci"}, []models.Image{img})
	require.NoError(t, err)
	img.ImageTags = []string{"2"}
	_, err = service.Report(t.Context(), org.ID, policies.Subject{Kind: models.SubjectServiceAccount, ID: "ci", Name: "ci"}, []models.Image{img})
	require.NoError(t, err)
	for _, a := range assetsOf(t, s, org) {
		require.JSONEq(t, `["1","2"]`, string(a.ImageTags))
		require.JSONEq(t, `[]`, string(a.Labels))
	}
	img.Registry = ""
	_, err = service.Report(t.Context(), org.ID, policies.Subject{Kind: models.SubjectServiceAccount, ID: "ci", Name: "ci"}, []models.Image{img})
	require.Error(t, err)
}

func FuzzParseImage(f *testing.F) {
	f.Add([]byte(line(1)))
	f.Add([]byte(`{"registry":"[::1]:5000","repository":"a","config_digest":"x","document":{"config":{}}}`))
	f.Add([]byte("{\"labels\":[\"\x00\"]}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var img models.Image
		if err := parseImage(b, &img); err != nil || img.ConfigDigest == "" {
			return
		}
		// What passed must be writable, and pass again as it is.
		encoded, err := json.Marshal(img)
		require.NoError(t, err)
		var again models.Image
		require.NoError(t, parseImage(encoded, &again))
	})
}
