package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/activities"
	"slipway/deliveries"
	"slipway/internal/client"
	"slipway/models"
	"slipway/policies"
)

// steps gives the steps of a pipeline's execution in order.
func steps(e *client.Execution) []client.PipelineStep {
	var list []client.PipelineStep
	for _, ph := range e.Pipeline.Phases {
		list = append(list, ph.Steps...)
	}
	return list
}

// errands gives the application an errand that writes what it is given into a file.
func (p *project) errands(to string, lines ...string) {
	p.t.Helper()
	p.repo.Commit("An errand", map[string]string{
		"escape.yml": fmt.Sprintf(plan, p.name) + "errands:\n  backup: {description: Back it up, run: backup.sh, inputs: [{id: where, default: here}]}\n",
		"backup.sh":  "#!/bin/sh\n" + strings.Join(lines, "\n") + "\necho \"$INPUT_where\" >> '" + to + "'\n",
	})
}

// Errands run on what is deployed, with their inputs; one that fails fails its pipeline, unless that is ignored.
func TestStepsRunErrands(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("errands")
	said := filepath.Join(s.dir, "said")
	p.errands(said, `[ "$INPUT_where" != broken ] || exit 3`)
	p.release()
	p.job("web", "web", "echo "+"deployed")
	errand := func(where string, ignore bool) client.PipelineStep {
		return client.PipelineStep{Type: client.StepErrand, Deployment: "web", ErrandName: "backup", ErrandInputs: map[string]any{"where": where}, IgnoreFailure: ignore}
	}
	p.pipeline("backup", []client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}}, []client.PipelineStep{errand("vault", false)},
		[]client.PipelineStep{errand("broken", true)}, []client.PipelineStep{errand("broken", false)}, []client.PipelineStep{errand("never", false)})
	ref := p.triggerPipeline("backup")
	e := s.failed(ref, "errand backup of web")
	require.Equal(t, []string{"vault"}, fileLines(t, said))
	list := steps(e)
	require.Equal(t, []string{"ok", "ok", "failed", "failed"}, []string{list[0].Status, list[1].Status, list[2].Status, list[3].Status})

	// R1 and retry: what succeeded is kept, errands too, and the first run stays as it was.
	again, err := s.client.Retry(s.ctx(), ref)
	require.NoError(t, err)
	e = s.failed(again, "errand backup of web")
	require.Equal(t, []string{"vault"}, fileLines(t, said), "an errand that succeeded is not run again")
	require.True(t, steps(e)[1].Kept)
	require.Empty(t, steps(e)[4].ExecutionID, "what follows a failure does not run")
	require.NotEqual(t, list[3].ExecutionID, steps(e)[3].ExecutionID)
	require.Equal(t, list, steps(s.execution(ref)))

	p.pipeline("unknown", []client.PipelineStep{{Type: client.StepErrand, Deployment: "web", ErrandName: "nope"}})
	s.failed(p.triggerPipeline("unknown"), "nope")
}

