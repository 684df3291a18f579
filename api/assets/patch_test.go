package assets_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/assets"
	"slipway/models"
)

var noConfig = assets.Config{}

func (s *server) attributes(t testing.TB, id string) map[string]any {
	t.Helper()
	a := s.get(t, s.base()+"/"+id)
	require.Equal(t, 200, a.status, "%s", a.body)
	return a.JSON["data"].(map[string]any)["attributes"].(map[string]any)
}

func edit(id, attributes string) string {
	return fmt.Sprintf(`{"type":"container_images","id":"%s","attributes":%s}`, id, attributes)
}

func TestUpdate(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		id := s.images(t, s.web, 2)[1]
		before := s.attributes(t, id)["updated_at"]
		for _, step := range []struct {
			attributes   string
			class        any
			labels, tags any
		}{
			{`{"class":{"display_name":"A","locked":true}}`, map[string]any{"display_name": "A", "rank": 1.0, "locked": true}, nil, nil},
			{`{"class":{"rank":4}}`, map[string]any{"display_name": "D", "rank": 4.0, "locked": true}, nil, nil},
			{`{"labels":["b","a","b"]}`, map[string]any{"display_name": "D", "rank": 4.0, "locked": true}, []any{"a", "b"}, nil},
			{`{"labels":{"add":["c","a"],"remove":["b","nosuch"]},"class":null}`, nil, []any{"a", "c"}, nil},
			{`{"tags":{"env":"prod","add":"x"}}`, nil, []any{"a", "c"}, map[string]any{"env": "prod", "add": "x"}},
			{`{"tags":{"add":"x"}}`, nil, []any{"a", "c"}, map[string]any{"add": "x"}},
			{`{"tags":{"add":{"env":"dev","e":""},"remove":["add"]}}`, nil, []any{"a", "c"}, map[string]any{"env": "dev", "e": ""}},
			{`{"tags":{"remove":["e"]},"labels":null}`, nil, nil, map[string]any{"env": "dev"}},
			{`{"tags":{}}`, nil, nil, nil},
		} {
			a := s.call(t, s.owner, "PATCH", s.base()+"/"+id, `{"data":`+edit(id, step.attributes)+`}`)
			require.Equal(t, 200, a.status, "%s: %s", step.attributes, a.body)
			require.ElementsMatch(t, []string{"data", "jsonapi", "links"}, keys(a.JSON))
			got := a.JSON["data"].(map[string]any)["attributes"].(map[string]any)
			require.Equal(t, step.class, got["class"], step.attributes)
			require.Equal(t, step.labels, got["labels"], step.attributes)
			require.Equal(t, step.tags, got["tags"], step.attributes)
			stored := s.attributes(t, id)
			require.Equal(t, got, stored, "the answer is what is stored")
			require.NotEqual(t, before, stored["updated_at"])
		}
		last := s.attributes(t, id)["updated_at"]
		require.Equal(t, 200, s.call(t, s.owner, "PATCH", s.base()+"/"+id, `{"data":`+edit(id, `{"labels":{"remove":["nosuch"]}}`)+`}`).status)
		require.Equal(t, last, s.attributes(t, id)["updated_at"], "what changes nothing is no update")
	})
}

