package assets_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

var pathParameter = regexp.MustCompile(`\{([a-z_]+)\}`)

// levels gives what the policy's data asks for each action.
func levels(t *testing.T) map[string]string {
	text, err := os.ReadFile("../../policies/data.json")
	require.NoError(t, err)
	var data struct {
		Slipway struct {
			Actions map[string]string `json:"actions"`
		} `json:"slipway"`
	}
	require.NoError(t, json.Unmarshal(text, &data))
	return data.Slipway.Actions
}

// TestS1EveryAssetRowAsEverybody walks the thirty operations, the rows of registries, scans and reports, and the execution
// of a scan, as nobody, with a bad token, as a stranger, a reader, a writer, an owner and an administrator of the
// organization, and as the owner of an organization below it.
func TestS1EveryAssetRowAsEverybody(t *testing.T) {
	s, _, _ := ownServer(t)
	ids := s.images(t, s.acme, 1)
	r := &models.AssetRegistry{OrganizationID: s.acme.ID, Name: "hub", URL: "https://registry.example.com"}
	require.NoError(t, s.store.PutAssetRegistry(t.Context(), r, nil))
	scan, err := s.service.ScanRegistry(t.Context(), r, policies.Subject{Kind: models.SubjectUser, ID: "u", Name: "olga"})
	require.NoError(t, err)
	callers := map[string]struct {
		token string
		rank  int
	}{
		"stranger":    {s.stranger, 0},
		"owner below": {s.token(t, "bea", s.web, "owner"), 0},
		"reader":      {s.token(t, "rob", s.acme, "read"), policies.Rank(policies.RoleRead)},
		"writer":      {s.token(t, "wim", s.acme, "write"), policies.Rank(policies.RoleWrite)},
		"owner":       {s.owner, policies.Rank(policies.RoleOwner)},
	}
	values := map[string]string{"tenant_id": s.acme.ID, "organization": "acme", "asset_id": ids[0], "registry": "hub", "scan": scan.ID, "execution_id": scan.ID}
	needs := levels(t)
	walked := 0
	for _, g := range s.groups {
		for _, row := range g.Rows {
			path := pathParameter.ReplaceAllStringFunc(row.Path, func(p string) string {
				if v, ok := values[strings.Trim(p, "{}")]; ok {
					return v
				}
				return "00000000-0000-4000-8000-000000000000"
			})
			own := g.Surface.Name == "own"
			if own && !strings.Contains(path, "/asset") && row.Operation != "getExecution" || row.Operation == "deleteAssetRegistry" {
				continue // another part's, or the end of what the others look at
			}
			// Groups and orgs have the same rows: there the asked ids are of other kinds or not there, for everybody alike.
			elsewhere := strings.HasPrefix(row.Path, "/groups") || strings.HasPrefix(row.Path, "/orgs")
			walked++
			t.Run(row.Operation, func(t *testing.T) {
				require.False(t, row.Permission.Public)
				require.Equal(t, http.StatusUnauthorized, s.call(t, "", row.Method, path, nil).status)
				require.Equal(t, http.StatusUnauthorized, s.call(t, "slw_garbage", row.Method, path, nil).status)
				need := needs[row.Permission.Action]
				require.NotEmpty(t, need)
				for name, c := range callers {
					got := s.call(t, c.token, row.Method, path, nil).status
					switch {
					case c.rank == 0 || elsewhere:
						require.Equal(t, http.StatusNotFound, got, name)
					case c.rank < policies.Rank(need):
						require.Equal(t, http.StatusForbidden, got, name)
					default:
						require.NotContains(t, []int{401, 403, 500}, got, name)
					}
				}
			})
		}
	}
	require.Equal(t, 30+8+1, walked, "rows of assets")
}