// A step that triggers a pipeline waits for it and ends like it, or starts it and is done.
func TestStepsTriggerPipelines(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("chain")
	p.build("good", "echo good")
	p.build("bad", "exit 4")
	g := newGate(t)
	p.build("slow", g.wait())
	p.pipeline("inner", []client.PipelineStep{{Type: client.StepBuild, Build: "good"}})
	p.pipeline("broken", []client.PipelineStep{{Type: client.StepBuild, Build: "bad"}})
	p.pipeline("slow", []client.PipelineStep{{Type: client.StepBuild, Build: "slow"}})
	p.pipeline("waits", []client.PipelineStep{{Type: client.StepPipeline, Pipeline: "inner", WaitForPipeline: true}}, []client.PipelineStep{{Type: client.StepPipeline, Pipeline: "slow"}},
		[]client.PipelineStep{{Type: client.StepPipeline, Pipeline: "broken", WaitForPipeline: true}})
	ref := p.triggerPipeline("waits")
	e := s.failed(ref, "step pipeline broken: step build bad:")
	list := steps(e)
	require.Equal(t, []string{"ok", "ok", "failed"}, []string{list[0].Status, list[1].Status, list[2].Status})

	child := s.row(client.PipelineRef("chain", "inner", list[0].ExecutionID))
	require.Equal(t, []string{ref.ID, ref.ID, models.TriggerPipeline}, []string{child.ParentID, child.RootID, child.Trigger.Type})
	detached := client.PipelineRef("chain", "slow", list[1].ExecutionID)
	row := s.row(detached)
	require.Equal(t, []string{"", row.ID, ref.ID}, []string{row.ParentID, row.RootID, row.Trigger.Execution}, "it is a root of its own")
	require.False(t, row.Status.Final(), "nobody waited for it")

	// A retry keeps both, and triggers neither again; from the step on, it does.
	again, err := s.client.Retry(s.ctx(), ref)
	require.NoError(t, err)
	list2 := steps(s.failed(again, "pipeline broken"))
	require.Equal(t, []string{list[0].ExecutionID, list[1].ExecutionID}, []string{list2[0].ExecutionID, list2[1].ExecutionID})
	a := s.do(http.MethodPost, "/api/v1/pipelines/by-project/chain/by-name/waits/executions/"+ref.ID+"/retry?from=pipeline%20slow", nil)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	g.open(2)
	s.ok(detached)
	line := s.audit("chain", "pipeline:trigger")
	require.Equal(t, models.KindPipeline, line[0].ActorKind)

	// Cancelling the one that waits cancels what it waits for, and not what it only started.
	p.pipeline("cancelled", []client.PipelineStep{{Type: client.StepPipeline, Pipeline: "slow"}, {Name: "inside", Type: client.StepPipeline, Pipeline: "slow", WaitForPipeline: true}})
	ref = p.triggerPipeline("cancelled")
	await(t, "both run", func() (bool, string) {
		list = steps(s.execution(ref))
		return list[1].Outcome == "running" && list[0].Status == "ok", list[0].Status + " " + list[1].Outcome
	})
	require.NoError(t, s.client.Cancel(s.ctx(), ref))
	s.reaches(ref, models.StatusCancelled)
	s.reaches(client.PipelineRef("chain", "slow", list[1].ExecutionID), models.StatusCancelled)
	g.open(1)
	s.ok(client.PipelineRef("chain", "slow", list[0].ExecutionID))
}

// audit gives the lines of a project's audit log about one action, newest first.
func (s *stack) audit(project, action string) []models.AuditEntry {
	s.t.Helper()
	p, err := s.store.ProjectByName(s.ctx(), project)
	require.NoError(s.t, err)
	list, err := s.store.ListAudit(s.ctx(), policies.Visible{All: true}, models.AuditFilter{ProjectID: p.ID, Action: action})
	require.NoError(s.t, err)
	return list
}

