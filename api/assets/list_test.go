package assets_test

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	assetsapi "slipway/api/assets"
	"slipway/assets"
	"slipway/models"
)

// TestEveryOperationOfTheContractIsThere compares the rows with the contract.
func TestEveryOperationOfTheContractIsThere(t *testing.T) {
	f, err := os.Open("testdata/operations.tsv")
	require.NoError(t, err)
	defer f.Close()
	var want, have []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		c := strings.Split(lines.Text(), "\t")
		want = append(want, c[2]+" "+c[3]+" "+c[1])
	}
	for _, r := range assetsapi.New(assetsapi.Options{}).Rows {
		have = append(have, r.Method+" "+r.Path+" "+r.Operation)
	}
	require.Len(t, want, 30)
	require.Equal(t, want, have)
}

func TestListDocument(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 25)
		for _, path := range []string{s.base(), "/groups/" + s.shops.ID + "/inventory/assets", "/orgs/" + s.web.ID + "/inventory/assets"} {
			a := s.get(t, path+"?version=2024-10-15&meta_count=with&limit=10")
			require.Equal(t, 200, a.status, "%s", a.body)
			require.Equal(t, mediaType, a.header.Get("Content-Type"))
			require.Contains(t, a.header.Values("Vary"), "Accept")
			require.Equal(t, "2024-10-15~beta", a.header.Get("snyk-version-served"))
			require.Equal(t, "2024-10-15", a.header.Get("snyk-version-requested"))
			require.Equal(t, "beta", a.header.Get("snyk-version-lifecycle-stage"))
			require.NotEmpty(t, a.header.Get("snyk-request-id"))
			require.Equal(t, ids[:10], a.ids())
			require.EqualValues(t, 25, a.JSON["meta"].(map[string]any)["count"])
			require.ElementsMatch(t, []string{"data", "links", "meta"}, keys(a.JSON))
			require.ElementsMatch(t, []string{"self", "first", "next"}, keys(a.JSON["links"].(map[string]any)))
			image := a.JSON["data"].([]any)[0].(map[string]any)
			require.Equal(t, "container_images", image["type"])
			require.Equal(t, path+"/"+ids[0]+"?version=2024-10-15", image["links"].(map[string]any)["self"])
			attributes := image["attributes"].(map[string]any)
			require.Equal(t, "library/img-0", attributes["repository"])
			require.Equal(t, "img-0", attributes["name"])
			require.Equal(t, "me", attributes["author"])
			require.Equal(t, []any{"even"}, attributes["labels"])
			require.NotContains(t, attributes, "class")
			require.NotContains(t, attributes, "tags")
			require.Equal(t, "2026-01-01T00:00:00Z", attributes["created_at"])

			// Forward to the end, then back to the start.
			seen := a.ids()
			page := a
			for page.link("next") != "" {
				page = s.get(t, page.link("next"))
				require.Equal(t, 200, page.status, "%s", page.body)
				require.Contains(t, page.link("self"), "version=2024-10-15")
				seen = append(seen, page.ids()...)
			}
			require.Equal(t, ids, seen)
			back := page.ids()
			for page.link("prev") != "" {
				page = s.get(t, page.link("prev"))
				back = append(page.ids(), back...)
			}
			require.Equal(t, ids, back)
			require.Equal(t, ids[:10], s.get(t, page.link("first")).ids())

			only := s.get(t, path+"?meta_count=only")
			require.NotContains(t, only.JSON, "data")
			require.EqualValues(t, 25, only.JSON["meta"].(map[string]any)["count"])
			one := s.get(t, path+"/"+ids[3])
			require.Equal(t, ids[3], one.JSON["data"].(map[string]any)["id"])
			require.Equal(t, path+"/"+ids[3], one.link("self"))
		}
	})
}

func keys(m map[string]any) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

