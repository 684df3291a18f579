package e2e

import (
	"maps"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
	"slipway/policies"
)

// putBuild adds a build, or changes it, in the words of the document.
func (p *project) putBuild(name string, more, step map[string]any) {
	p.t.Helper()
	build := map[string]any{"name": name, "repo": p.repo.Dir, "branch": "main", "steps": []any{step}}
	maps.Copy(build, more)
	path := "/api/v1/state/" + p.name + "/environments/dev/builds/"
	if a := p.do(http.MethodPut, path+"by-name/"+name+"/", build); a.status != http.StatusNotFound {
		require.Equal(p.t, http.StatusOK, a.status, string(a.body))
		return
	}
	a := p.do(http.MethodPost, path, build)
	require.Equal(p.t, http.StatusOK, a.status, string(a.body))
}

// Each of the flags of a step runs what it is named after, in the order of a release, and nothing else.
func TestBuildStepFlags(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("flags")
	ran := filepath.Join(s.dir, "ran")
	script := p.script("echo $step >> '" + ran + "'")
	seen := 0
	run := func(flags []string, want ...string) {
		t.Helper()
		step := map[string]any{"plan_location": "./escape.yml", "variables": map[string]string{"script": script}}
		for _, f := range flags {
			step[f] = true
		}
		p.putBuild("flags", nil, step)
		s.ok(p.trigger("flags"))
		all := fileLines(t, ran)
		require.Equal(t, want, append([]string{}, all[seen:]...), "%v", flags)
		seen = len(all)
	}
	run([]string{"run_build"}, "build")
	run([]string{"run_build", "run_tests"}, "build", "test")
	run([]string{"run_build", "run_destroy_build"}, "build", "destroy")
	run([]string{"run_deploy"}, "deploy")
	run([]string{"run_deploy", "run_smoke"}, "deploy", "smoke")
	run([]string{"run_deploy", "run_destroy_deploy"}, "deploy", "destroy")
	run([]string{"run_build", "run_deploy", "run_destroy"}, "build", "destroy", "deploy", "destroy")
	run([]string{"run_build", "run_tests", "run_destroy_build", "run_deploy", "run_smoke", "run_destroy_deploy", "cache_release", "push_release"},
		"build", "test", "destroy", "deploy", "smoke", "destroy")
	environment, err := s.client.Environment(s.ctx(), p.name, "dev")
	require.NoError(t, err)
	require.Equal(t, "empty", string(environment.Deployments["flags/app"].Stages["deploy"].Status.Code))

	// skip_if_exists: what is there is neither built nor pushed again, and is no failure.
	p.repo.Commit("a fixed version", map[string]string{"fixed.yml": "name: flags/fixed\nversion: 1.0\ninputs:\n- {id: script, default: ''}\nbuild: build.sh\n"})
	step := map[string]any{"plan_location": "fixed.yml", "run_build": true, "push_release": true, "variables": map[string]string{"script": script}}
	p.putBuild("fixed", nil, step)
	s.ok(p.trigger("fixed"))
	s.failed(p.trigger("fixed"), "flags/fixed-v1.0")
	step["skip_if_exists"] = true
	p.putBuild("fixed", nil, step)
	seen = len(fileLines(t, ran))
	e := s.ok(p.trigger("fixed"))
	require.Len(t, fileLines(t, ran), seen, "nothing ran")
	require.True(t, s.row(client.BuildRef(p.name, "dev", "fixed", e.ID)).ResultOf().Releases[0].Skipped)

	// A disabled build runs for nobody.
	p.putBuild("fixed", map[string]any{"disabled": true}, step)
	a := s.do(http.MethodPost, "/api/v1/state/flags/environments/dev/builds/by-name/fixed/trigger-build", nil)
	require.Equal(t, http.StatusConflict, a.status)
}

// With an escape_auth_token a build uses the inventory as whoever the token stands for, and no longer than it lives.
func TestBuildsUseTheInventoryByTheirToken(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	s.project("theirs")
	mine := s.project("mine")
	s.user("ann", false)
	s.grant("ann", policies.RoleOwner, "theirs")
	ann, err := s.store.UserByName(s.ctx(), "ann")
	require.NoError(t, err)
	token := func(role string) (string, *models.Token) {
		row := &models.Token{SubjectKind: models.SubjectUser, SubjectID: ann.ID, Name: "build", Role: role}
		secret, err := s.store.CreateToken(s.ctx(), row)
		require.NoError(t, err)
		return secret, row
	}
	step := map[string]any{"plan_location": "escape.yml", "override_namespace": "theirs", "push_release": true}
	build := func(token string) {
		mine.putBuild("push", map[string]any{"escape_auth_token": token}, step)
	}
	build("")
	s.failed(mine.trigger("push"), "theirs")
	read, _ := token(policies.RoleRead)
	build(read)
	s.failed(mine.trigger("push"), "theirs")
	write, row := token("")
	build(write)
	ref := mine.trigger("push")
	s.ok(ref)
	require.NotContains(t, s.logText(ref), write)
	_, err = s.client.Release(s.ctx(), "theirs", "app", "latest")
	require.NoError(t, err)
	require.NoError(t, s.store.RevokeToken(s.ctx(), row.ID))
	s.failed(mine.trigger("push"), "the escape_auth_token of the build is not valid here: it is wrong, or has ended")
}