// TestExecutionsOfAnOrganizationAreSeenByItsReaders: searches and scans belong to no project. Lists show what single reads
// allow, and no more.
func TestExecutionsOfAnOrganizationAreSeenByItsReaders(t *testing.T) {
	s, _, _ := ownServer(t)
	r := &models.AssetRegistry{OrganizationID: s.acme.ID, Name: "hub", URL: "https://registry.example.com"}
	require.NoError(t, s.store.PutAssetRegistry(t.Context(), r, nil))
	require.Equal(t, 202, s.call(t, s.owner, "POST", "/api/v1/slipway/organizations/acme/asset-registries/hub/scans/", nil).status)
	require.Equal(t, 302, s.call(t, s.reader, "POST", "/orgs/"+s.web.ID+"/inventory/assets/searches", nil).status)
	require.Equal(t, 302, s.call(t, s.stranger, "POST", "/tenants/"+s.other.ID+"/inventory/assets/searches", nil).status)
	all, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{})
	require.NoError(t, err)
	require.Len(t, all, 3)
	olga, err := s.store.UserByName(t.Context(), "olga")
	require.NoError(t, err)
	onlyWeb, err := s.store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: olga.ID, Name: "web only", Scopes: []string{s.web.ID}})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		token string
		sees  map[string]bool // by organization
	}{
		"owner of the tenant":            {s.owner, map[string]bool{s.acme.ID: true, s.web.ID: true}},
		"reader of the org":              {s.reader, map[string]bool{s.web.ID: true}},
		"stranger":                       {s.stranger, map[string]bool{s.other.ID: true}},
		"the tenant's, token for an org": {onlyWeb, map[string]bool{s.web.ID: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, query := range []string{"", "?kind=asset-scan", "?kind=asset-search", "?kind=build"} {
				listed := s.call(t, c.token, "GET", "/api/v1/slipway/executions/"+query, nil)
				require.Equal(t, 200, listed.status, "%s", listed.body)
				for _, e := range all {
					see := c.sees[e.OrganizationID] && (query == "" || query == "?kind="+e.Kind)
					require.Equal(t, see, strings.Contains(string(listed.body), e.ID), "%s of %s with %q", e.Kind, e.OrganizationID, query)
				}
			}
			for _, e := range all {
				want := map[bool]int{true: 200, false: 404}[c.sees[e.OrganizationID]]
				require.Equal(t, want, s.call(t, c.token, "GET", "/api/v1/slipway/executions/"+e.ID+"/", nil).status, e.Kind)
			}
		})
	}
}

// TestS24ChangesOfAssetsAreAudited: who scans, reports and edits stands in the audit log.
func TestS24ChangesOfAssetsAreAudited(t *testing.T) {
	s, _, _ := ownServer(t)
	ids := s.images(t, s.web, 1)
	base := "/api/v1/slipway/organizations/acme-web/"
	plain := []string{"Content-Type", "application/json"}
	require.Equal(t, 200, s.call(t, s.owner, "PUT", base+"asset-registries/hub/", `{"url":"https://registry.example.com","password":"canary","username":"robot"}`, plain...).status)
	require.Equal(t, 202, s.call(t, s.owner, "POST", base+"asset-registries/hub/scans/", nil).status)
	require.Equal(t, 200, s.call(t, s.owner, "POST", base+"assets/", `{"images":[{"registry":"docker.io","repository":"a","config_digest":"sha256:`+strings.Repeat("a", 64)+`"}]}`, plain...).status)
	require.Equal(t, 200, s.call(t, s.owner, "PATCH", "/orgs/"+s.web.ID+"/inventory/assets/"+ids[0], `{"data":`+edit(ids[0], `{"labels":["x"]}`)+`}`).status)
	require.Equal(t, 204, s.call(t, s.owner, "DELETE", base+"asset-registries/hub/", nil).status)
	list, err := s.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{})
	require.NoError(t, err)
	var actions []string
	for _, e := range list {
		if e.ActorName == "olga" {
			actions = append(actions, e.Action)
		}
	}
	require.ElementsMatch(t, []string{"asset-registry:update", "asset-scan:create", "asset:report", "asset:update", "asset-registry:delete"}, actions)
	require.NotContains(t, fmt.Sprint(list), "canary")
}