// TestSemicolonInTheURL: Go's query parser drops such a pair, and with it the whole filter.
func TestSemicolonInTheURL(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 12)
		for _, raw := range []string{"q==img-1;name==img-11", "q==img-1%3Bname==img-11", "q==img-1+and+name==img-11"} {
			a := s.get(t, s.base()+"?filter="+raw)
			require.Equal(t, 200, a.status, "%s", a.body)
			require.Equal(t, ids[11:], a.ids(), raw)
		}
	})
}

// TestBadListsAreRefused is the list of what a client can get wrong. S18: each has a code, a place and a reason.
func TestBadListsAreRefused(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		s.images(t, s.web, 25)
		next := s.get(t, s.base()+"?limit=10").link("next")
		cursor, err := url.QueryUnescape(next[strings.Index(next, "starting_after=")+len("starting_after="):])
		require.NoError(t, err)
		tomorrow := time.Now().UTC().AddDate(0, 0, 2).Format(time.DateOnly)
		long := strings.Repeat("a", 9000)
		for _, c := range []struct {
			query, parameter, code string
			position               int // -1 for none
		}{
			{"filter=", "filter", "invalid-filter", 0},
			{"filter=q", "filter", "invalid-filter", 1},
			{"filter=q==", "filter", "invalid-filter", 3},
			{"filter=q==a;", "filter", "invalid-filter", 5},
			{"filter=" + url.QueryEscape("q==ä;;"), "filter", "invalid-filter", 5},
			{"filter=nosuch==1", "filter", "unknown-field", 0},
			{"filter=0-tag-lines==1", "filter", "unknown-field", 0},
			{"filter=q!=a", "filter", "operator-not-allowed", 1},
			{"filter=registry%3Ea", "filter", "operator-not-allowed", 8},
			{"filter=created_at%3Eyesterday", "filter", "invalid-value", 11},
			{"filter=tags==a", "filter", "unknown-field", 0},
			{"filter=id==a", "filter", "invalid-value", 4},
			{"filter=q==%00", "filter", "", -1},
			{"filter=q==%zz", "filter", "invalid-query", -1},
			{"filter=q==%ff", "filter", "", -1},
			{"filter=q==a&filter=q==b", "filter", "invalid-query", -1},
			{"filter=q==" + long, "filter", "filter-too-complex", -1},
			{"filter=" + strings.Repeat("(", 10000) + "q==a" + strings.Repeat(")", 10000), "filter", "filter-too-complex", -1},
			{"filter=" + strings.Repeat("(", 3000) + "q==a" + strings.Repeat(")", 3000), "filter", "filter-too-complex", -2},
			{"sort=size", "sort", "invalid-sort", 0},
			{"sort=url", "sort", "invalid-sort", 0},
			{"sort=name,-name", "sort", "invalid-sort", 5},
			{"sort=name,", "sort", "invalid-sort", 5},
			{"limit=9", "limit", "invalid-parameter", -1},
			{"limit=101", "limit", "invalid-parameter", -1},
			{"limit=", "limit", "invalid-parameter", -1},
			{"limit=ten", "limit", "invalid-parameter", -1},
			{"limit=0", "limit", "invalid-parameter", -1},
			{"meta_count=yes", "meta_count", "invalid-parameter", -1},
			{"page=2", "page", "unknown-parameter", -1},
			{"fields[x]=1", "fields[x]", "unknown-parameter", -1},
			{"starting_after=" + cursor + "&ending_before=" + cursor, "ending_before", "invalid-cursor", -1},
			{"starting_after=", "starting_after", "invalid-cursor", -1},
			{"starting_after=v1.MTIzNDU2Nzg5MHxhYmNkZWY=", "starting_after", "invalid-cursor", -1},
			{"starting_after=" + cursor[:len(cursor)-2], "starting_after", "invalid-cursor", -1},
			{"starting_after=" + cursor + "&sort=name", "starting_after", "invalid-cursor", -1},
			{"ending_before=" + cursor + "&filter=q==a", "ending_before", "invalid-cursor", -1},
			{"version=2024-1-1", "version", "invalid-version", -1},
			{"version=2024-10-15~beta", "version", "invalid-version", -1},
			{"version=" + tomorrow, "version", "invalid-version", -1},
		} {
			start := time.Now()
			a := s.get(t, s.base()+"?"+c.query)
			shown := c.query[:min(len(c.query), 60)]
			require.Equal(t, 400, a.status, "%s: %s", shown, a.body)
			require.Equal(t, mediaType, a.header.Get("Content-Type"), shown)
			code, source, meta, _ := a.fault(t)
			require.Equal(t, c.parameter, source["parameter"], shown)
			if c.code != "" {
				require.Equal(t, c.code, code, shown)
			}
			if c.position >= 0 {
				require.EqualValues(t, c.position, meta["position"], shown)
				if c.query != "sort=name,-name" { // what is there twice could be anything else
					require.NotEmpty(t, meta["expected"], shown)
				}
			}
			require.Less(t, time.Since(start), time.Second, shown)
		}
		require.Equal(t, 404, s.get(t, s.base()+"?version=2020-01-01").status)
		// The cursor of another scope, though it holds the same assets.
		require.Equal(t, 400, s.get(t, "/orgs/"+s.web.ID+"/inventory/assets?starting_after="+url.QueryEscape(cursor)).status)
		require.Equal(t, 200, s.get(t, s.base()+"?starting_after="+url.QueryEscape(cursor)).status)
	})
}

