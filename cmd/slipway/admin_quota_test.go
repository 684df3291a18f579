package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

func TestAdminQuota(t *testing.T) {
	a := newAdminCLI(t)
	a.run("org", "create", "acme", "--kind", "tenant")
	require.Equal(t, "RESOURCE    USED  MAXIMUM\nexecutions  0     none\nprojects    0     none\nstorage     0     none\nassets      0     none\n", a.run("org", "quota", "acme"))
	require.Equal(t, "RESOURCE    USED  MAXIMUM\nexecutions  0     50\nprojects    0     0\nstorage     0     21474836480\nassets      0     none\n",
		a.run("org", "quota", "acme", "executions=50", "storage=20GiB", "projects=0"))
	require.JSONEq(t, `[{"resource":"executions","maximum":null,"used":0},{"resource":"projects","maximum":0,"used":0},
		{"resource":"storage","maximum":21474836480,"used":0},{"resource":"assets","maximum":null,"used":0}]`, a.run("org", "quota", "acme", "executions=none", "-o", "json"))
	for _, wrong := range []string{"builds=1", "executions", "executions=", "executions=-1", "executions=many", "storage=9000000TiB", "storage=1.5GiB", "executions=none "} {
		_, err := a.try("", "org", "quota", "acme", "projects=7", wrong)
		require.Error(t, err, wrong)
	}
	require.Contains(t, a.run("org", "quota", "acme"), "projects    0     0\n", "all or none")
	_, err := a.try("", "org", "quota", "ghost")
	require.EqualError(t, err, "there is no organization 'ghost'")

	lines, err := a.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{Action: "quota:update"})
	require.NoError(t, err)
	require.Len(t, lines, 4)
	require.Equal(t, "operator", lines[0].ActorKind)
	require.Equal(t, "acme", lines[0].ResourceName)
	require.Equal(t, map[string]any{"resource": "executions", "maximum": nil}, lines[0].Detail)
}
