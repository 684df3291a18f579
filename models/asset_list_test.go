package models

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

func parsed(t testing.TB, filter string) rsql.Node {
	t.Helper()
	n, err := rsql.Parse(filter)
	require.NoError(t, err, filter)
	return n
}

// allPages reads a whole list page by page, forward, and again backward, and checks that both agree.
func allPages(t *testing.T, s *Store, q AssetQuery) []string {
	t.Helper()
	var ids []string
	for q.After = nil; ; {
		p, err := s.ListAssets(t.Context(), q)
		require.NoError(t, err)
		for _, a := range p.Assets {
			ids = append(ids, a.ID)
		}
		if len(p.Assets) == 0 {
			break
		}
		last := p.Cursor(q.Sort, len(p.Assets)-1)
		q.After = &last
		if !p.More {
			break
		}
	}
	if len(ids) == 0 {
		return ids
	}
	// From behind: the last row itself is not before its own cursor.
	backward := []string{ids[len(ids)-1]}
	q.Backward = true
	for {
		p, err := s.ListAssets(t.Context(), q)
		require.NoError(t, err)
		if len(p.Assets) == 0 {
			break
		}
		var page []string
		for _, a := range p.Assets {
			page = append(page, a.ID)
		}
		backward = append(page, backward...)
		first := p.Cursor(q.Sort, 0)
		q.After = &first
		if !p.More {
			break
		}
	}
	require.Equal(t, ids, backward)
	return ids
}

// TestAssetFiltersAgree gives the same random filters to both databases and to a plain evaluator. What is planned for
// frequent terms and for rare ones must select the same.
func TestAssetFiltersAgree(t *testing.T) { filtersAgree(t, 300) }

func TestAssetFiltersAgreeWhereTermsAreFrequent(t *testing.T) {
	usual := planLimits
	defer func() { planLimits = usual }()
	planLimits.manyAssets, planLimits.fewRows, planLimits.frequentHits, planLimits.listed, planLimits.early = 5, 5, 1, 3, 3
	walkShort(t)
	filtersAgree(t, 120)
}

// What a walk does not find is looked for in another way.
func TestAssetFiltersAgreeWhereAWalkIsShort(t *testing.T) {
	walkShort(t)
	filtersAgree(t, 200)
}

// walkShort has walks end after a few rows, also where all that there is would soon be read.
func walkShort(t *testing.T) {
	rows, limits := walkedRows, planLimits
	t.Cleanup(func() { walkedRows, planLimits.costly = rows, limits.costly })
	walkedRows = map[Dialect][]int{SQLite: {15}, PostgreSQL: {5, 15}}
	planLimits.costly = 0
}

func TestAssetFiltersAgreeWhereValuesAreReadAtOnce(t *testing.T) {
	usual := planLimits
	defer func() { planLimits = usual }()
	planLimits.lookups, planLimits.planned = 0, 0
	filtersAgree(t, 120)
}

func TestAssetFiltersAgreeWhereValuesAreTooMany(t *testing.T) {
	usual := planLimits
	defer func() { planLimits = usual }()
	planLimits.lookups, planLimits.dictionary, planLimits.fewRows = 0, 5, 5
	filtersAgree(t, 120)
}