// TestFiltersThatTakeTooLongAreRefused: with 400 and a reason, for the client can do something about it.
func TestFiltersThatTakeTooLongAreRefused(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", assets.Config{FilterTime: time.Nanosecond})
	s.images(t, s.web, 3)
	require.Equal(t, 200, s.get(t, s.base()).status)
	groups := s.get(t, s.base()+"/groups").ids()[0]
	for _, path := range []string{"?filter=name==img-1", "?meta_count=only&filter=name==img-1", "/groups/" + groups + "/values?filter=name==img-1"} {
		a := s.get(t, s.base()+path)
		require.Equal(t, 400, a.status, "%s", a.body)
		code, source, _, detail := a.fault(t)
		require.Equal(t, "filter-too-complex", code)
		require.Equal(t, "filter", source["parameter"])
		require.Contains(t, detail, "longer than 1ns")
	}
	a := s.get(t, s.base()+"/groups/"+groups+"/values?meta_fields=labels")
	require.Equal(t, 400, a.status, "%s", a.body)
	_, source, _, detail := a.fault(t)
	require.Equal(t, "meta_fields", source["parameter"])
	require.Contains(t, detail, "expected fewer fields")
	// Many terms and patterns are fine where there are few assets.
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 12)
		var terms []string
		for i := range 199 {
			terms = append(terms, []string{"q==absent-%d", "name==*absent-%d*", "labels==*absent-%d*", "tags.a==*absent-%d"}[i%4])
			terms[i] = fmt.Sprintf(terms[i], i)
		}
		a := s.get(t, s.base()+"?filter="+url.QueryEscape(strings.Join(append(terms, "q==img-11"), ",")))
		require.Equal(t, 200, a.status, "%s", a.body)
		require.Equal(t, ids[11:], a.ids())
	})
}