// What is gone, disabled or not allowed any more when the step runs is the step's reason.
func TestStepsThatCannotRunSayWhy(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("faults")
	p.build("good", "echo good")
	p.pipeline("inner", []client.PipelineStep{{Type: client.StepBuild, Build: "good"}})
	p.pipeline("outer", []client.PipelineStep{{Type: client.StepPipeline, Pipeline: "inner", WaitForPipeline: true}})
	p.pipeline("tagged", []client.PipelineStep{{Type: client.StepTagRelease, Namespace: "faults", Application: "app", Tag: "live"}})
	p.pipeline("retagged", []client.PipelineStep{{Type: client.StepTagRelease, Namespace: "faults", Application: "app", Tag: "live", TagVersion: "tagged-version", TagTaggedVersion: "ghost"}})
	s.failed(p.triggerPipeline("tagged"), "this pipeline has neither built nor deployed a release of faults/app")
	s.failed(p.triggerPipeline("retagged"), "there is no release faults/app:ghost to tag")

	change := func(method, path string, body any) {
		t.Helper()
		a := s.do(method, path, body)
		require.Equal(t, http.StatusOK, a.status, "%s %s: %s", method, path, a.body)
	}
	pipelines := "/api/v1/pipelines/by-project/faults/by-name/"
	change(http.MethodPut, pipelines+"inner/", map[string]any{"disabled": true, "phases": []any{map[string]any{"steps": []any{map[string]any{"type": "build", "build": "good", "environment": "dev"}}}}})
	s.failed(p.triggerPipeline("outer"), "pipeline inner is disabled")
	change(http.MethodPut, pipelines+"inner/", map[string]any{"phases": []any{}})
	s.failed(p.triggerPipeline("outer"), "pipeline inner has no phases yet")
	change(http.MethodDelete, pipelines+"inner/", nil)
	s.failed(p.triggerPipeline("outer"), `project faults has no pipeline "inner"`)

	// The service account loses its right between the save and the run, in its own project and in another one.
	other := s.project("elsewhere")
	other.build("good", "echo elsewhere")
	account := func(project, role string) {
		t.Helper()
		change(http.MethodPost, "/api/v1/state/"+project+"/service-accounts/robot/", map[string]any{"roles": []string{role}})
	}
	account("faults", "write")
	account("elsewhere", "write")
	require.NoError(t, s.client.AddPipeline(s.ctx(), "faults", client.Pipeline{Name: "abroad", ServiceAccountName: "robot", Phases: []client.PipelinePhase{
		{Name: "a", Steps: []client.PipelineStep{{Type: client.StepBuild, Project: "elsewhere", Environment: "dev", Build: "good"}}}}}))
	s.ok(p.triggerPipeline("abroad"))
	change(http.MethodDelete, "/api/v1/state/elsewhere/service-accounts/robot/", nil)
	s.failed(p.triggerPipeline("abroad"), `the pipeline may not work in project "elsewhere"`)
	account("elsewhere", "write")
	s.ok(p.triggerPipeline("abroad"))

	require.NoError(t, s.client.AddPipeline(s.ctx(), "faults", client.Pipeline{Name: "home", ServiceAccountName: "robot", Phases: []client.PipelinePhase{
		{Name: "a", Steps: []client.PipelineStep{{Type: client.StepBuild, Environment: "dev", Build: "good"}}}}}))
	s.ok(p.triggerPipeline("home"))
	// A build that acts as it, too.
	change(http.MethodPost, "/api/v1/state/faults/environments/dev/builds/", map[string]any{"name": "acting", "repo": p.repo.Dir, "branch": "main", "service_account_name": "robot",
		"steps": []any{map[string]any{"plan_location": "escape.yml", "run_build": true}}})
	s.ok(p.trigger("acting"))
	change(http.MethodDelete, "/api/v1/state/faults/service-accounts/robot/", nil)
	s.failed(p.triggerPipeline("home"), `the service account "robot", which the pipeline acts as, may not run this in project "faults"`)
	s.failed(p.trigger("acting"), `the service account "robot", which this should act as, may not run anything in project "faults" any more`)
}

// A release that a pipeline made is tagged, as what the pipeline acts as, and the tag can be deployed.
func TestStepsTagReleases(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("tagging")
	p.release()
	p.job("web", "web", "echo deployed")
	tag := func(name, version, from string) client.PipelineStep {
		return client.PipelineStep{Type: client.StepTagRelease, Namespace: "tagging", Application: "app", Tag: name, TagVersion: version, TagTaggedVersion: from}
	}
	p.pipeline("ship", []client.PipelineStep{{Type: client.StepBuild, Build: "release"}}, []client.PipelineStep{tag("tested", "highest-version-in-pipeline", "")},
		[]client.PipelineStep{{Type: client.StepDeploy, Deployment: "web", UpdateVersion: "last-version-in-pipeline"}},
		[]client.PipelineStep{tag("live", "tagged-version", "tested"), tag("last", "last-version-in-pipeline", "")})
	ref := p.triggerPipeline("ship")
	e := s.ok(ref)
	require.Equal(t, "tagged tagging/app-v0.1.1 as tested", steps(e)[1].Reason)
	for _, name := range []string{"tested", "live", "last"} {
		r, err := s.client.Release(s.ctx(), "tagging", "app", name)
		require.NoError(t, err)
		require.Equal(t, "0.1.1", r.Metadata.Version)
	}
	lines := s.audit("tagging", "release:tag")
	require.Len(t, lines, 3)
	require.Equal(t, ref.ID, lines[0].Detail["execution"])
	require.Equal(t, "project tagging", lines[0].ActorName)
	// update_version has changed the job, and says so.
	j := s.do(http.MethodGet, "/api/v1/deployment-jobs/by-project/tagging/by-environment/dev/by-name/web/", nil)
	require.Contains(t, string(j.body), `"version":"0.1.1"`)
	require.Equal(t, "0.1.1", s.audit("tagging", "deployment-job:update")[0].Detail["version"])

	// Nobody tags in a namespace that is not the pipeline's to write in.
	other := s.project("foreign")
	other.release()
	p.pipeline("thief", []client.PipelineStep{{Type: client.StepTagRelease, Namespace: "foreign", Application: "app", Tag: "mine", TagVersion: "tagged-version", TagTaggedVersion: "mine"}})
	s.failed(p.triggerPipeline("thief"), "project tagging may not tag releases in the namespace 'foreign'")
}

