package activities

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/state"
	"slipway/models"
)

// unsealed counts what is decrypted.
type unsealed struct{ decrypted atomic.Int64 }

func (u *unsealed) Encrypt(b []byte, _ string) ([]byte, error) { return b, nil }
func (u *unsealed) Decrypt(b []byte, _ string) ([]byte, error) { u.decrypted.Add(1); return b, nil }

func newStateStore(t *testing.T) *stateStore {
	t.Helper()
	s, _ := newCountedStateStore(t)
	return s
}

func newCountedStateStore(t *testing.T) (*stateStore, *unsealed) {
	t.Helper()
	keys := &unsealed{}
	ctx := t.Context()
	store, err := models.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(ctx))
	store.UseEncrypter(keys)
	p := &models.Project{Name: "shop"}
	require.NoError(t, store.CreateProject(ctx, p))
	e := &models.Environment{ProjectID: p.ID, Name: "dev"}
	require.NoError(t, store.CreateEnvironment(ctx, e))
	return &stateStore{store: store, environmentID: e.ID, by: "ann", stages: []string{state.StageBuild}}, keys
}

func deployed(stage, version string) *state.Deployment {
	return &state.Deployment{Release: "shop/web", Stages: map[string]*state.Stage{stage: {Version: version, Status: &state.Status{Code: state.OK}}}}
}

// A step of a build sees what the step before it changed, although it is not written yet, and what others have.
func TestStateStoreShowsWhatIsNotWrittenYet(t *testing.T) {
	ctx := t.Context()
	s := newStateStore(t)
	require.NoError(t, s.store.PutDeployment(ctx, s.environmentID, "web", []string{"web"}, "", deployed(state.StageDeploy, "1"), "bob"))
	_, err := s.Deployments(ctx)
	require.NoError(t, err)
	require.NoError(t, s.SaveDeployment(ctx, "web", []string{"web"}, "", deployed(state.StageBuild, "2")))
	require.NoError(t, s.SaveDeployment(ctx, "db", []string{"db"}, "", deployed(state.StageBuild, "3")))
	require.NoError(t, s.SaveDeployment(ctx, "db", []string{"db", "disk"}, state.StageBuild, deployed(state.StageDeploy, "4")))
	check := func() {
		t.Helper()
		e, err := s.Environment(ctx)
		require.NoError(t, err)
		require.Equal(t, "dev", e.Name)
		e.Deployments, err = s.Deployments(ctx)
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
	_, err := s.Deployments(ctx)
	require.NoError(t, err)
	require.NoError(t, s.store.PutDeployment(ctx, s.environmentID, "web", []string{"web"}, "", deployed(state.StageDeploy, "1"), "bob"))
	s.at = time.Now().Add(-2 * freshFor)
	found, err := s.Deployments(ctx, "web")
	require.NoError(t, err)
	require.Equal(t, "1", found["web"].Stages[state.StageDeploy].Version)

	require.NoError(t, s.SaveDeployment(ctx, "web", []string{"web"}, "", deployed(state.StageBuild, "2")))
	require.NoError(t, s.store.PutDeployment(ctx, s.environmentID, "web", []string{"web"}, "", deployed(state.StageDeploy, "5"), "bob"))
	list, err := s.writes(ctx, s.store)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "5", list[0].Deployment.Stages[state.StageDeploy].Version)
	require.Equal(t, "2", list[0].Deployment.Stages[state.StageBuild].Version)
}

// A run reads the deployments that it is about, and not the environment: each is a row to decrypt.
func TestStateStoreReadsWhatIsAskedFor(t *testing.T) {
	ctx := t.Context()
	s, keys := newCountedStateStore(t)
	for i := range 50 {
		name := fmt.Sprintf("web-%d", i)
		require.NoError(t, s.store.PutDeployment(ctx, s.environmentID, name, []string{name}, "", deployed(state.StageDeploy, "1"), "bob"))
	}
	e, err := s.Environment(ctx)
	require.NoError(t, err)
	require.Equal(t, "dev", e.Name)
	require.Empty(t, e.Deployments)
	for range 2 {
		found, err := s.Deployments(ctx, "web-7", "none")
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, "1", found["web-7"].Stages[state.StageDeploy].Version)
		require.Equal(t, int64(1), keys.decrypted.Load(), "what was read is not read again within a second")
	}
	require.NoError(t, s.SaveDeployment(ctx, "web-8", []string{"web-8"}, "", deployed(state.StageBuild, "2")))
	found, err := s.Deployments(ctx, "web-8")
	require.NoError(t, err)
	require.Equal(t, "2", found["web-8"].Stages[state.StageBuild].Version)
	require.Equal(t, "1", found["web-8"].Stages[state.StageDeploy].Version)
	require.Equal(t, int64(2), keys.decrypted.Load())
	found, err = s.Deployments(ctx)
	require.NoError(t, err)
	require.Len(t, found, 50)
	before := keys.decrypted.Load()
	found, err = s.Deployments(ctx, "web-9")
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, before, keys.decrypted.Load())
}