// TestHostileTextIsLiteral sends what would be SQL, patterns or escapes elsewhere.
func TestHostileTextIsLiteral(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		s.images(t, s.web, 11)
		for _, text := range []string{"' OR 1=1 --", "%", "_", "img_1", "img%1", `\`, `"`, "';DROP TABLE assets;--", "$1", "?", "::text", "\t", "\n", "𝕏", "e\u0301", strings.Repeat("%_", 2000)} {
			quoted := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
			for _, filter := range []string{"q==" + quoted, "name==" + quoted, "labels==" + quoted, "tags.env==" + quoted, "repository==*" + "x", "registry=in=(" + quoted + ")"} {
				start := time.Now()
				a := s.get(t, s.base()+"?filter="+url.QueryEscape(filter))
				require.Equal(t, 200, a.status, "%q: %s", filter, a.body)
				require.Empty(t, a.ids(), "%q", filter)
				require.Less(t, time.Since(start), time.Second)
			}
		}
		all := s.get(t, s.base()+"?limit=100&filter="+url.QueryEscape("q!=x")) // still there, and q takes no !=
		require.Equal(t, 400, all.status)
		require.Len(t, s.get(t, s.base()+"?limit=100").ids(), 11)
	})
}

// TestScopes is S2 and S4: an asset of an org is seen from its group and its tenant, never from a stranger's.
func TestScopes(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 3)
		theirs := s.images(t, s.other, 2)
		orgs := "/orgs/" + s.web.ID + "/inventory/assets"
		require.Equal(t, ids, s.call(t, s.reader, "GET", orgs, nil).ids())
		require.Equal(t, 404, s.call(t, s.reader, "GET", s.base(), nil).status, "a reader of the org does not see the tenant")
		require.Equal(t, 404, s.call(t, s.stranger, "GET", orgs, nil).status)
		require.Equal(t, 404, s.call(t, s.stranger, "GET", s.base()+"/"+ids[0], nil).status)
		require.Equal(t, 401, s.call(t, "", "GET", orgs, nil).status)
		require.Equal(t, 401, s.call(t, "nonsense", "GET", orgs, nil).status)
		require.Equal(t, 404, s.get(t, s.base()+"/"+theirs[0]).status, "an id of another tenant")
		require.Equal(t, 404, s.get(t, "/orgs/"+s.acme.ID+"/inventory/assets").status, "a tenant is no org")
		require.Equal(t, 404, s.get(t, "/tenants/"+s.web.ID+"/inventory/assets").status)
		require.Equal(t, 404, s.get(t, "/tenants/acme/inventory/assets").status, "scopes are named by id")
		require.Equal(t, 404, s.get(t, "/tenants/"+models.NewID()+"/inventory/assets").status)
		require.Equal(t, 404, s.get(t, s.base()+"/nonsense").status)
		edit := map[string]any{"data": map[string]any{"type": "container_images", "id": ids[0], "attributes": map[string]any{"labels": []string{"x"}}}}
		require.Equal(t, 403, s.call(t, s.reader, "PATCH", orgs+"/"+ids[0], edit).status, "readable, but not to be changed")
		require.Equal(t, 404, s.call(t, s.stranger, "PATCH", orgs+"/"+ids[0], edit).status)
		require.ElementsMatch(t, ids, s.get(t, s.base()+"?filter=type==container_images,id=="+theirs[0]).ids(), "a filter does not widen the scope")
		for _, path := range []string{"/groups/" + s.shops.ID, "/tenants/" + s.acme.ID, "/orgs/" + s.web.ID} {
			require.EqualValues(t, 3, s.get(t, path+"/inventory/assets?meta_count=only").JSON["meta"].(map[string]any)["count"])
		}
		require.Equal(t, 404, s.call(t, s.owner, "POST", s.base()+"/searches/"+models.NewID()+"/results", nil).status, "a client that repeats POST")
	})
}

