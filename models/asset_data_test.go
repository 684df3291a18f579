package models

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

// testImages makes images that share registries, repositories, labels and tags, so that filters match some of them.
func testImages(r *rand.Rand, n int) []Image {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	digest := func() string {
		return fmt.Sprintf("sha256:%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	list := make([]Image, n)
	for i := range list {
		img := Image{
			Registry:     pick("docker.io", "ghcr.io", "Registry.example.com:5000", "quay.io"),
			Repository:   pick("library/nginx", "library/redis", "team-a/api", "team-a/web", "a/b", "cafe/beef", "tools/nginx-exporter", "x") + pick("", "", "", "-v2", "/sub"),
			ConfigDigest: digest(),
			Architecture: pick("amd64", "arm64", ""),
			OS:           pick("linux", "windows", ""),
			SizeBytes:    r.Int64N(1 << 32),
			Class:        pick("", "", "A", "B", "C", "D"),
		}
		for range r.IntN(3) {
			img.Digests = append(img.Digests, AssetDigests{Manifest: digest(), Index: pick("", digest())})
		}
		for range r.IntN(3) {
			img.ImageTags = append(img.ImageTags, pick("latest", "1.0", "v2.3.4", "main"))
		}
		for range r.IntN(3) {
			img.Labels = append(img.Labels, pick("prod", "PROD", "team/a", "100%", "a_b", "aXb", "x=y", "q?", "zq"))
		}
		if r.IntN(2) == 0 {
			img.Tags = map[string]string{}
			for range r.IntN(3) {
				img.Tags[pick("env", "Env", "owner", "a-b")] = pick("prod", "Prod", "dev", "", "100%", "a_b")
			}
		}
		if r.IntN(2) == 0 {
			img.ImageLabels = map[string]string{"org.opencontainers.image.source": pick("https://example.com/a", "https://example.com/b")}
		}
		if r.IntN(3) > 0 {
			t := time.Date(2024, 1, 1+r.IntN(5), r.IntN(24), 0, 0, 0, time.UTC)
			img.BuiltAt = &t
		}
		created := time.Date(2024, 2, 1+r.IntN(5), r.IntN(24), 0, 0, r.IntN(3)*500_000_000, time.UTC)
		img.CreatedAt = &created
		list[i] = img
	}
	return list
}

// putTestImages checks and writes images and gives them by the id of their asset.
func putTestImages(t testing.TB, s *Store, organization string, images []Image) map[string]Image {
	t.Helper()
	byID := map[string]Image{}
	for i := range images {
		require.NoError(t, images[i].Check())
		byID[NewAssetID(organization, images[i].Registry, images[i].Repository, images[i].ConfigDigest)] = images[i]
	}
	_, err := s.PutImages(t.Context(), organization, images, false)
	require.NoError(t, err)
	return byID
}

// meets says whether an image meets a filter, by the meaning that package rsql documents. It shares nothing with the
// compiler and the planner: it is what the databases are held against.
func meets(t testing.TB, n rsql.Node, id string, img Image) bool {
	switch n := n.(type) {
	case rsql.And:
		return !slices.ContainsFunc(n, func(p rsql.Node) bool { return !meets(t, p, id, img) })
	case rsql.Or:
		return slices.ContainsFunc(n, func(p rsql.Node) bool { return meets(t, p, id, img) })
	}
	c := n.(*rsql.Comparison)
	if moment, ok := momentOf(c.Field, img); ok {
		return meetsTime(t, c, moment)
	}
	found := slices.ContainsFunc(c.Values, func(v rsql.Value) bool { return meetsValue(t, c, v, id, img) })
	return found == (c.Operator == rsql.Equal || c.Operator == rsql.In)
}

func momentOf(field string, img Image) (*time.Time, bool) {
	switch field {
	case "created_at":
		return img.CreatedAt, true
	case "built_at":
		return img.BuiltAt, true
	}
	return nil, false
}

func meetsTime(t testing.TB, c *rsql.Comparison, moment *time.Time) bool {
	equal, before, after := false, false, false
	for _, v := range c.Values {
		if v.Text == "" {
			equal = equal || moment == nil
			continue
		}
		if moment == nil {
			continue
		}
		from, err := time.Parse(time.DateOnly, v.Text)
		to := from.AddDate(0, 0, 1)
		if err != nil {
			from, err = time.Parse(time.RFC3339, v.Text)
			require.NoError(t, err)
			to = from.Add(1)
		}
		equal = equal || !moment.Before(from) && moment.Before(to)
		before, after = moment.Before(from), moment.After(from)
		if c.Operator == rsql.LessOrEqual {
			before = before || moment.Equal(from)
		}
		if c.Operator == rsql.GreaterOrEqual {
			after = after || moment.Equal(from)
		}
	}
	switch c.Operator {
	case rsql.Equal, rsql.In:
		return equal
	case rsql.NotEqual, rsql.NotIn:
		return !equal
	case rsql.Less, rsql.LessOrEqual:
		return before
	}
	return after
}

func meetsValue(t testing.TB, c *rsql.Comparison, v rsql.Value, id string, img Image) bool {
	var texts []string // what the value may be
	switch field, key, _ := strings.Cut(c.Field, "."); field {
	case "q":
		// Asterisks at the ends of a term are dropped, one inside is an ordinary character.
		return meetsTerm(rsql.Fold(strings.Trim(v.Text, "*")), img)
	case "type":
		texts = []string{AssetTypeContainerImage}
	case "id":
		texts = []string{id}
	case "class":
		texts = []string{img.Class}
	case "registry":
		texts = []string{img.Registry}
	case "repository":
		texts = []string{img.Repository}
	case "name":
		texts = []string{img.Repository[strings.LastIndexByte(img.Repository, '/')+1:]}
	case "config_digest":
		texts = []string{img.ConfigDigest}
	case "architecture":
		texts = []string{img.Architecture}
	case "os":
		texts = []string{img.OS}
	case "labels":
		texts = img.Labels
	case "image_tag":
		texts = img.ImageTags
	case "manifest_digest", "index_digest":
		for _, d := range img.Digests {
			if x := map[string]string{"manifest_digest": d.Manifest, "index_digest": d.Index}[field]; x != "" {
				texts = append(texts, x)
			}
		}
	case "tags", "image_labels":
		object := img.Tags
		if field == "image_labels" {
			object = img.ImageLabels
		}
		if key == "" {
			return len(object) == 0
		}
		x, ok := object[key]
		if !ok {
			return v.Text == ""
		}
		texts = []string{x}
	default:
		t.Fatalf("no field %s", c.Field)
	}
	if v.Text == "" {
		return len(texts) == 0 || len(texts) == 1 && texts[0] == ""
	}
	pattern := len(v.Wildcards) > 0 && c.Operator != rsql.In && c.Operator != rsql.NotIn
	return slices.ContainsFunc(texts, func(x string) bool {
		if !pattern {
			return x == v.Text
		}
		if x == "" && (c.Field == "class" || c.Field == "os" || c.Field == "architecture") {
			return false // what is absent is NULL
		}
		return glob(v, x)
	})
}

// glob matches a pattern: what stands at its wildcards is any text, also none.
func glob(pattern rsql.Value, text string) bool {
	var pieces []string
	from := 0
	for _, at := range pattern.Wildcards {
		pieces, from = append(pieces, rsql.Fold(pattern.Text[from:at])), at+1
	}
	last := rsql.Fold(pattern.Text[from:])
	rest, found := strings.CutPrefix(rsql.Fold(text), pieces[0])
	for _, p := range pieces[1:] {
		var here bool
		_, rest, here = strings.Cut(rest, p)
		found = found && here
	}
	return found && strings.HasSuffix(rest, last)
}

func meetsTerm(term string, img Image) bool {
	texts := append([]string{img.Registry, img.Repository}, img.Labels...)
	for k, v := range img.Tags {
		texts = append(texts, k+"="+v)
	}
	if slices.ContainsFunc(texts, func(x string) bool { return strings.Contains(rsql.Fold(x), term) }) {
		return true
	}
	digests := []string{img.ConfigDigest}
	for _, d := range img.Digests {
		digests = append(digests, d.Manifest, d.Index)
	}
	return slices.ContainsFunc(digests, func(d string) bool {
		_, hex, _ := strings.Cut(d, ":")
		return strings.HasPrefix(d, term) && strings.Contains(term, ":") || len(term) >= 3 && strings.HasPrefix(hex, term) || len(term) >= 8 && strings.Contains(hex, term)
	})
}

func storedFacets(t testing.TB, s *Store) facetDeltas {
	t.Helper()
	var rows []struct {
		OrganizationID, Field, Key, Value, Folded string
		N                                         int64
	}
	require.NoError(t, s.reader(t.Context()).Raw("SELECT * FROM asset_facets").Scan(&rows).Error)
	d := facetDeltas{}
	for _, r := range rows {
		k := facetKey{r.OrganizationID, r.Field, r.Key, r.Value}
		require.Equal(t, k.folded(), r.Folded)
		d[k] = r.N
	}
	return d
}

func textsOf(t testing.TB, raw json.RawMessage) []string {
	t.Helper()
	var list []string
	require.NoError(t, json.Unmarshal(raw, &list))
	return list
}
