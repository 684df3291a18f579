package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/logs"
	"slipway/internal/release"
	"slipway/internal/state"
)

// fakeStack is the least of a server that the demo can be run against: everything is kept in memory, and the sample's
// scripts are really run. What the real server does is for the end-to-end tests; this is for the demo's own judgement.
type fakeStack struct {
	t    *testing.T
	dir  string
	http *httptest.Server

	mu           sync.Mutex
	environments map[string]*state.Environment
	builds       map[string]client.Build
	jobs         map[string]client.DeploymentJob // by environment/name
	definition   client.Pipeline
	execution    client.Execution // of the pipeline
	releases     map[string]*release.Metadata
	runs         map[string]*run
	approved     chan struct{}

	// Faults to inject.
	failBuild    bool   // the build's status is failed
	keepRunning  bool   // destroy does nothing but say ok
	wrongVersion string // what the inventory says instead of the version
	badPackage   bool   // the package has another file
}

// run is an execution of a build or a deployment job.
type run struct {
	ended  chan struct{}
	lines  []string
	status string
	reason string
}

func newFakeStack(t *testing.T) *fakeStack {
	f := &fakeStack{
		t: t, dir: t.TempDir(), environments: map[string]*state.Environment{}, builds: map[string]client.Build{},
		jobs: map[string]client.DeploymentJob{}, releases: map[string]*release.Metadata{}, runs: map[string]*run{}, approved: make(chan struct{}),
	}
	mux := http.NewServeMux()
	ok := func(http.ResponseWriter, *http.Request) {}
	mux.HandleFunc("GET /health", ok)
	mux.HandleFunc("POST /api/v1/state/shop/add-project", ok)
	mux.HandleFunc("POST /api/v1/state/shop/add-namespace", ok)
	mux.HandleFunc("POST /api/v1/state/shop/environments/{$}", ok)
	mux.HandleFunc("PUT /api/v1/state/shop/environments/{env}/{$}", func(_ http.ResponseWriter, r *http.Request) {
		var e client.Environment
		read(r, &e)
		f.environments[e.Name] = &state.Environment{Name: e.Name, Inputs: e.Inputs, Deployments: map[string]*state.Deployment{}}
	})
	mux.HandleFunc("GET /api/v1/state/shop/environments/{env}/{$}", func(w http.ResponseWriter, r *http.Request) {
		f.answer(w, f.environments[r.PathValue("env")])
	})
	mux.HandleFunc("POST /api/v1/state/shop/environments/dev/builds/{$}", func(_ http.ResponseWriter, r *http.Request) {
		var b client.Build
		read(r, &b)
		f.builds[b.Name] = b
	})
	mux.HandleFunc("POST /api/v1/deployment-jobs/by-project/shop/add", func(_ http.ResponseWriter, r *http.Request) {
		var j client.DeploymentJob
		read(r, &j)
		f.jobs[j.Environment+"/"+j.Name] = j
	})
	mux.HandleFunc("POST /api/v1/pipelines/by-project/shop/add", func(_ http.ResponseWriter, r *http.Request) { read(r, &f.definition) })
	mux.HandleFunc("POST /api/v1/pipelines/by-project/shop/by-name/release/trigger", func(w http.ResponseWriter, _ *http.Request) {
		copied := f.definition
		f.execution = client.Execution{ID: "p1", Number: 1, Status: "running", Pipeline: &copied}
		go f.runPipeline()
		f.answer(w, map[string]string{"id": "p1"})
	})
	mux.HandleFunc("GET /api/v1/pipelines/by-project/shop/by-name/release/executions/p1/{$}", func(w http.ResponseWriter, _ *http.Request) {
		f.answer(w, f.execution)
	})
	mux.HandleFunc("GET /api/v1/pipelines/by-project/shop/by-name/release/executions/p1/confirmation/code/approve", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "application/json" {
			close(f.approved)
			f.answer(w, client.Decision{Status: "approved", DecidedBy: "demo"})
			return
		}
		_, _ = io.WriteString(w, "<button>Approve</button>")
	})
	mux.HandleFunc("POST /api/v1/deployment-jobs/by-project/shop/by-environment/{env}/by-name/{job}/trigger/{action}", func(w http.ResponseWriter, r *http.Request) {
		env, job, action := r.PathValue("env"), r.PathValue("job"), r.PathValue("action")
		id := env + "-" + job + "-" + action
		f.start(id, func(log func(string)) error { return f.deployment(env, job, action, log) })
		f.answer(w, map[string]string{"id": id})
	})
	execution := func(w http.ResponseWriter, r *http.Request) { // of a build or a deployment job
		run := f.run(r.PathValue("id"))
		f.answer(w, client.Execution{ID: r.PathValue("id"), Status: run.status, Reason: run.reason})
	}
	jobs := "/api/v1/deployment-jobs/by-project/shop/by-environment/{env}/by-name/{name}/executions/{id}/"
	mux.HandleFunc("GET "+jobs+"{$}", execution)
	mux.HandleFunc("GET "+jobs+"logs_ws", f.streamLog)
	builds := "/api/v1/state/shop/environments/{env}/builds/by-name/{name}/executions/{id}/"
	mux.HandleFunc("GET "+builds+"{$}", execution)
	mux.HandleFunc("GET "+builds+"logs_ws", f.streamLog)
	mux.HandleFunc("GET /api/v1/inventory/demo/units/{name}/versions/{version}/{$}", func(w http.ResponseWriter, r *http.Request) {
		m := *f.releases[r.PathValue("name")]
		if f.wrongVersion != "" {
			m.Version = f.wrongVersion
		}
		f.answer(w, map[string]any{"release": &m, "is_latest": true})
	})
	mux.HandleFunc("GET /api/v1/inventory/demo/units/{name}/versions/{version}/download", func(w http.ResponseWriter, r *http.Request) {
		m := f.releases[r.PathValue("name")]
		dir := os.DirFS(filepath.Join(f.dir, r.PathValue("name")))
		if f.badPackage {
			other := *m
			other.Files = map[string]string{"README.md": m.Files["README.md"]}
			m = &other
		}
		if err := release.WriteArchive(w, m, dir); err != nil {
			f.t.Error(err)
		}
	})
	f.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer admin" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		if !strings.HasSuffix(r.URL.Path, "logs_ws") && !strings.HasSuffix(r.URL.Path, "download") {
			f.mu.Lock()
			defer f.mu.Unlock()
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.http.Close)
	return f
}