func TestMediaTypes(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	id := s.images(t, s.web, 1)[0]
	edit := map[string]any{"data": map[string]any{"type": "container_images", "id": id, "attributes": map[string]any{"labels": []string{"x"}}}}
	for contentType, want := range map[string]int{
		mediaType: 200, mediaType + `; profile="http://example.com/p"`: 200, "application/json": 415, "": 415, mediaType + "; charset=utf-8": 415,
		mediaType + `; ext="http://example.com/e"`: 415, "text/plain": 415, ";;;": 415,
	} {
		require.Equal(t, want, s.call(t, s.owner, "PATCH", s.base()+"/"+id, edit, "Content-Type", contentType).status, contentType)
	}
	for accept, want := range map[string]int{
		"": 200, "*/*": 200, "application/json": 200, mediaType: 200, mediaType + "; charset=utf-8": 406, mediaType + "; charset=utf-8, " + mediaType: 200,
		mediaType + `;ext="x"`: 406, mediaType + ";q=0.5": 200,
	} {
		require.Equal(t, want, s.call(t, s.owner, "GET", s.base(), nil, "Accept", accept).status, accept)
	}
	requestID := "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e"
	require.Equal(t, requestID, s.call(t, s.owner, "GET", s.base(), nil, "snyk-request-id", requestID).header.Get("snyk-request-id"))
	bad := s.call(t, "", "GET", s.base(), nil, "snyk-request-id", "x\"")
	require.Equal(t, 401, bad.status)
	require.Len(t, bad.header.Get("snyk-request-id"), 36)
	require.Equal(t, "beta", bad.header.Get("snyk-version-lifecycle-stage"))
	require.Equal(t, 200, s.call(t, s.owner, "GET", s.base(), nil, "Authorization", "token "+s.owner).status, "the scheme has no case")
}