// TestBadUpdatesAreRefused is the list of wrong bodies, S3 among them. Nothing changes.
func TestBadUpdatesAreRefused(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 3)
		theirs := s.images(t, s.other, 1)[0]
		id := ids[0]
		good := edit(ids[1], `{"labels":["changed"]}`)
		many := func(n int, format string) string {
			list := make([]string, n)
			for i := range list {
				list[i] = fmt.Sprintf(format, i)
			}
			return strings.Join(list, ",")
		}
		cases := []struct {
			data    string
			status  int
			pointer string
		}{
			{`null`, 400, "/data"}, {`[]`, 400, "/data"}, {`7`, 400, "/data"}, {`{"type":"container_images"}`, 400, "/data/id"},
			{`{"id":"` + id + `","attributes":{"class":null}}`, 400, "/data/type"}, {`{"type":"x","id":"` + id + `","attributes":{"class":null}}`, 400, "/data/type"},
			{edit("nonsense", `{"class":null}`), 400, "/data/id"}, {edit(ids[1], `{"class":null}`), 400, "/data/id"},
			{`{"type":"container_images","id":"` + id + `"}`, 400, "/data/attributes"}, {edit(id, `{}`), 400, "/data/attributes"}, {edit(id, `null`), 400, "/data/attributes"},
			{edit(id, `{"registry":"x"}`), 400, "/data/attributes/registry"}, {edit(id, `{"a/b~c":1}`), 400, "/data/attributes/a~1b~0c"},
			{`{"type":"container_images","id":"` + id + `","attributes":{"class":null},"organization_id":"x"}`, 400, "/data/organization_id"},
			{edit(id, `{"class":{}}`), 400, "/data/attributes/class"}, {edit(id, `{"class":"A"}`), 400, "/data/attributes/class"},
			{edit(id, `{"class":{"display_name":"E"}}`), 400, "/data/attributes/class/display_name"}, {edit(id, `{"class":{"rank":5}}`), 400, "/data/attributes/class/rank"},
			{edit(id, `{"class":{"rank":1.5}}`), 400, "/data/attributes/class/rank"}, {edit(id, `{"class":{"rank":1,"display_name":"B"}}`), 400, "/data/attributes/class/rank"},
			{edit(id, `{"class":{"rank":1,"locked":null}}`), 400, "/data/attributes/class/locked"}, {edit(id, `{"class":{"rank":1,"x":1}}`), 400, "/data/attributes/class/x"},
			{edit(id, `{"labels":{}}`), 400, "/data/attributes/labels"}, {edit(id, `{"labels":"x"}`), 400, "/data/attributes/labels"},
			{edit(id, `{"labels":["ok",""]}`), 400, "/data/attributes/labels/1"}, {edit(id, `{"labels":[null]}`), 400, "/data/attributes/labels/0"},
			{edit(id, `{"labels":["a b"]}`), 400, "/data/attributes/labels/0"}, {edit(id, `{"labels":["`+strings.Repeat("a", 41)+`"]}`), 400, "/data/attributes/labels/0"},
			{edit(id, `{"labels":["ä"]}`), 400, "/data/attributes/labels/0"}, {edit(id, `{"labels":["a,b"]}`), 400, "/data/attributes/labels/0"},
			{edit(id, `{"labels":[`+many(51, `"l%d"`)+`]}`), 400, "/data/attributes/labels"},
			{edit(id, `{"labels":{"add":["a"],"remove":["a"]}}`), 400, "/data/attributes/labels/remove/0"}, {edit(id, `{"labels":{"put":["a"]}}`), 400, "/data/attributes/labels/put"},
			{edit(id, `{"labels":{"add":null}}`), 400, "/data/attributes/labels/add"},
			{edit(id, `{"tags":[]}`), 400, "/data/attributes/tags"}, {edit(id, `{"tags":{"a b":"c"}}`), 400, "/data/attributes/tags/a b"},
			{edit(id, `{"tags":{"a":null}}`), 400, "/data/attributes/tags/a"}, {edit(id, `{"tags":{"a":1}}`), 400, "/data/attributes/tags/a"},
			{edit(id, `{"tags":{"a":"b c"}}`), 400, "/data/attributes/tags/a"}, {edit(id, `{"tags":{"a":"`+strings.Repeat("b", 41)+`"}}`), 400, "/data/attributes/tags/a"},
			{edit(id, `{"tags":{"`+strings.Repeat("k", 31)+`":"b"}}`), 400, "/data/attributes/tags/" + strings.Repeat("k", 31)},
			{edit(id, `{"tags":{"add":{"a":"b"},"remove":["a"]}}`), 400, "/data/attributes/tags/remove/0"}, {edit(id, `{"tags":{"`+many(101, `"k%d":"v"`)[1:]+`}}`), 400, "/data/attributes/tags"},
			{edit(id, `{"labels":{"add":[`+many(50, `"l%d"`)+`]}}`), 400, "/data/attributes/labels"}, // with the one it has: 51
		}
		for _, c := range cases {
			a := s.call(t, s.owner, "PATCH", s.base()+"/"+id, `{"data":`+c.data+`}`)
			require.Equal(t, c.status, a.status, "%s: %s", c.data, a.body)
			_, source, _, _ := a.fault(t)
			require.Equal(t, c.pointer, source["pointer"], c.data)
		}
		whole := `{"data":` + edit(id, `{"labels":["x"]}`) + `}`
		for _, body := range []string{"", "{", "[]", "null", "\xff", strings.Repeat("[", 1000), `{"data":"\u0000"}`, whole + "}", whole + "]", whole + "x"} {
			a := s.call(t, s.owner, "PATCH", s.base()+"/"+id, body)
			require.Equal(t, 400, a.status, body)
			code, source, _, _ := a.fault(t)
			require.Equal(t, "invalid-body", code, body)
			require.Equal(t, map[string]any{"pointer": ""}, source, "the whole body: %s", body)
		}
		require.Equal(t, 413, s.call(t, s.owner, "PATCH", s.base()+"/"+id, strings.Repeat(" ", 2<<20)).status)
		require.Equal(t, 404, s.call(t, s.owner, "PATCH", s.base()+"/"+theirs, `{"data":`+edit(theirs, `{"labels":["x"]}`)+`}`).status)

		// In bulk each has the place of its resource, and the good one beside it is not changed either.
		for _, c := range []struct {
			data    string
			status  int
			pointer string
		}{
			{`[]`, 400, "/data"}, {`{}`, 400, "/data"}, {`[` + good + `,7]`, 400, "/data/1"}, {`[` + good + `,` + good + `]`, 400, "/data/1/id"},
			{`[` + good + `,` + edit(id, `{}`) + `]`, 400, "/data/1/attributes"},
			{`[` + good + `,` + edit(theirs, `{"labels":["x"]}`) + `]`, 404, "/data/1/id"},
			{`[` + good + `,` + edit(models.NewID(), `{"labels":["x"]}`) + `]`, 404, "/data/1/id"},
			{`[` + good + `,` + edit(id, `{"labels":{"add":[`+many(50, `"l%d"`)+`]}}`) + `]`, 400, "/data/1/attributes/labels"},
			{`[` + good + strings.Repeat(`,{}`, 100) + `]`, 400, "/data"},
		} {
			a := s.call(t, s.owner, "PATCH", s.base(), `{"data":`+c.data+`}`)
			require.Equal(t, c.status, a.status, "%s", a.body)
			code, source, _, _ := a.fault(t)
			require.Equal(t, map[int]string{400: "invalid-body", 404: "not-found"}[c.status], code)
			require.Equal(t, c.pointer, source["pointer"], c.data)
		}
		require.NotContains(t, s.attributes(t, ids[1]), "labels")
		require.NotContains(t, s.call(t, s.stranger, "GET", "/tenants/"+s.other.ID+"/inventory/assets/"+theirs, nil).JSON["data"].(map[string]any)["attributes"], "class")
	})
}

