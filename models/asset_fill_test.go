package models

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReportsAndScansFillEachOtherIn: a build knows less of an image than its registry. What one of them leaves out is not
// taken away, and what the other adds is there to be found.
func TestReportsAndScansFillEachOtherIn(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
		put := func(img Image, merge bool) PutResult {
			c.move(time.Hour)
			require.NoError(t, img.Check())
			r, err := s.PutImages(ctx, org.ID, []Image{img}, merge)
			require.NoError(t, err)
			return r
		}
		built := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		report := Image{Registry: "docker.io", Repository: "team/app", ConfigDigest: digest("a"), ImageTags: []string{"1"}}
		scan := report
		scan.Architecture, scan.OS, scan.BuiltAt, scan.SizeBytes, scan.Digests = "arm64", "linux", &built, 100, []AssetDigests{{Manifest: digest("b")}}
		scan.ImageLabels, scan.Document = map[string]string{"org.opencontainers.image.source": "here"}, json.RawMessage(`{"author":"ada"}`)
		count := func(filter string) int64 {
			n, err := s.CountAssets(ctx, AssetQuery{Organizations: []string{org.ID}, Filter: parsed(t, filter)})
			require.NoError(t, err)
			return n
		}
		whole := func(tags string) {
			a, err := s.AssetByID(ctx, []string{org.ID}, NewAssetID(org.ID, report.Registry, report.Repository, report.ConfigDigest))
			require.NoError(t, err)
			require.Equal(t, "arm64", a.Architecture)
			require.Equal(t, "linux", a.OS)
			require.EqualValues(t, 100, a.SizeBytes)
			require.NotNil(t, a.BuiltAt)
			require.Equal(t, built, *a.BuiltAt)
			require.JSONEq(t, `{"author":"ada"}`, string(a.Document))
			require.JSONEq(t, `[{"manifest_digest":"`+digest("b")+`"}]`, string(a.Digests))
			require.JSONEq(t, tags, string(a.ImageTags))
			require.EqualValues(t, 1, count("image_labels.org.opencontainers.image.source==here;architecture==arm64;built_at==2026-01-02"))
			require.Equal(t, recountedFacets(t, s, org.ID), storedFacets(t, s))
		}
		require.Equal(t, PutResult{Created: 1}, put(report, true))
		require.Equal(t, PutResult{Updated: 1}, put(scan, false))
		whole(`["1"]`)
		report.ImageTags, report.SizeBytes = []string{"2"}, 250 // not compressed: the registry knows better
		require.Equal(t, PutResult{Updated: 1}, put(report, true))
		whole(`["1","2"]`)
		require.Equal(t, PutResult{Unchanged: 1}, put(report, true))
		// The other way: a scan that brings nothing but another architecture is believed.
		scan.Architecture, scan.ImageTags = "amd64", []string{"1", "2"}
		require.Equal(t, PutResult{Updated: 1}, put(scan, false))
		require.EqualValues(t, 1, count("architecture==amd64"))
		require.Zero(t, count("architecture==arm64"))
		require.Equal(t, recountedFacets(t, s, org.ID), storedFacets(t, s))
	})
}

// TestReportNamesAnImageTwice: a build that pushed an image under two tags may report it once for each.
func TestReportNamesAnImageTwice(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		one := Image{Registry: "docker.io", Repository: "team/app", ConfigDigest: "sha256:" + strings.Repeat("a", 64), ImageTags: []string{"1"}, OS: "linux"}
		two := one
		two.ImageTags, two.OS = []string{"2"}, ""
		require.NoError(t, one.Check())
		require.NoError(t, two.Check())
		for _, want := range []PutResult{{Created: 1}, {Unchanged: 1}} {
			r, err := s.PutImages(t.Context(), org.ID, []Image{one, two}, true)
			require.NoError(t, err)
			require.Equal(t, want, r)
			page, err := s.ListAssets(t.Context(), AssetQuery{Organizations: []string{org.ID}, Limit: 10})
			require.NoError(t, err)
			require.Len(t, page.Assets, 1)
			require.JSONEq(t, `["1","2"]`, string(page.Assets[0].ImageTags))
			require.Equal(t, 2, page.Assets[0].TotalImageTags)
			require.Equal(t, "linux", page.Assets[0].OS)
		}
	})
}
