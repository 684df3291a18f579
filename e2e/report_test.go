package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// TestBuildReportsTheImageItPushed is the example of docs/assets.md: the script of a build reports an image with the token
// of a service account, which the worker passes on, and the image is an asset that lists and searches find.
func TestBuildReportsTheImageItPushed(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		testenv.Unavailable(t, "curl", "there is no curl for the script of the build")
	}
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	org := &models.Organization{Canonical: "acme", Kind: models.OrganizationOrg}
	require.NoError(t, s.store.CreateOrganization(t.Context(), org))
	account := &models.ServiceAccount{OrganizationID: org.ID, Name: "ci"}
	require.NoError(t, s.store.CreateServiceAccount(t.Context(), account))
	require.NoError(t, s.store.AddGrant(t.Context(), &models.Grant{SubjectKind: models.SubjectServiceAccount, SubjectID: account.ID, ScopeKind: models.ScopeOrganization, ScopeID: org.ID, Role: "write"}))
	token, err := s.store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectServiceAccount, SubjectID: account.ID, Name: "builds", Role: "write", Scopes: []string{org.ID}})
	require.NoError(t, err)
	s.startAPI("api", s.address())
	s.startWorker("worker", "SLIPWAY_SCRIPT_ENV=REPORT_TOKEN", "REPORT_TOKEN="+token)

	digest := "sha256:" + strings.Repeat("ab", 32)
	report := func(organization string) string {
		return fmt.Sprintf(`printf '{"images":[{"registry":"registry.example.com","repository":"team/app","config_digest":"%s","image_tags":["1.%%s"],"os":"linux"}]}' "$step" |
	curl --silent --show-error --fail-with-body -H "Authorization: Bearer $REPORT_TOKEN" -H "Content-Type: application/json" --data-binary @- \
		"%s/api/v1/slipway/organizations/%s/assets/"`, digest, s.url, organization)
	}
	p := s.project("reports")
	p.build("good", report("acme"))
	ref := p.trigger("good")
	s.ok(ref)
	require.Contains(t, s.logText(ref), `{"created":1,"updated":0,"unchanged":0}`)
	require.NotContains(t, s.logText(ref), token)

	// The same account may not report elsewhere: the script ends with curl's error, and so does the build.
	other := &models.Organization{Canonical: "other", Kind: models.OrganizationOrg}
	require.NoError(t, s.store.CreateOrganization(t.Context(), other))
	p.build("elsewhere", report("other"))
	ref = p.trigger("elsewhere")
	s.failed(ref, "")
	require.Contains(t, s.logText(ref), "404")

	var listed struct {
		Data []struct {
			Attributes struct {
				Name string   `json:"name"`
				Tags []string `json:"image_tags"`
			} `json:"attributes"`
		} `json:"data"`
	}
	body := s.do("GET", "/orgs/"+org.ID+"/inventory/assets?filter=config_digest=="+digest+";q==app", nil, "Accept: application/vnd.api+json").body
	require.NoError(t, json.Unmarshal(body, &listed), "%s", body)
	require.Len(t, listed.Data, 1)
	require.Equal(t, []string{"1.build"}, listed.Data[0].Attributes.Tags)
}
