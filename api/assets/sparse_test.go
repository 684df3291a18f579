package assets_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSparseFieldsets: fields[container_images] names the attributes of an answer, in lists, single assets and results.
func TestSparseFieldsets(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 12)
		attributes := func(a answer) map[string]any {
			t.Helper()
			require.Equal(t, 200, a.status, "%s", a.body)
			one, ok := a.JSON["data"].(map[string]any)
			if !ok {
				one = a.JSON["data"].([]any)[0].(map[string]any)
			}
			require.Equal(t, ids[0], one["id"])
			require.Equal(t, "container_images", one["type"])
			return one["attributes"].(map[string]any)
		}
		path := s.search(t, "")
		for _, base := range []string{s.base(), s.base() + "/" + ids[0], path} {
			require.Equal(t, map[string]any{"registry": "docker.io", "repository": "library/img-0"}, attributes(s.get(t, base+"?fields[container_images]=registry,repository")))
			require.Equal(t, map[string]any{"author": "me", "labels": []any{"even"}}, attributes(s.get(t, base+"?fields%5Bcontainer_images%5D=labels,author,class,risk_score")))
			require.Empty(t, attributes(s.get(t, base+"?fields[container_images]=")))
			for _, bad := range []string{"size", "name,", ",", "name,+registry", "Name"} {
				a := s.get(t, base+"?fields[container_images]="+bad)
				require.Equal(t, 400, a.status, bad)
				_, source, _, detail := a.fault(t)
				require.Equal(t, "fields[container_images]", source["parameter"])
				require.Contains(t, detail, "expected name, registry")
			}
		}
		// It stays in the links, and changes nothing about which assets there are.
		next := s.get(t, s.base()+"?fields[container_images]=name").link("next")
		page := s.get(t, next)
		require.Equal(t, ids[10:], page.ids())
		require.Equal(t, map[string]any{"name": "img-10"}, page.JSON["data"].([]any)[0].(map[string]any)["attributes"])
	})
}