func read(r *http.Request, into any) { _ = json.NewDecoder(r.Body).Decode(into) }

func (f *fakeStack) answer(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }

func (f *fakeStack) Start(context.Context) (string, string, func() error, error) {
	return f.http.URL, "admin", func() error { return nil }, nil
}

// start begins an execution; the lock is held by the caller.
func (f *fakeStack) start(id string, do func(log func(string)) error) *run {
	r := &run{ended: make(chan struct{}), status: client.StatusRunning}
	f.runs[id] = r
	go func() {
		err := do(func(line string) { r.lines = append(r.lines, line) })
		f.mu.Lock()
		defer f.mu.Unlock()
		r.status = client.StatusOK
		if err != nil {
			r.status, r.reason = client.StatusFailed, err.Error()
		}
		close(r.ended)
	}()
	return r
}

func (f *fakeStack) run(id string) *run { return f.runs[id] }

func (f *fakeStack) streamLog(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	f.mu.Lock()
	run := f.run(r.PathValue("id"))
	f.mu.Unlock()
	<-run.ended
	for _, line := range run.lines {
		item, _ := json.Marshal(logs.Item{Timestamp: time.Now(), Message: line, Level: logs.LevelInfo})
		_ = conn.Write(r.Context(), websocket.MessageText, item)
	}
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

func (f *fakeStack) runPipeline() {
	set := func(change func()) {
		f.mu.Lock()
		defer f.mu.Unlock()
		change()
	}
	for i := range f.execution.Pipeline.Phases {
		steps := f.execution.Pipeline.Phases[i].Steps
		var runs []*run
		for j := range steps {
			step := &steps[j]
			id := fmt.Sprintf("s%d-%d", i, j)
			set(func() {
				step.Status = client.StatusRunning
				if step.Type == client.StepConfirmation {
					step.ConfirmationURL = f.http.URL + "/api/v1/pipelines/by-project/shop/by-name/release/executions/p1/confirmation/code/approve"
					runs = append(runs, &run{ended: f.approved, status: client.StatusOK})
					return
				}
				step.ExecutionID = id
				var before []*run // on the same deployment, which is changed by one step at a time
				for k := range j {
					if step.Deployment != "" && steps[k].Deployment == step.Deployment {
						before = append(before, runs[k])
					}
				}
				runs = append(runs, f.start(id, func(log func(string)) error {
					for _, r := range before {
						<-r.ended
					}
					if step.Type == client.StepBuild {
						return f.build(step.Build, log)
					}
					action := "deploy"
					if step.Type == client.StepSmoke {
						action = "smoke"
					}
					return f.deployment(step.Environment, step.Deployment, action, log)
				}))
			})
		}
		for j, run := range runs {
			<-run.ended
			set(func() {
				steps[j].Status, steps[j].Reason = run.status, run.reason
				if run.status == client.StatusFailed {
					f.execution.Status, f.execution.Outcome, f.execution.Reason = client.StatusFailed, "failed", run.reason
				}
			})
			if run.status == client.StatusFailed {
				return
			}
		}
	}
	set(func() { f.execution.Status = client.StatusOK })
}

func (f *fakeStack) build(name string, log func(string)) error {
	if f.failBuild {
		log("about to fail")
		return fmt.Errorf("script build.sh of %s exited with status 3", name)
	}
	f.mu.Lock()
	build := f.builds[name]
	f.mu.Unlock()
	dir := filepath.Join(f.dir, name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(build.Repo, name))); err != nil {
		return err
	}
	env := map[string]string{"version": "0.1.0", "environment": "dev", "deployment": name}
	for key, value := range build.Steps[0].Variables {
		env[key] = value
	}
	for _, script := range []string{"build.sh", "test.sh"} {
		if _, err := f.script(dir, script, env, nil, log); err != nil {
			return err
		}
	}
	m := &release.Metadata{APIVersion: release.APIVersion, Name: name, Project: "demo", Version: "0.1.0", Branch: "main", Metadata: map[string]string{"team": "shop"}}
	commit, err := exec.Command("git", "-C", build.Repo, "rev-parse", "HEAD").Output()
	if err != nil {
		return err
	}
	m.Revision = strings.TrimSpace(string(commit))
	if name == "storefront" {
		m.Depends = []release.Dependency{{ReleaseID: "demo/greeter-v0.1.0"}}
	}
	m.Normalise()
	m.Files = map[string]string{}
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path, ".") {
			return err
		}
		file, err := os.Open(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		defer file.Close()
		m.Files[path], err = release.Checksum(file)
		return err
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releases[name] = m
	return err
}

