package activities

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/state"
	"slipway/models"
)

type unsealed struct{}

func (unsealed) Encrypt(b []byte, _ string) ([]byte, error) { return b, nil }
func (unsealed) Decrypt(b []byte, _ string) ([]byte, error) { return b, nil }

func newStateStore(t *testing.T) *stateStore {
	t.Helper()
	ctx := t.Context()
	store, err := models.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(ctx))
	store.UseEncrypter(unsealed{})
	p := &models.Project{Name: "shop"}
	require.NoError(t, store.CreateProject(ctx, p))
	e := &models.Environment{ProjectID: p.ID, Name: "dev"}
	require.NoError(t, store.CreateEnvironment(ctx, e))
	return &stateStore{store: store, environmentID: e.ID, by: "ann", stages: []string{state.StageBuild}}
}

func deployed(stage, version string) *state.Deployment {
	return &state.Deployment{Release: "shop/web", Stages: map[string]*state.Stage{stage: {Version: version, Status: &state.Status{Code: state.OK}}}}
}

// A step of a build sees what the step before it changed, although it is not written yet, and what others have.
func TestStateStoreShowsWhatIsNotWrittenYet(t *testing.T) {
	ctx := t.Context()
	s := newStateStore(t)
	require.NoError(t, s.store.PutDeployment(ctx, s.environmentID, "web", []string{"web"}, "", deployed(state.StageDeploy, "1"), "bob"))
	_, err := s.Environment(ctx)
	require.NoError(t, err)
	require.NoError(t, s.SaveDeployment(ctx, "web", []string{"web"}, "", deployed(state.StageBuild, "2")))
	require.NoError(t, s.SaveDeployment(ctx, "db", []string{"db"}, "", deployed(state.StageBuild, "3")))
	require.NoError(t, s.SaveDeployment(ctx, "db", []string{"db", "disk"}, state.StageBuild, deployed(state.StageDeploy, "4")))
	check := func() {
		t.Helper()
		e, err := s.Environment(ctx)
		require.NoError(t, err)
		require.Equal(t, "1", e.Deployments["web"].Stages[state.StageDeploy].Version, "the other stage is somebody else's")
		require.Equal(t, "2", e.Deployments["web"].Stages[state.StageBuild].Version)
		require.Equal(t, "4", e.Deployments["db"].Stages[state.StageBuild].Deployments["disk"].Stages[state.StageDeploy].Version)
		e.Deployments["web"].Stages[state.StageBuild].Version = "the engine changes what it gets"
	}
	check()
	check()
	require.NoError(t, s.store.Tx(ctx, func(tx *models.Store) error { return s.flushIn(ctx, tx) }))
	s.began()
	check()
	s.at = s.at.Add(-2 * freshFor)
	check()
}

// What others change in the meantime is seen, at the latest after freshFor; their stages are never overwritten.
func TestStateStoreReadsAnew(t *testing.T) {
	ctx := t.Context()
	s := newStateStore(t)
	_, err := s.Environment(ctx)
	require.NoError(t, err)
	require.NoError(t, s.store.PutDeployment(ctx, s.environmentID, "web", []string{"web"}, "", deployed(state.StageDeploy, "1"), "bob"))
	s.at = time.Now().Add(-2 * freshFor)
	e, err := s.Environment(ctx)
	require.NoError(t, err)
	require.Equal(t, "1", e.Deployments["web"].Stages[state.StageDeploy].Version)

	require.NoError(t, s.SaveDeployment(ctx, "web", []string{"web"}, "", deployed(state.StageBuild, "2")))
	require.NoError(t, s.store.PutDeployment(ctx, s.environmentID, "web", []string{"web"}, "", deployed(state.StageDeploy, "5"), "bob"))
	list, err := s.writes(ctx, s.store)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "5", list[0].Deployment.Stages[state.StageDeploy].Version)
	require.Equal(t, "2", list[0].Deployment.Stages[state.StageBuild].Version)
}
