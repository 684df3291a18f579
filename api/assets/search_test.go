package assets_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/assets"
	"slipway/models"
)

func search(attributes string) string {
	return `{"data":{"type":"searches","attributes":{` + attributes + `}}}`
}

// results begins a search and gives the path of its results.
func (s *server) search(t testing.TB, body string, headers ...string) string {
	t.Helper()
	a := s.call(t, s.owner, "POST", s.base()+"/searches", body, headers...)
	require.Equal(t, http.StatusFound, a.status, "%s", a.body)
	require.Equal(t, mediaType, a.header.Get("Content-Type"))
	require.NotEmpty(t, a.header.Get("snyk-version-served"))
	require.JSONEq(t, `{"jsonapi":{"version":"1.0"}}`, string(a.body))
	path, ok := strings.CutPrefix(a.header.Get("Location"), s.URL)
	require.True(t, ok, "an absolute address: %s", a.header.Get("Location"))
	require.Regexp(t, "^"+s.base()+"/searches/[0-9a-f-]{36}/results$", path)
	return path
}

func TestSearch(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 25)
		path := s.search(t, search(`"filter":"labels==even","sort":"-created_at","limit":10,"meta_count":"with"`))
		page := s.get(t, path)
		require.Equal(t, 200, page.status, "%s", page.body)
		require.ElementsMatch(t, []string{"data", "links", "meta"}, keys(page.JSON))
		require.EqualValues(t, 13, page.JSON["meta"].(map[string]any)["count"])
		require.Len(t, page.ids(), 10, "the search's own limit")
		require.Equal(t, ids[24], page.ids()[0])
		seen := page.ids()
		next := s.get(t, page.link("next"))
		seen = append(seen, next.ids()...)
		require.Len(t, seen, 13)
		require.Equal(t, ids[0], seen[12])
		require.Empty(t, next.link("next"))
		require.Equal(t, page.ids(), s.get(t, next.link("prev")).ids())

		// A snapshot: what comes later is not in it, what no longer has the label still is.
		s.images(t, s.shops, 30)
		edits := `{"data":{"type":"container_images","id":"` + ids[24] + `","attributes":{"labels":[]}}}`
		require.Equal(t, 200, s.call(t, s.owner, "PATCH", s.base()+"/"+ids[24], edits).status)
		again := s.get(t, path+"?limit=100")
		require.Equal(t, seen, again.ids())
		// Sorted anew, by what images have and by what they have not.
		reversed := s.get(t, path+"?limit=100&sort=created_at,url,scm")
		require.Equal(t, ids[0], reversed.ids()[0])
		require.Len(t, reversed.ids(), 13)
		sorted := s.get(t, path+"?sort=-name&limit=10")
		require.Equal(t, 200, s.get(t, sorted.link("next")).status)
		require.Equal(t, 400, s.get(t, strings.Replace(sorted.link("next"), "sort=-name", "sort=name", 1)).status, "a cursor of another order")
		cursor := page.link("next")[strings.Index(page.link("next"), "?"):]
		require.Equal(t, 200, s.get(t, path+cursor).status)
		same := s.search(t, search(`"filter":"labels==even","sort":"-created_at","limit":10,"meta_count":"with"`))
		require.Equal(t, 400, s.get(t, same+cursor).status, "a cursor of another search")
		require.Equal(t, 400, s.get(t, s.base()+cursor).status, "of a search, for a list")

		require.Equal(t, 404, s.get(t, strings.Replace(path, "/tenants/"+s.acme.ID, "/orgs/"+s.web.ID, 1)).status, "another scope's id")
		require.Equal(t, 404, s.call(t, s.stranger, "GET", path, nil).status)
		require.Equal(t, 404, s.get(t, s.base()+"/searches/"+models.NewID()+"/results").status)
		require.Equal(t, 404, s.get(t, s.base()+"/searches/nonsense/results").status)
		require.Equal(t, 404, s.call(t, s.owner, "POST", path, nil).status)
		require.Equal(t, 400, s.get(t, path+"?filter=q==a").status, "results have no filter")
		require.Equal(t, 400, s.get(t, path+"?sort=size").status)
		require.Equal(t, 400, s.get(t, path+"?starting_after=x").status)

		all := s.get(t, s.search(t, ""))
		require.Len(t, all.ids(), 10, "no body: everything")
		require.NotContains(t, all.JSON, "meta")
		only := s.get(t, s.search(t, search(`"meta_count":"only"`)))
		require.NotContains(t, only.JSON, "data")
		require.EqualValues(t, 55, only.JSON["meta"].(map[string]any)["count"])

		// Readers may search: it changes nothing.
		mine := s.call(t, s.reader, "POST", "/orgs/"+s.web.ID+"/inventory/assets/searches", nil)
		require.Equal(t, 302, mine.status)
		require.Equal(t, 404, s.call(t, s.stranger, "POST", s.base()+"/searches", nil).status)
		require.Equal(t, 401, s.call(t, "", "POST", s.base()+"/searches", nil).status)
	})
}

