package state_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/problem"
)

// inside is what no caller may read: statements, places in the program, addresses of what stands behind the API.
var inside = regexp.MustCompile(`(?i)select |insert into|sqlstate|\.go:\d|goroutine|panic|127\.0\.0\.1|sqlite|postgres|gorm`)

// TestS18RefusalsHaveOneShape: whatever a row refuses, and to whomever, the answer has the same shape, an id of its own,
// and nothing of the inside.
func TestS18RefusalsHaveOneShape(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	id, _, _ := running(k, "refused")
	ids := map[string]bool{}
	met := map[int]int{}
	for _, g := range k.groups {
		for _, row := range g.Rows {
			if row.Permission.Public {
				continue // pages and webhooks; the walk over every row sees them
			}
			path := fill(row.Path, map[string]string{"project": "shop", "environment": "dev", "execution_id": id})
			for _, user := range []string{"", "sam", "rita"} {
				if user == "rita" && strings.HasSuffix(path, "/events") {
					continue // she may follow the log, which would go on as long as the execution
				}
				a := k.as(user).do(row.Method, path, nil)
				if !slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, a.status) {
					continue
				}
				met[a.status]++
				request := a.header.Get("X-Request-Id")
				require.NotEmpty(t, request, row.Operation)
				require.False(t, ids[request], "an id of its own: %s", row.Operation)
				ids[request] = true
				require.NotRegexp(t, inside, string(a.body), row.Operation)
				require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), row.Operation)
				if g.Surface.Name != "own" {
					require.Equal(t, "text/plain; charset=utf-8", a.header.Get("Content-Type"), row.Operation)
					require.NotEmpty(t, a.body, row.Operation)
					continue
				}
				e := a.jsonError(a.status)
				require.NotEmpty(t, e["message"], row.Operation)
				want := map[int]problem.Kind{http.StatusUnauthorized: problem.Unauthenticated, http.StatusForbidden: problem.Forbidden, http.StatusNotFound: problem.NotFound}[a.status]
				require.EqualValues(t, want, e["kind"], row.Operation)
				require.Equal(t, request, e["request_id"], row.Operation)
			}
		}
	}
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		require.Greater(t, met[status], 10, "refusals with %d", status)
	}
}