func filtersAgree(t *testing.T, random int) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		r := rand.New(rand.NewPCG(7, 2026))
		one := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		two := newOrganization(t, s, "two-org", OrganizationOrg, nil)
		stranger := newOrganization(t, s, "stranger", OrganizationOrg, nil)
		images := putTestImages(t, s, one.ID, testImages(r, 150))
		maps.Copy(images, putTestImages(t, s, two.ID, testImages(r, 100)))
		putTestImages(t, s, stranger.ID, testImages(r, 50))
		organizations := []string{one.ID, two.ID}

		hexes := []string{"sha256:"}
		for id, img := range images {
			hexes = append(hexes, img.ConfigDigest, img.ConfigDigest[:12], img.ConfigDigest[7:12], img.ConfigDigest[30:41], img.ConfigDigest[63:], id)
			for _, d := range img.Digests {
				hexes = append(hexes, d.Manifest)
			}
		}
		slices.Sort(hexes)
		fixed := []string{"q==nginx", "q==NGINX", "q==x", "q==zq", "q==a_b", "q==100%", "q=='a b'", "q=='env=prod'", "q=='\t'", "q==cafe", "q==beef", "q==a/b",
			"q=='quay.io\nteam'", "q==nosuchthing", "labels==prod", "labels==*ro*", "labels!=*ro*", "labels==*", "labels!=*", "labels==''", "labels!=''", "labels=out=(prod,PROD)",
			"tags.env==prod", "tags.env==Prod", "tags.env!=prod", "tags.env==''", "tags.env!=''", "tags.env==*", "tags.env==*r*", "tags.env=in=(prod,'')", "tags.nosuch==x", "tags.nosuch!=x",
			"tags==''", "tags!=''", "repository==*nginx*", "repository==library/*", "repository==*x", "repository!=*a*b*", "repository==nosuch", "repository=in=(nosuch,x,library/nginx)", "repository=out=(x,nosuch)", "name=in=(nosuch,nginx)", "repository==a*b", "repository!=*a*", "name==nginx", "name==*nginx*", "name==*zq*", "registry==*EXAMPLE*", "registry!=*io",
			"class==A", "class==''", "class!=''", "class!=A", "class==*", "class!=*", "class=in=(A,B)", "class=out=(A,'')", "type==container_images", "type==*image*", "type!=*image*", "type==''",
			"image_tag==latest", "image_tag==v*", "image_tag!=latest", "image_tag==*2.3*", "image_tag!=*MAIN*", "image_tag==*nosuch*", "image_tag!=v*4", "image_tag==*at*", "image_tag==*V2*", "image_tag==*.2*", "image_tag==*2.*", "image_tag==*.*", "image_tag==l*", "image_tag==*T", "image_tag!=*1", "image_tag==*a*n*", "image_tag==*é*", "image_tag==\"*'*\"", "image_tag==*_*", "image_tag=='*,*'", "image_labels.org.opencontainers.image.source==*a", "image_labels.org.opencontainers.image.source!=''", "image_labels.nosuch==x", "image_labels.nosuch!=x", "image_labels==''",
			"config_digest==sha256:a*", "config_digest!=*a0*", "manifest_digest==*0b*", "manifest_digest==*a*0b*c*", "config_digest!=*A0B*", "index_digest==*f", "manifest_digest==SHA256:0*", "index_digest!=*f*", "architecture==nosuch", "architecture=in=(arm64,nosuch)", "os==nosuch,os==linux", "built_at==2024-01-02", "built_at!=2024-01-02", "built_at==''",
			"created_at>2024-02-03", "created_at=le=2024-02-03T12:00:00Z", "created_at==2024-02-02", "os==linux", "os==*in*", "os==''", "architecture!=amd64", "architecture=out=(amd64,arm64)", "architecture==''", "architecture!=''", "architecture=in=('',nosuch)", "os!=linux", "os!=*", "class=out=(A,B,C,D)", "class!=*A*", "registry!=*", "tags.env=out=('',prod)", "tags.env!=*", "index_digest==''", "manifest_digest!=sha256:00"}
		texts := []string{"nginx", "*nginx*", "a*", "*b", "prod", "*", "x", "*a_b*", "*100%*", "library/nginx", "docker.io", "A", "*q*", "linux"}
		fields := []string{"registry", "repository", "name", "labels", "tags.env", "tags.owner", "class", "architecture", "os", "image_tag", "type"}
		comparison := func() string {
			switch r.IntN(8) {
			case 0:
				return "q=='" + texts[r.IntN(len(texts))] + "'"
			case 1:
				return "q=='" + hexes[r.IntN(len(hexes))] + "'"
			case 2:
				return []string{"config_digest", "manifest_digest"}[r.IntN(2)] + []string{"==", "!="}[r.IntN(2)] + "'" + hexes[r.IntN(len(hexes))] + "'"
			case 3:
				return fixed[r.IntN(len(fixed))]
			case 4:
				return fields[r.IntN(len(fields))] + []string{"=in=", "=out="}[r.IntN(2)] + "('" + texts[r.IntN(len(texts))] + "','" + texts[r.IntN(len(texts))] + "')"
			}
			return fields[r.IntN(len(fields))] + []string{"==", "!="}[r.IntN(2)] + "'" + texts[r.IntN(len(texts))] + "'"
		}
		filters := slices.Clone(fixed)
		for range random {
			f := comparison()
			for range r.IntN(3) {
				f = "(" + f + [2]string{";", ","}[r.IntN(2)] + comparison() + ")"
			}
			filters = append(filters, f)
		}
		for _, f := range filters {
			n, err := rsql.Parse(f)
			require.NoError(t, err, f)
			if err := CheckAssetFilter(n); err != nil {
				continue // a search for nothing, q=='*'
			}
			var want []string
			for id, img := range images {
				if meets(t, n, id, img) {
					want = append(want, id)
				}
			}
			slices.Sort(want)
			listAgrees(t, s, organizations, n, f, want)
			pagesAgree(t, s, r, AssetQuery{Organizations: organizations, Filter: n}, selected(images, want))
		}
	})
}