// TestSearchIsFollowedAsAGet: Go's client and curl -L make a search look synchronous.
func TestSearchIsFollowedAsAGet(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	s.images(t, s.web, 3)
	req, err := http.NewRequest("POST", s.URL+s.base()+"/searches", strings.NewReader(search(`"filter":"q==img-1"`)))
	require.NoError(t, err)
	req.Header.Set("Authorization", "token "+s.owner)
	req.Header.Set("Content-Type", mediaType)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, res.Request.URL.Path, "/results")
}

func TestBadSearchesAreRefused(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		for body, pointer := range map[string]string{
			search(`"filter":"nosuch==1"`): "/data/attributes/filter", search(`"filter":""`): "/data/attributes/filter", search(`"filter":7`): "/data/attributes/filter",
			search(`"filter":null`): "/data/attributes/filter", search(`"sort":"size"`): "/data/attributes/sort", search(`"sort":7`): "/data/attributes/sort",
			search(`"limit":9`): "/data/attributes/limit", search(`"limit":"10"`): "/data/attributes/limit", search(`"limit":10.5`): "/data/attributes/limit",
			search(`"meta_count":"yes"`): "/data/attributes/meta_count", search(`"x":1`): "/data/attributes/x", `{"data":{"type":"x"}}`: "/data/type", `{"data":{}}`: "/data/type",
			`{}`: "/data", `{"x":1}`: "/x", `{"data":{"type":"searches","id":"x"}}`: "/data/id",
		} {
			a := s.call(t, s.owner, "POST", s.base()+"/searches", body)
			require.Equal(t, 400, a.status, "%s: %s", body, a.body)
			_, source, _, _ := a.fault(t)
			require.Equal(t, pointer, source["pointer"], body)
		}
		a := s.call(t, s.owner, "POST", s.base()+"/searches", search(`"filter":"q==a;;"`))
		code, _, meta, _ := a.fault(t)
		require.Equal(t, "invalid-filter", code)
		require.EqualValues(t, 5, meta["position"])
		for _, body := range []string{"{", "[]", "null", "\xff"} {
			require.Equal(t, 400, s.call(t, s.owner, "POST", s.base()+"/searches", body).status, body)
		}
		require.Equal(t, 415, s.call(t, s.owner, "POST", s.base()+"/searches", "{}", "Content-Type", "application/json").status)
		require.Equal(t, 400, s.call(t, s.owner, "POST", s.base()+"/searches?filter=q==a", nil).status)
	})
}

