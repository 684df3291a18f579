//go:build bench

package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// TestBenchFetchAndPackage measures what the other figures leave out: a build that fetches its source with git, packages
// the release and pushes it. There is no bare twin, so it prints times only.
func TestBenchFetchAndPackage(t *testing.T) {
	repo := testenv.GitRepo(t, map[string]string{"escape.yml": "name: bench/app\nversion: 0.0.@\nbuild: build.sh\nincludes: [build.sh]\n", "build.sh": "#!/bin/sh\nexit 0\n"})
	s := newStack(t, stackOptions{realSources: true})
	ns := s.project.ID
	org, err := s.Store.OrganizationByCanonical(t.Context(), "default")
	require.NoError(t, err)
	require.NoError(t, s.Store.CreateNamespace(t.Context(), &models.Namespace{Name: "bench", ProjectID: &ns, OrganizationID: org.ID}))
	b := &models.Build{ProjectID: s.project.ID, EnvironmentID: s.env.ID, Name: "push", Repo: repo.Dir, Branch: "main", Steps: []models.BuildStep{{RunBuild: true, PushRelease: true}}}
	require.NoError(t, s.Store.CreateBuild(t.Context(), b, models.BuildSecrets{}))
	b, err = s.Store.BuildByID(t.Context(), b.ID)
	require.NoError(t, err)
	run := func(ctx context.Context) error { e, err := s.trigger(ctx, b); return s.run(ctx, e, err) }
	measure(t, 3, 1, run)
	m := measure(t, 15, 1, run)
	note("one script with git fetch, package and push: p50 %v p95 %v", m.p(50), m.p(95))
}
