package packages_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// S15, S19: archives fill the quota of their organization and go no further, also where many come at once.
func TestS15ArchivesStopAtTheQuota(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		o, err := s.store.OrganizationByCanonical(t.Context(), models.DefaultOrganization)
		require.NoError(t, err)
		archive := zipOf(t, [2]string{"composer.json", `{"name":"acme/hello"}`})
		quota := int64(5 * len(archive))
		require.NoError(t, s.store.SetQuota(t.Context(), o.ID, models.QuotaStorage, &quota))
		p := s.newPackage("acme/hello")
		var paths []string
		for n := range 16 {
			paths = append(paths, fmt.Sprintf("/versions/%d/archive", s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": fmt.Sprintf("1.%d.0", n)}))))
		}
		var wg sync.WaitGroup
		var stored, refused atomic.Int64
		for _, path := range paths {
			wg.Go(func() {
				switch a := s.as(s.writer, "PUT", path, archive); a.status {
				case http.StatusOK:
					stored.Add(1)
				case http.StatusForbidden:
					refused.Add(1)
					if want := fmt.Sprintf(`{"message":"organization 'default' may store no more than %d bytes of packages"}`, quota); strings.TrimSpace(string(a.body)) != want {
						t.Errorf("%s", a.body)
					}
				default:
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 5, stored.Load())
		require.EqualValues(t, 11, refused.Load())
		require.Len(t, s.stored(), 5, "nothing of the others stays")
	})
}
