package assets_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// S19: what a quota refuses, in the shape of each surface, and nothing is left of it.
func TestS19QuotasOfSearchesAndAssets(t *testing.T) {
	s, _, _ := ownServer(t)
	none, one := int64(0), int64(1)
	require.NoError(t, s.store.SetQuota(t.Context(), s.acme.ID, models.QuotaExecutions, &none))
	require.NoError(t, s.store.SetQuota(t.Context(), s.acme.ID, models.QuotaAssets, &one))

	a := s.call(t, s.owner, "POST", "/tenants/"+s.acme.ID+"/inventory/assets/searches", nil)
	require.Equal(t, 403, a.status, "%s", a.body)
	var document struct {
		Errors []struct{ Status, Code, Detail string }
	}
	require.NoError(t, json.Unmarshal(a.body, &document))
	require.Len(t, document.Errors, 1)
	require.Equal(t, "403", document.Errors[0].Status)
	require.Equal(t, "limit-reached", document.Errors[0].Code)
	require.Equal(t, "organization 'acme' may have no more than 0 executions that have not ended: wait for an end, or cancel some", document.Errors[0].Detail)
	all, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{})
	require.NoError(t, err)
	require.Empty(t, all)

	// acme-web is below acme.
	report := func(digits ...string) int {
		var images []string
		for _, d := range digits {
			images = append(images, `{"registry":"docker.io","repository":"a","config_digest":"sha256:`+strings.Repeat(d, 64)+`"}`)
		}
		a := s.call(t, s.owner, "POST", "/api/v1/slipway/organizations/acme-web/assets/", `{"images":[`+strings.Join(images, ",")+`]}`, "Content-Type", "application/json")
		if a.status != 200 {
			require.Contains(t, string(a.body), `"kind":"limit_reached","message":"organization 'acme' may have no more than 1 assets"`)
		}
		return a.status
	}
	require.Equal(t, 403, report("a", "b"), "all or none")
	require.Equal(t, 200, report("a"))
	require.Equal(t, 200, report("a"), "what is there is not new")
	require.Equal(t, 403, report("b"))
}
