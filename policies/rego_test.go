package policies

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/stretchr/testify/require"
)

// S7: the policy's own tests, and that they reach at least 95 % of it.
func TestS7RegoTests(t *testing.T) {
	modules, store, err := tester.Load([]string{"authz.rego", "authz_test.rego", "data.json"}, nil)
	require.NoError(t, err)
	coverage := cover.New()
	results, err := tester.NewRunner().SetStore(store).SetModules(modules).SetCoverageQueryTracer(coverage).RunTests(t.Context(), nil)
	require.NoError(t, err)
	n := 0
	for r := range results {
		n++
		if !r.Pass() {
			t.Errorf("%s: %v (error %v)", r.Name, r, r.Error)
		}
	}
	require.Greater(t, n, 20, "the tests were not found")
	report := coverage.Report(modules)
	policy := report.Files["authz.rego"]
	require.NotNil(t, policy)
	require.GreaterOrEqual(t, policy.Coverage, 95.0, "not covered: %v", policy.NotCovered)
}
