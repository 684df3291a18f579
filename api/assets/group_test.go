package assets_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/assets"
	"slipway/models"
)

// groupField gives the address of the values of a group field.
func (s *server) groupField(t *testing.T, name string) string {
	t.Helper()
	for _, f := range assets.GroupFields(assets.Scope{Kind: assets.Tenant, ID: s.acme.ID}) {
		if f.Name == name {
			return s.base() + "/groups/" + f.ID + "/values"
		}
	}
	t.Fatalf("no group field %s", name)
	return ""
}

// TestGroupsTellWhatTheyHave: meta_fields asks for more than the number of assets.
func TestGroupsTellWhatTheyHave(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 12)
		s.images(t, s.other, 12)
		require.Equal(t, 204, s.call(t, s.owner, "PATCH", s.base(), `{"data":[`+edit(ids[1], `{"class":{"rank":1},"labels":["a","z"],"tags":{"env":"prod","b":""}}`)+`,`+
			edit(ids[2], `{"class":{"rank":1},"tags":{"env":"dev"}}`)+`,`+edit(ids[3], `{"class":{"rank":2}}`)+`]}`).status)
		// The last one that changes in its group.
		require.Equal(t, 200, s.call(t, s.owner, "PATCH", s.base()+"/"+ids[1], `{"data":`+edit(ids[1], `{"labels":{"add":["b"]}}`)+`}`).status)
		path := s.groupField(t, "class")
		metas := func(query string) map[string]map[string]any {
			t.Helper()
			a := s.get(t, path+query)
			require.Equal(t, 200, a.status, "%s", a.body)
			m := map[string]map[string]any{}
			for _, d := range a.JSON["data"].([]any) {
				r := d.(map[string]any)
				m[r["attributes"].(map[string]any)["value"].(string)] = r["meta"].(map[string]any)
			}
			require.Len(t, m, 2)
			return m
		}
		require.Equal(t, map[string]map[string]any{"A": {"count": 2.0}, "B": {"count": 1.0}}, metas(""))
		require.Equal(t, map[string]map[string]any{"A": {"count": 2.0}, "B": {"count": 1.0}}, metas("?meta_fields=count,issues,risk_score&aggregate[issues]=sum"))
		require.Equal(t, map[string]any{"count": 2.0, "labels": []any{"a", "b", "even", "z"}}, metas("?meta_fields=labels")["A"])
		require.Equal(t, map[string]any{"count": 1.0, "labels": []any{}, "tags": []any{}}, metas("?meta_fields=labels,tags")["B"])
		tag := func(key, value string) map[string]any { return map[string]any{"key": key, "value": value} }
		require.Equal(t, []any{tag("b", ""), tag("env", "dev"), tag("env", "prod")}, metas("?meta_fields=tags")["A"]["tags"])
		updated, seen := s.attributes(t, ids[1])["updated_at"], s.attributes(t, ids[1])["last_seen_at"]
		all := metas("?meta_fields=all")["A"]
		require.ElementsMatch(t, []string{"count", "labels", "tags", "built_at", "last_seen_at", "updated_at"}, keys(all))
		require.Equal(t, updated, all["updated_at"])
		require.Equal(t, seen, all["last_seen_at"])
		for aggregate, want := range map[string]string{"": "2026-01-01T00:00:01Z", "&aggregate[built_at]=last": "2026-01-01T00:00:01Z", "&aggregate[built_at]=first": "2026-01-01T00:00:02Z",
			"&aggregate[built_at]=max": "2026-01-01T00:00:02Z", "&aggregate[built_at]=min": "2026-01-01T00:00:01Z"} {
			require.Equal(t, map[string]any{"count": 2.0, "built_at": want}, metas("?meta_fields=built_at" + aggregate)["A"], aggregate)
		}
		// With a filter, and of a field of which an asset has several values.
		require.Equal(t, map[string]any{"count": 1.0, "labels": []any{"even"}}, s.get(t, path+"?meta_fields=labels&filter=tags.env==dev").JSON["data"].([]any)[0].(map[string]any)["meta"])
		labels := s.get(t, s.groupField(t, "labels")+"?sort=value&meta_fields=labels,updated_at").JSON["data"].([]any)
		require.Len(t, labels, 4)
		require.Equal(t, map[string]any{"count": 1.0, "labels": []any{"a", "b", "z"}, "updated_at": updated}, labels[0].(map[string]any)["meta"])
		require.Len(t, labels[2].(map[string]any)["meta"].(map[string]any)["labels"], 1, "even")
		for _, field := range []string{"type", "registry", "repository", "name", "architecture", "os"} {
			for _, d := range s.get(t, s.groupField(t, field)+"?meta_fields=all").JSON["data"].([]any) {
				require.Contains(t, d.(map[string]any)["meta"], "updated_at", field)
			}
		}
		for query, parameter := range map[string]string{"meta_fields=": "meta_fields", "meta_fields=x": "meta_fields", "meta_fields=count,": "meta_fields", "aggregate[built_at]=sum": "aggregate[built_at]",
			"aggregate[issues]=max": "aggregate[issues]", "aggregate[x]=max": "aggregate[x]"} {
			a := s.get(t, path+"?"+query)
			require.Equal(t, 400, a.status, query)
			_, source, _, _ := a.fault(t)
			require.Equal(t, parameter, source["parameter"])
		}
	})
}

// TestGroupsHaveOnePage: the list of group fields gives no cursors, so none is one of it. On filters they are ignored.
func TestGroupsHaveOnePage(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	for _, name := range []string{"starting_after", "ending_before"} {
		a := s.get(t, s.base()+"/groups?"+name+"=v1.MTIzNDU2Nzg5MHxhYmNkZWY=")
		require.Equal(t, 400, a.status)
		code, source, _, _ := a.fault(t)
		require.Equal(t, "invalid-cursor", code)
		require.Equal(t, name, source["parameter"])
		require.Equal(t, 200, s.get(t, s.base()+"/filters?"+name+"=x").status)
	}
}

// TestGroupsCountTheSameWithAFilter: a filter that all assets meet changes no group of any field, on any page.
func TestGroupsCountTheSameWithAFilter(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 25)
		s.images(t, s.other, 3)
		require.Equal(t, 204, s.call(t, s.owner, "PATCH", s.base(), `{"data":[`+edit(ids[1], `{"class":{"rank":1},"labels":["a","z"]}`)+`,`+edit(ids[2], `{"class":{"rank":4},"labels":["a"]}`)+`]}`).status)
		groups := func(field, query string) (list []any) {
			t.Helper()
			for path := s.groupField(t, field) + "?limit=10" + query; path != ""; {
				page := s.get(t, path)
				require.Equal(t, 200, page.status, "%s: %s", path, page.body)
				list, path = append(list, page.JSON["data"].([]any)...), page.link("next")
			}
			return list
		}
		for _, field := range models.AssetGroups {
			for _, sort := range []string{"", "&sort=-count", "&sort=value", "&sort=-value"} {
				all := groups(field, sort)
				require.NotEmpty(t, all, field)
				require.Equal(t, all, groups(field, sort+"&filter=created_at>2000-01-01"), field+sort)
				require.Equal(t, all, groups(field, sort+"&meta_fields=count&filter=id!=''"), field+sort)
				require.Len(t, groups(field, sort+"&meta_fields=all&filter=id!=''"), len(all), field+sort)
				require.Empty(t, groups(field, sort+"&filter=name==nosuch"), field+sort)
			}
		}
	})
}
