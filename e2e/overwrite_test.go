package e2e

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/release"
)

// force_overwrite replaces a release that was pushed before, for the step that asks for it alone.
func TestForceOverwriteReplacesTheRelease(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("again")
	p.repo.Commit("fixed version", map[string]string{"escape.yml": "name: again/app\nversion: '1.0'\ndescription: first\nbuild: build.sh\n"})
	for name, force := range map[string]bool{"careful": false, "forced": true} {
		p.buildOf(client.Build{Name: name, Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true, PushRelease: true, ForceOverwrite: force}}})
	}
	s.ok(p.trigger("careful"))
	p.repo.Commit("another text", map[string]string{"escape.yml": "name: again/app\nversion: '1.0'\ndescription: second\nbuild: build.sh\n"})
	s.failed(p.trigger("careful"), "the release again/app-v1.0 is already in the inventory")
	shown := func() string {
		a, err := s.store.ApplicationByName(t.Context(), "again", "app")
		require.NoError(t, err)
		return a.Description
	}
	require.Equal(t, "first", shown())
	ref := p.trigger("forced")
	s.ok(ref)
	require.Contains(t, s.logText(ref), "Pushed again/app-v1.0 in the place of the release that was there.")
	require.Equal(t, "second", shown())
	a := s.do("GET", "/api/v1/inventory/again/units/app/versions/v1.0/download", nil)
	require.Equal(t, 200, a.status)
	m, err := release.CheckArchive(bytes.NewReader(a.body), release.ID{Project: "again", Name: "app", Version: "1.0"}, release.DefaultLimits)
	require.NoError(t, err)
	require.Equal(t, "second", m.Description)
}
