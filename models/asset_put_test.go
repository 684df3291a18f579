package models

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/problem"
)

// recountedFacets counts the facets from the rows.
func recountedFacets(t testing.TB, s *Store, organizations ...string) facetDeltas {
	t.Helper()
	p, err := s.ListAssets(t.Context(), AssetQuery{Organizations: organizations, Limit: 100_000})
	require.NoError(t, err)
	d := facetDeltas{}
	for _, a := range p.Assets {
		img := Image{Registry: a.Registry, Repository: a.Repository, Architecture: a.Architecture, OS: a.OS, Labels: textsOf(t, a.Labels)}
		require.NoError(t, json.Unmarshal(a.Tags, &img.Tags))
		if a.Class != nil {
			img.Class = *a.Class
		}
		d.image(a.OrganizationID, &img)
	}
	return d
}

// TestFacetsAgreeWithAssets writes and edits assets at random, several at a time, and counts again.
func TestFacetsAgreeWithAssets(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		one := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		two := newOrganization(t, s, "two-org", OrganizationOrg, nil)
		var all [][]Image
		for i := range 4 {
			all = append(all, testImages(rand.New(rand.NewPCG(uint64(i), 1)), 40))
		}
		var wg sync.WaitGroup
		errs := make(chan error, 1000)
		for i := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 2))
				for range 15 {
					org := []*Organization{one, two}[r.IntN(2)]
					images := append([]Image{}, all[r.IntN(4)][:1+r.IntN(39)]...)
					for j := range images {
						if err := images[j].Check(); err != nil {
							errs <- err
						}
					}
					if _, err := s.PutImages(t.Context(), org.ID, images, r.IntN(2) == 0); err != nil {
						errs <- err
					}
					var edits []AssetEdit
					for _, j := range r.Perm(len(images))[:min(10, len(images))] {
						e := AssetEdit{ID: NewAssetID(org.ID, images[j].Registry, images[j].Repository, images[j].ConfigDigest)}
						switch r.IntN(4) {
						case 0:
							e.Class = &AssetClassEdit{Class: []string{"", "A", "B"}[r.IntN(3)]}
						case 1:
							e.Labels = &AssetLabelsEdit{Add: []string{fmt.Sprint("l", r.IntN(3))}, Remove: []string{"prod", fmt.Sprint("l", r.IntN(3)+3)}}
						case 2:
							e.Labels = &AssetLabelsEdit{Replace: []string{"x", fmt.Sprint("l", r.IntN(9))}}
						case 3:
							e.Tags = &AssetTagsEdit{Add: map[string]string{"env": fmt.Sprint(r.IntN(3))}, Remove: []string{"owner"}}
						}
						edits = append(edits, e)
					}
					if _, err := s.EditAssets(t.Context(), []string{one.ID, two.ID}, edits, true); err != nil {
						errs <- err
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, recountedFacets(t, s, one.ID, two.ID), storedFacets(t, s))
	})
}

func TestPutImagesAgain(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
		put := func(img Image, merge bool) PutResult {
			require.NoError(t, img.Check())
			r, err := s.PutImages(ctx, org.ID, []Image{img}, merge)
			require.NoError(t, err)
			return r
		}
		img := Image{Registry: "docker.io", Repository: "library/nginx", ConfigDigest: digest("a"), ImageTags: []string{"1"}, Digests: []AssetDigests{{Manifest: digest("b")}}, Labels: []string{"first"}}
		require.Equal(t, PutResult{Created: 1}, put(img, false))
		id := NewAssetID(org.ID, img.Registry, img.Repository, img.ConfigDigest)
		first, err := s.AssetByID(ctx, []string{org.ID}, id)
		require.NoError(t, err)
		c.move(time.Hour)
		img.Labels = []string{"second"}
		require.Equal(t, PutResult{Unchanged: 1}, put(img, false), "labels are people's")
		same, err := s.AssetByID(ctx, []string{org.ID}, id)
		require.NoError(t, err)
		require.Equal(t, first.UpdatedAt, same.UpdatedAt)
		require.Equal(t, first.LastSeenAt.Add(time.Hour), same.LastSeenAt)
		require.JSONEq(t, `["first"]`, string(same.Labels))

		img.ImageTags, img.Digests = []string{"2"}, []AssetDigests{{Manifest: digest("c"), Index: digest("d")}}
		require.Equal(t, PutResult{Updated: 1}, put(img, true))
		merged, err := s.AssetByID(ctx, []string{org.ID}, id)
		require.NoError(t, err)
		require.JSONEq(t, `["1","2"]`, string(merged.ImageTags))
		require.Equal(t, 2, merged.TotalImageTags)
		for _, find := range []string{"q==" + digest("b")[:20], "manifest_digest==" + digest("c"), "index_digest==" + digest("d"), "config_digest==" + digest("a")} {
			n, err := s.CountAssets(ctx, AssetQuery{Organizations: []string{org.ID}, Filter: parsed(t, find)})
			require.NoError(t, err)
			require.EqualValues(t, 1, n, find)
		}
		require.Equal(t, PutResult{Updated: 1}, put(img, false))
		n, err := s.CountAssets(ctx, AssetQuery{Organizations: []string{org.ID}, Filter: parsed(t, "manifest_digest=="+digest("b"))})
		require.NoError(t, err)
		require.Zero(t, n, "what the registry no longer has")
		_, err = s.PutImages(ctx, NewID(), []Image{img}, false)
		require.ErrorIs(t, err, ErrNotFound)
	})
}

func TestImageCheck(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	good := Image{Registry: "docker.io", Repository: "library/nginx", ConfigDigest: digest}
	require.NoError(t, good.Check())
	for name, change := range map[string]func(*Image){
		"registry":             func(i *Image) { i.Registry = "docker.io/x" },
		"repository":           func(i *Image) { i.Repository = "Library/nginx" },
		"config_digest":        func(i *Image) { i.ConfigDigest = "sha256:" + strings.Repeat("A", 64) },
		"distribution_digests": func(i *Image) { i.Digests = []AssetDigests{{}} },
		"image_tags":           func(i *Image) { i.ImageTags = []string{"a,b"} },
		"architecture":         func(i *Image) { i.Architecture = "a\nb" },
		"size_bytes":           func(i *Image) { i.SizeBytes = -1 },
		"class":                func(i *Image) { i.Class = "E" },
		"labels":               func(i *Image) { i.Labels = []string{"a,b"} },
		"tags":                 func(i *Image) { i.Tags = map[string]string{"a=b": "c"} },
		"image_labels":         func(i *Image) { i.ImageLabels = map[string]string{"a": "\x00"} },
		"document":             func(i *Image) { i.Document = json.RawMessage(`{"registry":"twice"}`) },
	} {
		img := good
		change(&img)
		err := img.Check()
		var p *problem.Error
		require.ErrorAs(t, err, &p, name)
		require.Len(t, p.Fields, 1, name)
		require.Equal(t, name, p.Fields[0].Name)
	}
	many := good
	for i := range 30 {
		many.ImageTags = append(many.ImageTags, fmt.Sprint("v", i))
	}
	zero := time.Time{}
	many.BuiltAt = &zero
	require.NoError(t, many.Check())
	require.Len(t, many.ImageTags, MaxAssetImageTags)
	require.Equal(t, "v29", many.ImageTags[MaxAssetImageTags-1])
	require.Equal(t, 30, many.TotalImageTags)
	require.Nil(t, many.BuiltAt)
}