func (f *fakeStack) deployment(environment, job, action string, log func(string)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, definition := f.environments[environment], f.jobs[environment+"/"+job]
	name := strings.TrimPrefix(definition.Release, "demo/")
	env := map[string]string{"version": "0.1.0", "environment": environment, "deployment": job, "greeting": languages[environment].greeting}
	for key, value := range e.Inputs {
		env[key] = value.(string)
	}
	d := e.EnsureDeployment(job)
	stage := d.EnsureStage(state.StageDeploy)
	if action == "destroy" && f.keepRunning {
		log("nothing to see here")
	} else {
		outputs, err := f.script(filepath.Join(f.dir, name), action+".sh", env, stage.CalculatedOutputs, log)
		if err != nil {
			return err
		}
		if action == "deploy" {
			stage.CalculatedOutputs = outputs
		}
	}
	stage.Status = &state.Status{Code: state.OK}
	if action == "destroy" {
		stage.Status.Code, stage.CalculatedOutputs = state.Empty, nil
	}
	return nil
}

func (f *fakeStack) script(dir, name string, env map[string]string, outputs map[string]any, log func(string)) (map[string]any, error) {
	log("Running " + name)
	file := filepath.Join(dir, ".outputs.json")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", filepath.Join(dir, name), file)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir}
	for key, value := range env {
		cmd.Env = append(cmd.Env, "INPUT_"+key+"="+value)
	}
	for key, value := range outputs {
		cmd.Env = append(cmd.Env, fmt.Sprintf("OUTPUT_%s=%v", key, value))
	}
	text, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(text)) {
		log(strings.TrimSuffix(line, "\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("script %s: %w", name, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var result map[string]any
	err = json.Unmarshal(content, &result)
	require.NoError(f.t, err)
	return result, err
}
