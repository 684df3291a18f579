package assets

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

func jsonLine(t *testing.T, img models.Image) string {
	t.Helper()
	b, err := json.Marshal(img)
	require.NoError(t, err)
	return string(b) + "\n"
}

// TestImportFollowsTheFile: of an image that is on several lines the first makes the asset and the last says its image tags,
// wherever batches end and however many are written at once.
func TestImportFollowsTheFile(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		labels := make([]string, 10)
		for i := range labels {
			labels[i] = fmt.Sprintf("%040d", i)
		}
		image := func(n int) models.Image {
			return models.Image{Registry: "docker.io", Repository: "team/app", ConfigDigest: fmt.Sprintf("sha256:%064x", n)}
		}
		first := image(1)
		first.Architecture, first.OS, first.Class, first.Labels, first.ImageTags = "arm64", "linux", "A", []string{"first"}, []string{"1"}
		second := image(1)
		second.OS, second.Class, second.Labels, second.Tags, second.ImageTags = "windows", "B", []string{"second"}, map[string]string{"n": "2"}, []string{"2"}
		third := image(1)
		third.ImageTags = []string{"3"}
		var b strings.Builder
		b.WriteString(jsonLine(t, first) + jsonLine(t, second))
		for n := 2; n < importBatch; n++ { // many and long, so that this batch takes longer than the next one
			img := image(n)
			img.Labels = labels
			b.WriteString(jsonLine(t, img))
		}
		b.WriteString(jsonLine(t, third))
		_, err := newService(t, s).Import(t.Context(), strings.NewReader(b.String()), ImportOptions{OrganizationID: org.ID})
		require.NoError(t, err)
		page, err := s.AssetsByID(t.Context(), []string{org.ID}, []string{models.NewAssetID(org.ID, first.Registry, first.Repository, first.ConfigDigest)})
		require.NoError(t, err)
		a := page[0]
		require.JSONEq(t, `["3"]`, string(a.ImageTags))
		require.Equal(t, "arm64 windows", a.Architecture+" "+a.OS)
		require.JSONEq(t, `["first"]`, string(a.Labels))
		require.JSONEq(t, `{}`, string(a.Tags))
		require.Equal(t, "A", *a.Class)
	})
}

// TestImportOfFilesOfOtherSystems: a mark of the byte order and other ends of lines are no mistakes, compression is one that
// is told by its name.
func TestImportOfFilesOfOtherSystems(t *testing.T) {
	s, org := onSQLite(t)
	text := "\ufeff" + strings.ReplaceAll("\n"+lines(0, 3)+" \t\n\n"+lines(3, 5), "\n", "\r\n")
	r, err := newService(t, s).Import(t.Context(), strings.NewReader(text), ImportOptions{OrganizationID: org.ID})
	require.NoError(t, err)
	require.EqualValues(t, 5, r.Created)
	_, err = newService(t, s).Import(t.Context(), strings.NewReader(lines(0, 1)+"\ufeff"+lines(1, 2)), ImportOptions{OrganizationID: org.ID})
	var wrong *LineError
	require.ErrorAs(t, err, &wrong, "a mark is at the beginning")
	require.EqualValues(t, 2, wrong.Line)

	var packed strings.Builder
	w := gzip.NewWriter(&packed)
	_, err = w.Write([]byte(lines(0, 3)))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = newService(t, s).Import(t.Context(), strings.NewReader(packed.String()), ImportOptions{OrganizationID: org.ID, SkipBad: true})
	require.ErrorContains(t, err, "compressed")
}

// TestImportSaysWhatIsWrong in the words of JSON, not of Go.
func TestImportSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"size_bytes":"12"}`:                 "size_bytes: expected a whole number, got string",
		`{"x":1}`:                             "x: this member is not known",
		`{"registry":`:                        "the text ends too early",
		`hello`:                               "expected a JSON object of an image",
		`{"built_at":"yesterday"}`:            `expected a time such as 2026-01-02T03:04:05Z, got yesterday`,
		`{"document":{"author":7}}`:           "author: expected a string, got number",
		`{"document":{"history":[7]}}`:        "history",
		`{"document":{"config":{"cmd":[1]}}}`: "config.cmd: expected a string, got number",
	} {
		err := parseImage([]byte(text), &models.Image{})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "Go ")
		require.NotContains(t, err.Error(), "json:")
	}
}

// TestImportCountsWhatItWrote: a batch that was written when the import was interrupted is not written again.
func TestImportCountsWhatItWrote(t *testing.T) {
	s, org := onSQLite(t)
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	p := &importProgress{service: newService(t, s), state: &models.AssetImport{OrganizationID: org.ID, Source: "file"}, result: &ImportResult{}, waiting: map[int]writtenBatch{}}
	require.NoError(t, p.wrote(interrupted, writtenBatch{parsedBatch{offset: 700, lines: 7}, models.PutResult{Created: 7}}))
	there, err := s.AssetImportBySource(t.Context(), org.ID, "file")
	require.NoError(t, err)
	require.EqualValues(t, 7, there.Lines)
}