// listAgrees holds what a filter selects, and its count, against sorted ids.
func listAgrees(t *testing.T, s *Store, organizations []string, n rsql.Node, f string, want []string) {
	t.Helper()
	p, err := s.ListAssets(t.Context(), AssetQuery{Organizations: organizations, Filter: n, Limit: 1000})
	require.NoError(t, err, f)
	var got []string
	for _, a := range p.Assets {
		got = append(got, a.ID)
	}
	slices.Sort(got)
	require.Equal(t, want, got, "filter %s", f)
	count, err := s.CountAssets(t.Context(), AssetQuery{Organizations: organizations, Filter: n})
	require.NoError(t, err, f)
	require.EqualValues(t, len(want), count, f)
}

// selected are the images of some ids.
func selected(images map[string]Image, ids []string) map[string]Image {
	some := make(map[string]Image, len(ids))
	for _, id := range ids {
		some[id] = images[id]
	}
	return some
}

// pagesAgree reads two pages of a list in some order and holds them, and their counts, against the images that it selects.
func pagesAgree(t *testing.T, s *Store, r *rand.Rand, q AssetQuery, images map[string]Image) {
	sorts := []string{"created_at", "class", "registry", "name", "-created_at", "-class", "-registry", "-name", "registry,-name", "-class,created_at"}
	order, err := rsql.ParseSort(sorts[r.IntN(len(sorts))], "created_at", "class", "registry", "name")
	require.NoError(t, err)
	q.Sort, q.Limit, q.Counted = order, 1+r.IntN(20), true
	want := sortedIDs(images, order)
	for range 2 {
		p, err := s.ListAssets(t.Context(), q)
		require.NoError(t, err)
		var got []string
		for _, a := range p.Assets {
			got = append(got, a.ID)
		}
		n := min(q.Limit, len(want))
		require.Equal(t, append([]string(nil), want[:n]...), got, "filter %s sort %v limit %d after %v", q.Filter, order, q.Limit, q.After)
		require.Equal(t, n < len(want), p.More)
		require.EqualValues(t, len(images), *p.Count, "filter %s sort %v limit %d after %v", q.Filter, order, q.Limit, q.After)
		if want = want[n:]; len(want) == 0 {
			return
		}
		after := p.Cursor(order, n-1)
		q.After = &after
	}
}

// TestAssetOrders pages through every order, both ways, and holds it against a sort in memory.
func TestAssetOrders(t *testing.T) { assetOrders(t) }

// Some pages are then found by walking the order, others by reading all rows.
func TestAssetOrdersWhereAWalkIsShort(t *testing.T) {
	walkShort(t)
	assetOrders(t)
}

func assetOrders(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		r := rand.New(rand.NewPCG(8, 2026))
		org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		images := putTestImages(t, s, org.ID, testImages(r, 120))
		var filtered []string
		for _, sort := range []string{"", "created_at", "-created_at", "updated_at", "-updated_at", "type", "-type", "class", "-class", "registry", "-registry", "name", "-name", "url", "scm",
			"class,-registry,name", "-class,created_at", "registry,class", "type,-class", "-name,-class,created_at", "class,-class"} {
			order, err := rsql.ParseSort(sort, slices.Collect(maps.Keys(assetSortColumns))...)
			if err != nil {
				continue
			}
			for _, filter := range []string{"", "q==team"} {
				q := AssetQuery{Organizations: []string{org.ID}, Sort: order, Limit: 7}
				if filter != "" {
					q.Filter = parsed(t, filter)
				}
				got := allPages(t, s, q)
				want := sortedIDs(images, order)
				if filter != "" {
					want = slices.DeleteFunc(want, func(id string) bool { return !meetsTerm("team", images[id]) })
					filtered = want
				}
				require.Equal(t, want, got, "sort %q filter %q", sort, filter)
			}
		}
		require.NotEmpty(t, filtered)
		require.Less(t, len(filtered), len(images))
	})
}