// TestSearchThatTakesLong: results wait for the end, and say so when the wait is over.
func TestSearchThatTakesLong(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", assets.Config{SearchWait: -1})
	ids := s.images(t, s.web, 3)
	s.runs.hold = true
	path := s.search(t, "")
	a := s.get(t, path)
	require.Equal(t, 202, a.status)
	require.Equal(t, "1", a.header.Get("Retry-After"))
	require.Equal(t, "started", a.JSON["meta"].(map[string]any)["status"])
	require.Empty(t, a.ids())
	require.NoError(t, s.runs.run(context.Background(), s.runs.held[0]))
	require.NoError(t, s.runs.run(context.Background(), s.runs.held[0]), "an activity may come twice")
	require.Equal(t, ids, s.get(t, path).ids())

	// Its execution ends without it: terminated in Temporal's Web UI, say.
	path = s.search(t, "")
	var e *models.Execution
	list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindAssetSearch})
	require.NoError(t, err)
	e = &list[0]
	_, err = s.store.FinishExecution(t.Context(), e.ID, models.StatusFailed, "its workflow was terminated")
	require.NoError(t, err)
	failed := s.get(t, path)
	require.Equal(t, 500, failed.status)
	_, _, _, detail := failed.fault(t)
	require.Contains(t, detail, "its workflow was terminated")
}

// TestResultsWaitForTheSearch lets the reader come first.
func TestResultsWaitForTheSearch(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	ids := s.images(t, s.web, 3)
	s.runs.hold = true
	path := s.search(t, "")
	got := make(chan answer)
	go func() { got <- s.get(t, path) }()
	require.NoError(t, s.runs.run(context.Background(), s.runs.held[0]))
	require.Equal(t, ids, (<-got).ids())
}

func TestSearchExpires(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", assets.Config{SearchExpiry: time.Millisecond})
	s.images(t, s.web, 3)
	path := s.search(t, "")
	require.Eventually(t, func() bool { return s.get(t, path).status == 404 }, 5*time.Second, time.Millisecond)
	require.NoError(t, s.service.ExpireSearches(t.Context()))
	n, err := s.store.DeleteExpiredAssetSearches(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestSearchKeepsAtMost says what was left out.
func TestSearchKeepsAtMost(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", assets.Config{SearchKept: 12})
	s.images(t, s.web, 25)
	a := s.get(t, s.search(t, search(`"meta_count":"with"`))+"?limit=100")
	require.Len(t, a.ids(), 12)
	require.EqualValues(t, 25, a.JSON["meta"].(map[string]any)["count"])
	require.EqualValues(t, 12, a.JSON["meta"].(map[string]any)["kept"])
}

// TestSearchWhileTemporalIsAway: 503 with Retry-After, and nothing is left that could start later.
func TestSearchWhileTemporalIsAway(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	s.runs.away = true
	a := s.call(t, s.owner, "POST", s.base()+"/searches", "")
	require.Equal(t, 503, a.status)
	require.Equal(t, "5", a.header.Get("Retry-After"))
	require.Equal(t, 200, s.get(t, s.base()).status, "lists need no Temporal")
}

// TestRepeatedSearchRequest: the same request id and body are one search, R6.
func TestRepeatedSearchRequest(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	id := "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e"
	first := s.search(t, search(`"filter":"q==a"`), "snyk-request-id", id)
	require.Equal(t, first, s.search(t, search(`"filter":"q==a"`), "snyk-request-id", id))
	require.NotEqual(t, first, s.search(t, search(`"filter":"q==b"`), "snyk-request-id", id))
	require.NotEqual(t, first, s.search(t, search(`"filter":"q==a"`)))
}

func TestManySearchesAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 25)
		var wg sync.WaitGroup
		errs := make(chan string, 100)
		for i := range 100 {
			wg.Go(func() {
				n := i % 25
				a := s.get(t, s.search(t, search(fmt.Sprintf(`"filter":"name==img-%d"`, n))))
				if a.status != 200 || len(a.ids()) != 1 || a.ids()[0] != ids[n] {
					errs <- fmt.Sprintf("search %d: %d %s", i, a.status, a.body)
				}
			})
		}
		wg.Wait()
		close(errs)
		for e := range errs {
			t.Error(e)
		}
	})
}
