package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
)

// S10: a secret is changed while a run has it. That run goes on with the old value, the next one has the new value, and
// neither value is in either log.
func TestS10RotationWhileARunIsOpen(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	require.NoError(t, s.client.AddProject(t.Context(), client.Project{Name: "rotate"}))
	require.NoError(t, s.client.AddEnvironment(t.Context(), "rotate", "dev"))
	require.NoError(t, s.client.AddNamespace(t.Context(), "rotate", "rotate"))
	g := newGate(t)
	had := s.dir + "/had"
	p := &project{stack: s, name: "rotate", repo: testenv.GitRepo(t, map[string]string{
		"escape.yml": "name: rotate/app\nversion: 0.1.@\ninputs:\n- id: password\n  sensitive: true\n  default: none\ndeploy: deploy.sh\nsmoke: smoke.sh\n",
		"deploy.sh":  "#!/bin/sh\necho pid $$\n" + g.wait() + "\necho \"$INPUT_password\" >>" + had + "\necho \"deploys with $INPUT_password.\"\n",
		"smoke.sh":   "#!/bin/sh\necho \"$INPUT_password\" >>" + had + "\necho \"asks with $INPUT_password.\"\n"})}
	p.release()
	const older, newer = "older-pa55word-1", "newer-pa55word-2"
	job := func(password string) client.DeploymentJob {
		return client.DeploymentJob{Name: "web", Environment: "dev", Release: "rotate/app", Version: "latest", Inputs: map[string]any{"password": password}}
	}
	require.NoError(t, s.client.AddDeploymentJob(t.Context(), "rotate", job(older)))
	open := p.deploy("web")
	s.line(open, "pid ")
	a := s.do(http.MethodPut, "/api/v1/deployment-jobs/by-project/rotate/by-environment/dev/by-name/web/", job(newer))
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	g.open(2)
	s.ok(open)
	next := p.deploy("web")
	s.ok(next)
	lines := fileLines(t, had)
	require.Equal(t, older, lines[0], "the run that was open keeps what it began with")
	require.Equal(t, newer, lines[len(lines)-1])
	for name, text := range map[string]string{"the run that was open": s.logText(open), "the next one": s.logText(next)} {
		require.Contains(t, text, "deploys with ", name)
		require.False(t, strings.Contains(text, older) || strings.Contains(text, newer), "%s shows a secret:\n%s", name, text)
	}
}
