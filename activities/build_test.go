package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/state"
	"slipway/models"
)

// A build whose repository defines its steps deploys, whatever stands in its own steps: it must wait for its deployments,
// and writes both stages of them.
func TestBuildsWithStepsOfTheirRepositoryDeploy(t *testing.T) {
	d := models.BuildDefinition{StepsFromYML: true}
	require.True(t, d.Deploys())
	require.False(t, d.Direct(), "its plans must be read before its scripts run")
	require.Equal(t, []string{state.StageBuild, state.StageDeploy}, stagesOf(d))
	steps, err := readSteps([]byte("escapekit_version: 1\nbuild: {steps: [{escape_plan_location: escape.yml}]}\n"))
	require.NoError(t, err)
	require.True(t, models.BuildDefinition{Steps: steps}.Deploys(), "what Deploys takes for granted of such steps")

	plain := models.BuildDefinition{Steps: []models.BuildStep{{RunBuild: true}}}
	require.True(t, plain.Direct())
	require.Equal(t, []string{state.StageBuild}, stagesOf(plain))
}
