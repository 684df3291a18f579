package releases_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// S15: an upload stops where the quota is reached, however long it goes on, and nothing of it stays.
func TestS15AnUploadStopsAtTheQuota(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		s.register("ns", app1)
		s.register("ns", strings.Replace(app1, "0.0.1", "0.0.2", 1))
		archive := packageOf(t, app1, map[string]string{"deploy.sh": "#!/bin/sh\n"})
		o, err := s.store.OrganizationByCanonical(t.Context(), models.DefaultOrganization)
		require.NoError(t, err)
		quota := int64(len(archive))
		require.NoError(t, s.store.SetQuota(t.Context(), o.ID, models.QuotaStorage, &quota))
		check(t, s.upload(appPath+"/upload", "", archive), 200, "", "")
		require.Len(t, filesIn(t, s.files), 1)

		second := strings.Replace(appPath, "v0.0.1", "v0.0.2", 1)
		check(t, s.upload(second+"/upload", "", archive), http.StatusPaymentRequired, textType, "Plan limit exceeded")
		read := 0
		err = s.service.Upload(t.Context(), release.ID{Project: "ns", Name: "app", Version: "0.0.2"}, &endless{&read}, policies.Subject{Name: "alice"})
		require.EqualError(t, err, fmt.Sprintf("organization 'default' may store no more than %d bytes of packages", quota))
		require.Less(t, read, 10<<20)
		require.Len(t, filesIn(t, s.files), 1, "nothing of it stays")

		more := quota * 2
		require.NoError(t, s.store.SetQuota(t.Context(), o.ID, models.QuotaStorage, &more))
		archive = packageOf(t, strings.Replace(app1, "0.0.1", "0.0.2", 1), nil)
		check(t, s.upload(second+"/upload", "", archive), 200, "", "")
	})
}

// endless is a package that does not end: one file of zeros. It counts what was read of it.
type endless struct {
	read *int
}

func (e *endless) Read(p []byte) (int, error) {
	*e.read += len(p)
	return len(p), nil
}
