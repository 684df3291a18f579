package assets_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/assets"
	"slipway/models"
)

func cursorOf(t *testing.T, link, name string) string {
	t.Helper()
	u, err := url.Parse(link)
	require.NoError(t, err)
	c := u.Query().Get(name)
	require.NotEmpty(t, c, link)
	return c
}

// TestS4_EveryCursorIsOfItsList sends the cursor of each list to each other one, and each cursor with each of its characters
// changed, left out and cut off.
func TestS4_EveryCursorIsOfItsList(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		s.images(t, s.web, 12)
		s.images(t, s.shops, 12)
		s.images(t, s.acme, 12)
		var lists []string
		for kind, o := range map[string]*models.Organization{"tenants": s.acme, "groups": s.shops, "orgs": s.web} {
			base := "/" + kind + "/" + o.ID + "/inventory/assets"
			for _, q := range []string{"limit=10", "limit=10&sort=-created_at", "limit=10&sort=name", "limit=10&sort=-name", "limit=10&sort=class,name", "limit=10&sort=registry",
				"limit=10&filter=q==img", "limit=10&filter=q==img&sort=name", "limit=10&filter=name==*"} {
				lists = append(lists, base+"?"+q)
			}
			for range 2 {
				a := s.call(t, s.owner, "POST", base+"/searches", nil)
				u, err := url.Parse(a.header.Get("Location"))
				require.NoError(t, err)
				lists = append(lists, u.Path+"?limit=10", u.Path+"?limit=10&sort=name")
			}
			for _, f := range assets.GroupFields(assets.Scope{Kind: strings.TrimSuffix(kind, "s"), ID: o.ID}) {
				if f.Name == "repository" || f.Name == "name" {
					lists = append(lists, base+"/groups/"+f.ID+"/values?limit=10", base+"/groups/"+f.ID+"/values?limit=10&sort=-value", base+"/groups/"+f.ID+"/values?limit=10&filter=q==img")
				}
			}
		}
		cursors := make([]string, len(lists))
		for i, l := range lists {
			first := s.get(t, l)
			require.Equal(t, 200, first.status, "%s: %s", l, first.body)
			cursors[i] = cursorOf(t, first.link("next"), "starting_after")
		}
		at := func(list, parameter, cursor string) answer {
			t.Helper()
			return s.get(t, list+"&"+parameter+"="+url.QueryEscape(cursor))
		}
		for i, l := range lists {
			for j, c := range cursors {
				for _, p := range []string{"starting_after", "ending_before"} {
					a := at(l, p, c)
					if i == j {
						require.Equal(t, 200, a.status, "%s", a.body)
						continue
					}
					failsAs(t, a, 400, parameter(p))
				}
			}
		}
		for _, c := range []string{cursors[0], cursors[slices.IndexFunc(lists, func(l string) bool { return strings.Contains(l, "sort=name") })]} {
			list := lists[slices.Index(cursors, c)]
			for i := range len(c) {
				for _, wrong := range []string{c[:i], c[:i] + c[i+1:], c[:i] + string("AB"[(c[i]+1)&1]) + c[i:], c[:i] + string(c[i]^1) + c[i+1:], c[:i] + string(c[i]^2) + c[i+1:], c[:i] + string(c[i]^32) + c[i+1:]} {
					if wrong != c {
						failsAs(t, at(list, "starting_after", wrong), 400, parameter("starting_after"))
					}
				}
			}
			failsAs(t, at(list, "starting_after", c+"&ending_before="+c), 400, parameter("starting_after"))
			failsAs(t, s.get(t, list+"&starting_after="+url.QueryEscape(c)+"&ending_before="+url.QueryEscape(c)), 400, parameter("ending_before"))
		}
	})
}

// TestPagesWhileAssetsChange walks a list with pages of changing sizes, forward to its end and back, while others add assets
// and edit those that are there: what stays in place is read once each way, and in order.
func TestPagesWhileAssetsChange(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 80)
		random := rand.New(rand.NewPCG(20, 26))
		added := 0
		disturb := func() {
			added++
			img := models.Image{Registry: "added.example.com", Repository: fmt.Sprintf("library/img-%d-added-%d", random.IntN(80), added), ConfigDigest: fmt.Sprintf("sha256:%064x", 5000+random.IntN(1e9))}
			require.NoError(t, img.Check())
			_, err := s.store.PutImages(t.Context(), s.web.ID, []models.Image{img}, false)
			require.NoError(t, err)
			id := ids[random.IntN(len(ids))]
			a := s.call(t, s.owner, "PATCH", s.base()+"/"+id, `{"data":{"type":"container_images","id":"`+id+`","attributes":{"labels":{"add":["n-`+fmt.Sprint(added)+`"]},"class":{"rank":`+fmt.Sprint(1+random.IntN(4))+`}}}}`)
			require.Equal(t, 200, a.status, "%s", a.body)
		}
		for _, list := range []string{"?sort=created_at", "?sort=-created_at", "?sort=name", "?sort=-name", "?sort=registry,-name", "?filter=registry==docker.io&sort=-registry"} {
			var forward, backward []string
			a := s.get(t, s.base()+list+"&limit=17")
			for pages := 0; ; pages++ {
				require.Less(t, pages, 30)
				forward = append(forward, a.ids()...)
				if a.link("next") == "" {
					break
				}
				disturb()
				a = s.get(t, s.base()+list+fmt.Sprintf("&limit=%d&starting_after=%s", 10+random.IntN(20), url.QueryEscape(cursorOf(t, a.link("next"), "starting_after"))))
				require.Equal(t, 200, a.status, "%s", a.body)
			}
			backward = a.ids()
			for a.link("prev") != "" {
				disturb()
				a = s.get(t, s.base()+list+fmt.Sprintf("&limit=%d&ending_before=%s", 10+random.IntN(20), url.QueryEscape(cursorOf(t, a.link("prev"), "ending_before"))))
				require.Equal(t, 200, a.status, "%s", a.body)
				backward = append(a.ids(), backward...)
			}
			old := func(list []string) []string {
				return slices.DeleteFunc(slices.Clone(list), func(id string) bool { return !slices.Contains(ids, id) })
			}
			require.ElementsMatch(t, ids, old(forward), list)
			require.Equal(t, old(forward), old(backward), list)
		}
	})
}