// Each update_version deploys what it says, and makes that the job's own.
func TestStepsUpdateVersions(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("updates")
	p.release()
	p.repo.Commit("second", map[string]string{"second": "x"})
	s.ok(p.trigger("release")) // 0.1.0 and 0.1.1 are there
	p.job("first", "first", "echo deployed")
	p.job("web", "web", "echo deployed")
	require.Equal(t, http.StatusOK, s.do(http.MethodPost, "/api/v1/inventory/updates/units/app/tags/", map[string]string{"release_id": "updates/app-v0.1.0", "tag": "live"}).status)
	n := 0
	deploy := func(step client.PipelineStep, before ...client.PipelineStep) client.Ref {
		t.Helper()
		n++
		name := fmt.Sprint("update-", n)
		step.Type, step.Deployment = client.StepDeploy, "web"
		phases := [][]client.PipelineStep{{step}}
		if len(before) > 0 {
			phases = [][]client.PipelineStep{before, {step}}
		}
		p.pipeline(name, phases...)
		return p.triggerPipeline(name)
	}
	is := func(ref client.Ref, deployed, job string) {
		t.Helper()
		s.ok(ref)
		environment, err := s.client.Environment(s.ctx(), p.name, "dev")
		require.NoError(t, err)
		require.Equal(t, deployed, environment.Deployments["web"].Stages["deploy"].Version)
		a := s.do(http.MethodGet, "/api/v1/deployment-jobs/by-project/updates/by-environment/dev/by-name/web/", nil)
		require.Contains(t, string(a.body), `"version":"`+job+`"`)
	}
	from := client.PipelineStep{UpdateVersion: "version-from-deployment-job", UpdateVersionDeployment: "first", UpdateVersionEnvironment: "dev"}
	s.failed(deploy(from), "there is nothing to take the version from: updates/app is not deployed well by deployment job first in environment dev")
	is(deploy(client.PipelineStep{UpdateVersion: "tagged-version", TagTaggedVersion: "live"}), "0.1.0", "live")
	is(deploy(client.PipelineStep{UpdateVersion: "dont-update"}), "0.1.0", "live")
	is(deploy(client.PipelineStep{}), "0.1.0", "live")
	is(deploy(client.PipelineStep{UpdateVersion: "latest-version"}), "0.1.1", "latest")
	s.ok(p.deploy("first")) // 0.1.1, by its query latest
	p.repo.Commit("third", map[string]string{"third": "x"})
	is(deploy(client.PipelineStep{UpdateVersion: "last-version-in-pipeline"}, client.PipelineStep{Type: client.StepBuild, Build: "release"}), "0.1.2", "0.1.2")
	is(deploy(from), "0.1.1", "0.1.1")
	is(deploy(client.PipelineStep{UpdateVersion: "last-version-in-pipeline"}), "0.1.1", "0.1.1")
}