// TestBulkUpdatesRace lets 20 bulk calls change overlapping assets at once. Each of them is all or nothing and they end
// without a deadlock: every asset has the label of each call once, and the counts agree with the rows.
func TestBulkUpdatesRace(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 100)
		const calls = 20
		var wg sync.WaitGroup
		statuses := make([]int, calls)
		for c := range calls {
			wg.Go(func() {
				list := make([]string, len(ids))
				for i := range ids {
					at := i
					if c%2 == 1 {
						at = len(ids) - 1 - i // the other way round, to meet in the middle
					}
					// Each call adds its own label and replaces the tag "last": the assets must agree on who was last.
					list[i] = edit(ids[at], fmt.Sprintf(`{"labels":{"add":["call-%d"]},"tags":{"last":"%d"}}`, c, c))
				}
				statuses[c] = s.call(t, s.owner, "PATCH", s.base(), `{"data":[`+strings.Join(list, ",")+`]}`).status
			})
		}
		wg.Wait()
		for _, status := range statuses {
			require.Equal(t, 204, status)
		}
		last := map[any]int{}
		for _, id := range ids {
			a := s.attributes(t, id)
			n := 0
			for _, l := range a["labels"].([]any) {
				if strings.HasPrefix(l.(string), "call-") {
					n++
				}
			}
			require.Equal(t, calls, n)
			last[a["tags"].(map[string]any)["last"]]++
		}
		require.Len(t, last, 1, "some order of the calls explains the result: %v", last)
		values := ""
		for _, d := range s.get(t, s.base()+"/groups").JSON["data"].([]any) {
			if d.(map[string]any)["attributes"].(map[string]any)["name"] == "labels" {
				values = d.(map[string]any)["relationships"].(map[string]any)["values"].(map[string]any)["links"].(map[string]any)["related"].(string)
			}
		}
		for _, d := range s.get(t, values+"?limit=100").JSON["data"].([]any) {
			want := 100.0
			if d.(map[string]any)["attributes"].(map[string]any)["value"] == "even" {
				want = 50
			}
			require.Equal(t, want, d.(map[string]any)["meta"].(map[string]any)["count"])
		}
	})
}

