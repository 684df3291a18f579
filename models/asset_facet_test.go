package models

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFilteredFacetsAgreeWithAssets groups what filters select by each field and holds the counts against the assets themselves,
// also where they are what is left of the counts that are kept.
func TestFilteredFacetsAgreeWithAssets(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		r := rand.New(rand.NewPCG(12, 2026))
		one := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		two := newOrganization(t, s, "two-org", OrganizationOrg, nil)
		stranger := newOrganization(t, s, "stranger", OrganizationOrg, nil)
		for _, org := range []*Organization{one, two, stranger} {
			putTestImages(t, s, org.ID, testImages(r, 60))
		}
		organizations := []string{one.ID, two.ID}
		for _, filter := range []string{"labels==prod", "labels!=prod", "labels!=*", "labels!=''", "class!=A", "class=out=(A,'')", "class!=''", "registry=out=(docker.io,quay.io)", "name!=*a*", "tags.env!=prod",
			"architecture!=amd64", "image_tag!=latest", "type!=container_images", "type!=nosuch", "created_at!=2024-02-02", "built_at!=''", "config_digest!=*0*", "labels!=prod;class!=A", "labels!=prod,class!=A"} {
			list, err := s.ListAssets(t.Context(), AssetQuery{Organizations: organizations, Filter: parsed(t, filter), Limit: 1000})
			require.NoError(t, err)
			for _, field := range AssetGroups {
				want := map[string]int64{}
				for _, a := range list.Assets {
					var values []string
					switch field {
					case "type":
						values = []string{AssetTypeContainerImage}
					case "class":
						if a.Class != nil {
							values = []string{*a.Class}
						}
					case "labels":
						values = textsOf(t, a.Labels)
					default:
						values = []string{map[string]string{"registry": a.Registry, "repository": a.Repository, "name": a.Name, "architecture": a.Architecture, "os": a.OS}[field]}
					}
					for _, v := range values {
						if v != "" {
							want[v]++
						}
					}
				}
				got := map[string]int64{}
				facets, more, err := s.ListFacets(t.Context(), FacetQuery{Organizations: organizations, Field: field, Filter: parsed(t, filter), Sort: "count", Limit: 1000})
				require.NoError(t, err)
				require.False(t, more)
				for _, f := range facets {
					got[f.Value] = f.Count
				}
				require.Equal(t, want, got, "%s by %s", filter, field)
			}
		}
	})
}
