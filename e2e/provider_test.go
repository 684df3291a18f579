package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
)

// A deployment that consumes what another one provides gets its outputs, and its provider is activated before its scripts
// and deactivated behind them: from the build of both releases to the smoke test, through the API, with real scripts.
func TestProvidersOfDeployments(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("providers")
	said := filepath.Join(s.dir, "said")
	p.repo.Commit("a database and an application", map[string]string{
		"db.yml": "name: providers/db\nversion: 1.0\nprovides: [postgres]\ninputs:\n- id: where\noutputs:\n- id: address\n" +
			"deploy: db.sh\nactivate_provider: {inline: 'echo \"on $OUTPUT_address\" >>" + said + "'}\ndeactivate_provider: {inline: 'echo \"off $OUTPUT_address\" >>" + said + "'}\n",
		"db.sh": "#!/bin/sh\nprintf '{\"address\": \"db.%s.example.com\"}' \"$INPUT_where\" > \"$1\"\n",
		"app.yml": "name: providers/web\nversion: 1.0\ndeploy_consumes: [postgres as pg]\ndeploy_inputs:\n- {id: url, default: $pg.outputs.address}\n" +
			"deploy: {inline: 'echo \"deploy $INPUT_url\" >>" + said + "'}\nsmoke: {inline: 'echo \"smoke $INPUT_url\" >>" + said + "'}\n",
	})
	p.buildOf(client.Build{Name: "both", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "db.yml", CacheRelease: true, PushRelease: true},
		{PlanLocation: "app.yml", CacheRelease: true, PushRelease: true}}})
	s.ok(p.trigger("both"))
	job := func(name, release string, inputs map[string]any, providers map[string]string) {
		require.NoError(t, s.client.AddDeploymentJob(s.ctx(), p.name, client.DeploymentJob{Name: name, Environment: "dev", Deployment: name, Release: "providers/" + release, Version: "1.0",
			Inputs: inputs, Providers: providers}))
	}
	job("one", "db", map[string]any{"where": "one"}, nil)
	job("web", "web", nil, nil)

	s.failed(p.deploy("web"), "Missing provider of type 'postgres'. This can be configured using the -p / --extra-provider flag.")
	s.ok(p.deploy("one"))
	s.ok(p.deploy("web"))
	want := []string{"on", "db.one.example.com", "deploy", "db.one.example.com", "off", "db.one.example.com"}
	require.Equal(t, want, fileLines(t, said), "the only one there is")
	var there map[string][]string
	a := s.do(http.MethodGet, "/api/v1/state/providers/environments/dev/providers/", nil)
	require.NoError(t, json.Unmarshal(a.body, &there))
	require.Equal(t, map[string][]string{"postgres": {"one"}}, there)

	// Of two, one must be named; what was chosen once stays.
	job("two", "db", map[string]any{"where": "two"}, nil)
	s.ok(p.deploy("two"))
	ref, err := s.client.TriggerDeploymentJob(s.ctx(), p.name, "dev", "web", client.Smoke)
	require.NoError(t, err)
	s.ok(ref)
	want = append(want, "on", "db.one.example.com", "smoke", "db.one.example.com", "off", "db.one.example.com")
	require.Equal(t, want, fileLines(t, said))
	job("other", "web", nil, nil)
	require.Contains(t, s.failed(p.deploy("other"), "Missing provider of type 'postgres'").Reason, "one, two")
	job("named", "web", nil, map[string]string{"pg": "two"})
	s.ok(p.deploy("named"))
	require.Equal(t, append(want, "on", "db.two.example.com", "deploy", "db.two.example.com", "off", "db.two.example.com"), fileLines(t, said))

	environment, err := s.client.Environment(s.ctx(), p.name, "dev")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"pg": "two"}, environment.Deployments["named"].Stages["deploy"].Providers)
}