// TestALabelUpdateRacedByBulkCalls lets updates of single assets race 20 bulk calls that replace the labels of overlapping
// assets. Replacing and adding do not commute, so each asset says who came before whom; some order of all calls must
// agree with all assets.
func TestALabelUpdateRacedByBulkCalls(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 30)
		const bulks, singles = 20, 6
		r := rand.New(rand.NewPCG(5, 2026))
		touched := make([][]int, bulks) // by call: the assets that it replaces the labels of
		bodies := make([]string, bulks)
		for c := range bulks {
			touched[c] = r.Perm(len(ids))[:10+r.IntN(20)]
			list := make([]string, len(touched[c]))
			for i, at := range touched[c] {
				list[i] = edit(ids[at], fmt.Sprintf(`{"labels":["bulk-%d"]}`, c))
			}
			bodies[c] = `{"data":[` + strings.Join(list, ",") + `]}`
		}
		start := make(chan struct{})
		var wg sync.WaitGroup
		statuses := make([]int, bulks+singles)
		for c := range bulks {
			wg.Go(func() { <-start; statuses[c] = s.call(t, s.owner, "PATCH", s.base(), bodies[c]).status })
		}
		for c := range singles {
			wg.Go(func() {
				<-start
				body := `{"data":` + edit(ids[c], fmt.Sprintf(`{"labels":{"add":["single-%d"]}}`, c)) + `}`
				statuses[bulks+c] = s.call(t, s.owner, "PATCH", s.base()+"/"+ids[c], body).status
			})
		}
		close(start)
		wg.Wait()
		for c, status := range statuses {
			require.Equal(t, map[bool]int{true: 204, false: 200}[c < bulks], status, "call %d", c)
		}
		// before[a][b]: call a must have come before call b.
		before := make([][]bool, bulks+singles)
		for i := range before {
			before[i] = make([]bool, bulks+singles)
		}
		for at, id := range ids {
			have := map[string]bool{}
			if l, ok := s.attributes(t, id)["labels"].([]any); ok {
				for _, x := range l {
					have[x.(string)] = true
				}
			}
			last := -1
			for c := range bulks {
				if have[fmt.Sprintf("bulk-%d", c)] {
					require.Equal(t, -1, last, "two calls that replace the labels are both seen: %v", have)
					last = c
				}
			}
			for c := range bulks {
				if !slices.Contains(touched[c], at) {
					continue
				}
				require.GreaterOrEqual(t, last, 0, "an update is lost: %v", have)
				before[c][last] = before[c][last] || c != last
			}
			if last < 0 || at >= singles {
				continue
			}
			require.False(t, have["even"], "what was replaced is back")
			if have[fmt.Sprintf("single-%d", at)] {
				before[last][bulks+at] = true
			} else {
				before[bulks+at][last] = true
			}
		}
		for k := range before {
			for i := range before {
				for j := range before {
					before[i][j] = before[i][j] || before[i][k] && before[k][j]
				}
			}
		}
		for i := range before {
			require.False(t, before[i][i], "no order of the calls explains the result: call %d would be before itself", i)
		}
	})
}
