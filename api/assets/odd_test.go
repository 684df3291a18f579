package assets_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/assets"
	"slipway/models"
	"slipway/policies"
)

// TestDocumentsThatImportsBring: what a document holds is shown as it came, so it must be what the API says.
func TestDocumentsThatImportsBring(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		for i, document := range []string{`{ }`, "{\t}", `{ "author" : "ada" }`, `{"author":"a","author":"b"}`} {
			line := fmt.Sprintf(`{"registry":"docker.io","repository":"team/app","config_digest":"sha256:%064x","document":%s}`+"\n", i, document)
			_, err := s.service.Import(t.Context(), strings.NewReader(line), assets.ImportOptions{OrganizationID: s.web.ID})
			require.NoError(t, err, document)
		}
		a := s.get(t, s.base())
		require.Equal(t, 200, a.status, "%s", a.body)
		require.Len(t, a.ids(), 4)
		require.Equal(t, 1, strings.Count(string(a.body), `"author":"b"`))
		require.NotContains(t, string(a.body), `"author":"a",`)
		for _, document := range []string{`{"author":7}`, `{"config":[]}`, `{"config":{"cmd":"x"}}`, `{"root_fs":7}`, `{"root_fs":{"type":"layers","diff_ids":[1]}}`, `{"history":{}}`, `{"history":[{"created_at":"yesterday"}]}`, `{"os_features":"x"}`,
			`{"history":[` + strings.Repeat(`{},`, 1000) + `{}]}`, `{"Author":"x"}`} {
			line := fmt.Sprintf(`{"registry":"docker.io","repository":"team/app","config_digest":"sha256:%064x","document":%s}`+"\n", 9, document)
			_, err := s.service.Import(t.Context(), strings.NewReader(line), assets.ImportOptions{OrganizationID: s.web.ID})
			require.ErrorContains(t, err, "document", document)
		}
	})
}

// TestBadUpdatesAlwaysGetTheSameAnswer: where two members are wrong it is always the first that is told.
func TestBadUpdatesAlwaysGetTheSameAnswer(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	id := s.images(t, s.web, 1)[0]
	for range 20 {
		a := s.call(t, s.owner, "PATCH", s.base()+"/"+id, `{"data":{"type":"container_images","id":"`+id+`","attributes":{"labels":{"add":["a b"],"remove":["c d"]}}}}`)
		_, source, _, _ := a.fault(t)
		require.Equal(t, "/data/attributes/labels/add/0", source["pointer"])
	}
}

// TestLinksAreURIs: what a client wrote into its URL against the rules comes back by the rules.
func TestLinksAreURIs(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	a := s.get(t, s.base()+`?filter=created_at>2024-01-01;name!="x|y";repository!=ü&version=2024-10-15`)
	require.Equal(t, 200, a.status, "%s", a.body)
	require.Equal(t, s.base()+`?filter=created_at%3E2024-01-01;name!=%22x%7Cy%22;repository!=%C3%BC&version=2024-10-15`, a.link("self"))
	again := s.get(t, a.link("self"))
	require.Equal(t, a.body, again.body)
}

// TestRepeatedSearchRequestsAtOnce: the same request, sent again before it is answered, is the same search too.
func TestRepeatedSearchRequestsAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		s.images(t, s.web, 3)
		const id = "8b9b9d4c-0f3e-4d5f-9a52-7f1f0f1f0f1f"
		locations := make([]string, 8)
		var wg sync.WaitGroup
		for i := range locations {
			wg.Go(func() {
				a := s.call(t, s.owner, "POST", s.base()+"/searches", `{"data":{"type":"searches","attributes":{"filter":"q==img"}}}`, "Snyk-Request-Id", id)
				locations[i] = fmt.Sprint(a.status, a.header.Get("Location"))
			})
		}
		wg.Wait()
		for _, l := range locations {
			require.Equal(t, locations[0], l)
		}
		list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindAssetSearch, SubjectID: s.acme.ID})
		require.NoError(t, err)
		require.Len(t, list, 1)
	})
}

// TestRefusedRegistriesChangeNothing: what is answered 400 is not half done.
func TestRefusedRegistriesChangeNothing(t *testing.T) {
	s, planned, _ := ownServer(t)
	base := "/api/v1/slipway/organizations/acme/asset-registries/"
	put := func(name, body string) answer {
		return s.call(t, s.owner, "PUT", base+name+"/", body, "Content-Type", "application/json")
	}
	require.Equal(t, 400, put("new", `{"url":"https://registry.example.com","schedule":"nonsense"}`).status)
	require.Equal(t, 404, s.call(t, s.owner, "GET", base+"new/", nil).status)
	require.Equal(t, 200, put("hub", `{"url":"https://registry.example.com","schedule":"0 3 * * *"}`).status)
	require.Equal(t, 400, put("hub", `{"url":"https://other.example.com","username":"eve","schedule":"nonsense"}`).status)
	got := s.call(t, s.owner, "GET", base+"hub/", nil)
	require.Equal(t, "https://registry.example.com", got.JSON["url"])
	require.Nil(t, got.JSON["username"])
	require.Len(t, planned, 1)
	lines, err := s.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{})
	require.NoError(t, err)
	n := 0
	for _, l := range lines {
		if l.Action == "asset-registry:update" {
			n++
		}
	}
	require.Equal(t, 1, n)
}

// TestSuggestionsOfNoKey: a key that is there but empty is no key that a tag can have, and not none.
func TestSuggestionsOfNoKey(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	for _, f := range assets.FilterFields(assets.Scope{Kind: assets.Tenant, ID: s.acme.ID}) {
		if f.Values {
			a := s.get(t, s.base()+"/filters/"+f.ID+"/values?key=")
			require.Equal(t, 400, a.status, f.Name)
			_, source, _, _ := a.fault(t)
			require.Equal(t, "key", source["parameter"])
		}
	}
}