// sortedIDs sorts in memory: NULLs last both ways, ties by id in the direction of the first field.
func sortedIDs(images map[string]Image, order rsql.Sort) []string {
	value := func(id, field string) (string, bool) {
		img := images[id]
		switch field {
		case "created_at":
			return img.CreatedAt.Format("2006-01-02T15:04:05.000000"), true
		case "class":
			return img.Class, img.Class != ""
		case "registry":
			return img.Registry, true
		case "name":
			return img.name(), true
		}
		return "", true
	}
	ids := slices.Collect(maps.Keys(images))
	down, decided := false, false
	for _, k := range order {
		if !decided && assetSortColumns[k.Field] != "" {
			down, decided = k.Descending, true
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		for _, k := range order {
			x, okX := value(a, k.Field)
			y, okY := value(b, k.Field)
			c := strings.Compare(x, y)
			switch {
			case okX != okY && okX:
				return -1
			case okX != okY:
				return 1
			case c != 0 && k.Descending:
				return -c
			case c != 0:
				return c
			}
		}
		if down {
			return strings.Compare(b, a)
		}
		return strings.Compare(a, b)
	})
	return ids
}

// TestAssetOrdersOverOrganizations pages through the assets of several organizations, by time and by name.
func TestAssetOrdersOverOrganizations(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		r := rand.New(rand.NewPCG(11, 2026))
		images := map[string]Image{}
		var organizations []string
		for _, name := range []string{"org-one", "org-two", "org-three", "org-four"} {
			o := newOrganization(t, s, name, OrganizationOrg, nil)
			organizations = append(organizations, o.ID)
			maps.Copy(images, putTestImages(t, s, o.ID, testImages(r, 25)))
		}
		empty := newOrganization(t, s, "org-empty", OrganizationOrg, nil)
		stranger := newOrganization(t, s, "stranger", OrganizationOrg, nil)
		putTestImages(t, s, stranger.ID, testImages(r, 25))
		for _, sort := range []string{"created_at", "-created_at", "updated_at", "-updated_at", "name"} {
			order, err := rsql.ParseSort(sort, "created_at", "updated_at", "name")
			require.NoError(t, err)
			got := allPages(t, s, AssetQuery{Organizations: append([]string{empty.ID}, organizations...), Sort: order, Limit: 7})
			require.Equal(t, sortedIDs(images, order), got, sort)
		}
	})
}

func TestAssetCountsOfAllAndOfScopes(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		r := rand.New(rand.NewPCG(10, 2026))
		tenant := newOrganization(t, s, "acme", OrganizationTenant, nil)
		group := newOrganization(t, s, "acme-shops", OrganizationGroup, tenant)
		org := newOrganization(t, s, "acme-web", OrganizationOrg, group)
		other := newOrganization(t, s, "other", OrganizationTenant, nil)
		a := putTestImages(t, s, org.ID, testImages(r, 5))
		putTestImages(t, s, group.ID, testImages(r, 3))
		putTestImages(t, s, other.ID, testImages(r, 2))
		for organization, want := range map[*Organization]int64{tenant: 8, group: 8, org: 5, other: 2} {
			below, err := s.OrganizationsBelow(t.Context(), organization.ID)
			require.NoError(t, err)
			n, err := s.CountAssets(t.Context(), AssetQuery{Organizations: below})
			require.NoError(t, err)
			require.Equal(t, want, n, organization.Canonical)
			p, err := s.ListAssets(t.Context(), AssetQuery{Organizations: below, Limit: 100})
			require.NoError(t, err)
			require.Len(t, p.Assets, int(want))
		}
		id := slices.Collect(maps.Keys(a))[0]
		_, err := s.AssetByID(t.Context(), []string{other.ID}, id)
		require.ErrorIs(t, err, ErrNotFound)
		found, err := s.AssetByID(t.Context(), []string{org.ID}, id)
		require.NoError(t, err)
		require.Equal(t, a[id].Repository, found.Repository)
		require.ElementsMatch(t, a[id].Labels, textsOf(t, found.Labels))
		below, err := s.OrganizationsBelow(t.Context(), NewID())
		require.NoError(t, err)
		require.Empty(t, below)
		p, err := s.ListAssets(t.Context(), AssetQuery{Organizations: below, Limit: 10})
		require.NoError(t, err)
		require.Empty(t, p.Assets)
	})
}
