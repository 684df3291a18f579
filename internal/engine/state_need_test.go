package engine

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/state"
)

// An environment may have thousands of deployments: a run reads those that it is about. All are read once, to find a
// provider that nobody has named.
func TestARunReadsTheDeploymentsThatItNeeds(t *testing.T) {
	b := newBench(t)
	b.push(t, providerRelease("db", "postgres", ""))
	b.push(t, map[string]string{"escape.yml": "name: dep\nversion: 1.0\ndeploy: {inline: 'true'}\n"})
	b.push(t, map[string]string{"escape.yml": "name: app\nversion: 1.0\ndepends: [dep-v1.0]\nconsumes: [{name: postgres, scopes: [deploy]}]\ndeploy: {inline: 'true'}\nsmoke: {inline: 'true'}\n"})
	for i := range 20 {
		b.state.environment.EnsureDeployment(fmt.Sprintf("other-%d", i)).EnsureStage(state.StageDeploy).Version = "1"
	}
	asked := func(do func()) []string {
		t.Helper()
		b.state.asked = nil
		do()
		return b.state.asked
	}
	require.Equal(t, []string{"infra/db"}, asked(func() {
		_, _, err := b.deploy(t, "infra/db-v1.0", Target{})
		require.NoError(t, err)
	}))
	require.Equal(t, []string{"_/app", "*"}, asked(func() {
		_, _, err := b.deploy(t, "app-v1.0", Target{})
		require.NoError(t, err)
	}))
	require.Equal(t, "infra/db", b.state.environment.Deployments["_/app"].Stages["deploy"].Providers["postgres"])
	require.Equal(t, []string{"_/app", "infra/db"}, asked(func() {
		_, _, err := b.deploy(t, "app-v1.0", Target{})
		require.NoError(t, err)
	}), "from then on it has its provider")
	require.Equal(t, []string{"_/app", "infra/db"}, asked(func() {
		_, err := b.Smoke(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "_/app"}})
		require.NoError(t, err)
	}))
	require.Equal(t, []string{"_/lib"}, asked(func() {
		b.release(t, map[string]string{"escape.yml": "name: lib\nversion: 1.0\nbuild: {inline: 'true'}\n"})
	}))
}