// Pipelines that listen to a build or a deployment start once when it has ended well, and go on from it.
func TestPipelinesStartOnBuildsAndDeployments(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("listen")
	count := filepath.Join(s.dir, "count")
	p.release()
	p.build("counted", "echo x >> '"+count+"'")
	p.build("bad", "exit 1")
	p.job("web", "web", "echo $step")
	p.pipeline("on-build", []client.PipelineStep{{Type: client.StepBuild, Build: "counted", TriggerPipelineOnBuild: true}, {Type: client.StepBuild, Build: "bad", TriggerPipelineOnBuild: true, IgnoreFailure: true}},
		[]client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}})
	p.pipeline("on-deploy", []client.PipelineStep{{Type: client.StepSmoke, Deployment: "web", TriggerPipelineOnDeploy: true}})
	executions := func(pipeline string) []models.Execution {
		t.Helper()
		var list []models.Execution
		all, err := s.store.ListExecutions(s.ctx(), models.ExecutionFilter{Kind: models.KindPipeline})
		require.NoError(t, err)
		for _, e := range all {
			if e.SubjectName == pipeline {
				list = append(list, e)
			}
		}
		return list
	}
	started := func(pipeline string, n int) client.Ref {
		t.Helper()
		var list []models.Execution
		await(t, fmt.Sprintf("%s has %d executions", pipeline, n), func() (bool, string) {
			list = executions(pipeline)
			return len(list) >= n, fmt.Sprint(len(list))
		})
		require.Len(t, list, n)
		return client.PipelineRef("listen", pipeline, list[0].ID)
	}
	bad := p.trigger("bad")
	s.failed(bad, "")
	build := p.trigger("counted")
	s.ok(build)
	e := s.ok(started("on-build", 1))
	require.Equal(t, []string{models.TriggerBuild, build.ID, "admin"}, []string{e.Trigger.Type, e.Trigger.Execution, e.Trigger.SubjectName})
	first := steps(e)[0]
	require.Equal(t, []any{"ok", build.ID, true}, []any{first.Status, first.ExecutionID, first.Kept}, "the build is the step, and is not built again")
	require.Len(t, fileLines(t, count), 1)
	// What it deployed has started the other one, whose own smoke test starts nothing more.
	deployed := s.ok(started("on-deploy", 1))
	require.Equal(t, models.TriggerDeployment, deployed.Trigger.Type)
	require.Equal(t, "ok", steps(deployed)[0].Status)
	require.Equal(t, models.KindBuild, s.audit("listen", "pipeline:trigger")[len(s.audit("listen", "pipeline:trigger"))-1].ActorKind)

	// A pipeline that runs the build itself is not started by it once more.
	s.ok(p.triggerPipeline("on-build"))
	started("on-deploy", 2)
	await(t, "no intent is left", func() (bool, string) {
		left, err := s.store.CountStarts(s.ctx())
		require.NoError(t, err)
		return left == 0, fmt.Sprint(left)
	})
	require.Len(t, executions("on-build"), 2)
	require.Len(t, executions("on-deploy"), 2)
}

// A ring that nobody saw when the pipelines were saved, because the account that saved them could not, is stopped when it
// runs, with the way round as the reason.
func TestRingsAreStoppedWhenTheyRun(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("rings")
	p.build("good", "echo good")
	for _, name := range []string{"one", "two"} {
		p.pipeline(name, []client.PipelineStep{{Type: client.StepBuild, Build: "good"}})
	}
	p.pipeline("one-more", []client.PipelineStep{{Type: client.StepPipeline, Pipeline: "two"}})
	// As the database holds it after changes that were made at the same instant.
	project, err := s.store.ProjectByName(s.ctx(), "rings")
	require.NoError(t, err)
	to := func(from, to string, wait bool) {
		t.Helper()
		pl, err := s.store.PipelineByName(s.ctx(), project.ID, from)
		require.NoError(t, err)
		pl.Phases = []models.PipelinePhase{{Name: "a", Steps: []models.PipelineStep{{Type: models.StepPipeline, Pipeline: to, WaitForPipeline: wait}}}}
		require.NoError(t, s.store.UpdatePipeline(s.ctx(), pl))
	}
	to("one", "two", true)
	to("two", "one", true)
	s.failed(p.triggerPipeline("one"), "the pipelines trigger each other in a ring: one -> two -> one")
	to("one", "two", false)
	to("two", "one", false)
	e := s.ok(p.triggerPipeline("one"))
	s.failed(client.PipelineRef("rings", "two", steps(e)[0].ExecutionID), "the pipelines trigger each other in a ring: one -> two -> one")
}