func TestGroupsAndFilters(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 25)
		s.images(t, s.other, 25)
		fields := s.get(t, s.base()+"/groups?version=2024-10-15")
		byName := map[string]string{}
		for _, d := range fields.JSON["data"].([]any) {
			r := d.(map[string]any)
			require.Equal(t, "group_fields", r["type"])
			byName[r["attributes"].(map[string]any)["name"].(string)] = r["relationships"].(map[string]any)["values"].(map[string]any)["links"].(map[string]any)["related"].(string)
		}
		a := s.get(t, byName["labels"])
		require.Equal(t, 200, a.status, "%s", a.body)
		require.Len(t, a.JSON["data"], 1)
		v := a.JSON["data"].([]any)[0].(map[string]any)
		require.Equal(t, "even", v["attributes"].(map[string]any)["value"])
		require.EqualValues(t, 13, v["meta"].(map[string]any)["count"])
		require.Equal(t, v["id"], s.get(t, byName["labels"]).ids()[0], "ids are stable")

		// Names: 25 values with one asset each, by count and then by value.
		var names []string
		for path := byName["name"]; path != ""; {
			page := s.get(t, path)
			require.Equal(t, 200, page.status, "%s", page.body)
			for _, d := range page.JSON["data"].([]any) {
				names = append(names, d.(map[string]any)["attributes"].(map[string]any)["value"].(string))
			}
			path = page.link("next")
			if path == "" {
				back := names[len(names)-5:]
				for path := page.link("prev"); path != ""; {
					p := s.get(t, path)
					var list []string
					for _, d := range p.JSON["data"].([]any) {
						list = append(list, d.(map[string]any)["attributes"].(map[string]any)["value"].(string))
					}
					back = append(list, back...)
					path = p.link("prev")
				}
				require.Equal(t, names, back)
			}
		}
		require.Len(t, names, 25)
		require.True(t, slices.IsSorted(names))
		filtered := s.get(t, byName["registry"]+"&filter=labels==even;name==*img-1*")
		require.EqualValues(t, 5, filtered.JSON["data"].([]any)[0].(map[string]any)["meta"].(map[string]any)["count"]) // 10 12 14 16 18
		// S4: a cursor belongs to its field, filter, order and scope.
		next := s.get(t, byName["name"]).link("next")
		cursor := next[strings.Index(next, "starting_after="):]
		cursor, _, _ = strings.Cut(cursor, "&")
		require.Equal(t, 200, s.get(t, byName["name"]+"&"+cursor).status)
		for _, other := range []string{byName["repository"] + "&" + cursor, byName["name"] + "&sort=-count&" + cursor, byName["name"] + "&filter=labels==even&" + cursor,
			strings.Replace(byName["name"], "/tenants/"+s.acme.ID, "/orgs/"+s.web.ID, 1) + "&" + cursor, s.base() + "?" + cursor} {
			a := s.get(t, other)
			require.Contains(t, []int{400, 404}, a.status, "%s: %s", other, a.body)
		}
		require.Empty(t, s.get(t, byName["class"]).ids())
		require.Empty(t, s.get(t, byName["registry"]+"&asset_types=repositories").ids())
		require.Len(t, s.get(t, byName["registry"]+"&asset_types=repositories,container_images").ids(), 1)
		require.Equal(t, 404, s.get(t, s.base()+"/groups/"+models.NewID()+"/values").status)
		require.Equal(t, 400, s.get(t, byName["registry"]+"&filter=x").status)

		edit := map[string]any{"data": []any{
			map[string]any{"type": "container_images", "id": ids[0], "attributes": map[string]any{"tags": map[string]string{"env": "prod", "owner": "ada"}}},
			map[string]any{"type": "container_images", "id": ids[1], "attributes": map[string]any{"tags": map[string]string{"env": "dev", "stage": "Prod"}, "class": map[string]any{"rank": 2}}}}}
		require.Equal(t, 204, s.call(t, s.owner, "PATCH", s.base(), edit).status)
		values := map[string]string{}
		for _, d := range s.get(t, s.base()+"/filters").JSON["data"].([]any) {
			r := d.(map[string]any)
			name := r["attributes"].(map[string]any)["name"].(string)
			values[name] = s.base() + "/filters/" + r["id"].(string) + "/values"
			_, suggests := r["relationships"]
			require.Equal(t, slices.Contains([]string{"type", "class", "labels", "tags", "registry", "repository", "name", "architecture", "os"}, name), suggests, name)
		}
		suggest := func(query string) []string {
			a := s.get(t, values["tags"]+query)
			require.Equal(t, 200, a.status, "%s", a.body)
			list := []string{}
			for _, d := range a.JSON["data"].([]any) {
				at := d.(map[string]any)["attributes"].(map[string]any)
				key, _ := at["key"].(string)
				value, has := at["value"].(string)
				if has {
					key += "=" + value
				}
				list = append(list, key)
			}
			return list
		}
		require.Equal(t, []string{"env=dev", "env=prod", "owner=ada", "stage=Prod"}, suggest(""))
		require.Equal(t, []string{"env=prod", "stage=Prod"}, suggest("?q=pro"))
		require.Equal(t, []string{"env", "owner", "stage"}, suggest("?keys_only=true"))
		require.Equal(t, []string{"owner"}, suggest("?keys_only=true&q=OWN"))
		require.Equal(t, []string{"env=dev", "env=prod"}, suggest("?key=env"))
		require.Equal(t, []string{"env=dev"}, suggest("?key=env&q=DEV"))
		require.Equal(t, []string{}, suggest("?q=%25"))
		require.Len(t, s.get(t, values["name"]+"?limit=20").ids(), 20)
		require.Len(t, s.get(t, values["class"]).ids(), 1)
		require.Equal(t, 404, s.get(t, values["q"]).status)
		require.Equal(t, 400, s.get(t, values["name"]+"?q="+strings.Repeat("a", 101)).status)
		require.Equal(t, 200, s.get(t, values["name"]+"?q="+url.QueryEscape(strings.Repeat("ä", 100))).status)
		require.Equal(t, 400, s.get(t, values["name"]+"?keys_only=true").status)
		require.Equal(t, 400, s.get(t, values["tags"]+"?keys_only=maybe").status)
		require.Equal(t, 400, s.get(t, values["tags"]+"?limit=1000").status)
		require.Equal(t, 400, s.get(t, values["tags"]+"?q=%00").status)
		require.Equal(t, 400, s.get(t, s.base()+"/filters?limit=5").status)
		require.Empty(t, s.get(t, s.base()+"/filters?asset_types=other").ids())
	})
}