// A step calls a webhook: signed, repeated until it is answered, every answer kept. What it was answered is how it ends.
func TestStepsCallWebhooks(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("calls")
	p.release()
	var mu sync.Mutex
	var bodies [][]byte
	var signatures []string
	answers := []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusOK}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/no" {
			http.Error(w, "not me", http.StatusForbidden)
			return
		}
		body, _ := io.ReadAll(r.Body)
		bodies, signatures = append(bodies, body), append(signatures, r.Header.Get(deliveries.HeaderSignature))
		w.WriteHeader(answers[min(len(bodies), len(answers))-1])
		fmt.Fprintf(w, "answer %d", len(bodies))
	}))
	defer receiver.Close()
	p.pipeline("call", []client.PipelineStep{{Type: client.StepBuild, Build: "release"}}, []client.PipelineStep{{Type: client.StepWebhook, WebhookURL: receiver.URL + "/hook?key=k"}},
		[]client.PipelineStep{{Name: "refused", Type: client.StepWebhook, WebhookURL: receiver.URL + "/no", IgnoreFailure: true}},
		[]client.PipelineStep{{Name: "last", Type: client.StepWebhook, WebhookURL: receiver.URL + "/no"}})
	ref := p.triggerPipeline("call")
	e := s.failed(ref, "step last:")
	list := steps(e)
	require.Equal(t, []string{"ok", "ok", "failed", "failed"}, []string{list[0].Status, list[1].Status, list[2].Status, list[3].Status})
	var shown struct {
		Secret string `json:"signing_secret"`
	}
	a := s.do(http.MethodGet, "/api/v1/pipelines/by-project/calls/by-name/call/", nil)
	require.NoError(t, json.Unmarshal(a.body, &shown))
	require.NotEmpty(t, shown.Secret)
	require.Len(t, bodies, 3)
	for i, body := range bodies {
		require.True(t, deliveries.Verify(signatures[i], shown.Secret, body, time.Now()), "S12: signed over the raw bytes")
		require.False(t, deliveries.Verify(signatures[i], "another secret", body, time.Now()))
		require.Equal(t, bodies[0], body, "the same each time")
	}
	var call activities.StepCall
	require.NoError(t, json.Unmarshal(bodies[0], &call))
	require.Equal(t, []any{"pipeline-step", "calls", "call", ref.ID, "phase 2", []string{"calls/app-v0.1.1"}},
		[]any{call.Event, call.Project, call.Pipeline, call.Execution, call.Phase, call.Releases})
	rows, err := s.store.ListDeliveries(s.ctx(), models.DeliveryFilter{ExecutionID: ref.ID})
	require.NoError(t, err)
	require.Len(t, rows, 3)
	first := rows[2]
	attempts, err := s.store.DeliveryAttempts(s.ctx(), first.ID)
	require.NoError(t, err)
	require.Len(t, attempts, 3)
	require.Equal(t, []any{503, "answer 1", 200, "answer 3"}, []any{attempts[0].StatusCode, attempts[0].Answer, attempts[2].StatusCode, attempts[2].Answer})
	require.Contains(t, string(s.do(http.MethodGet, "/api/v1/pipelines/by-project/calls/by-name/call/executions/"+ref.ID+"/", nil).body), `"delivery_id":"`+first.ID+`"`)

	// A retry does not send again what has arrived.
	again, err := s.client.Retry(s.ctx(), ref)
	require.NoError(t, err)
	e = s.failed(again, "step last:")
	require.True(t, steps(e)[1].Kept)
	require.Len(t, bodies, 3)

	// S12: a pipeline from before there were signing secrets gets one: nothing goes out unsigned.
	conn, err := pgx.Connect(s.ctx(), s.database)
	require.NoError(t, err)
	defer conn.Close(s.ctx())
	_, err = conn.Exec(s.ctx(), "UPDATE pipelines SET signing_secret = NULL")
	require.NoError(t, err)
	s.failed(p.triggerPipeline("call"), "step last:")
	was := shown.Secret
	require.NoError(t, json.Unmarshal(s.do(http.MethodGet, "/api/v1/pipelines/by-project/calls/by-name/call/", nil).body, &shown))
	require.NotEqual(t, was, shown.Secret)
	require.True(t, deliveries.Verify(signatures[3], shown.Secret, bodies[3], time.Now()))
	lines := s.audit("calls", "pipeline:update")
	require.Len(t, lines, 1)
	require.Equal(t, []any{"pipeline", "made"}, []any{lines[0].ActorKind, lines[0].Detail["signing_secret"]})
}
