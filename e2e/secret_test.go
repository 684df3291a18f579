package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"

	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/internal/testenv"
	"slipway/models"
)

// canaries are values that must not be found anywhere afterwards. Their characters make every encoding differ.
const (
	canaryInput  = `canary-in p@ss/w0rd+"q"&z9é`
	canaryOutput = `canary-out t0ken<>?=%\7f3a`
	canaryKey    = "Y2FuYXJ5LWtleS1saW5lLW9mLWEtcHJpdmF0ZS1rZXktMDEyMzQ1Njc4OWFiY2RlZg"
)

// forms are the ways in which a value may leak: as it is, and encoded.
func forms(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	var plainJSON bytes.Buffer
	e := json.NewEncoder(&plainJSON)
	e.SetEscapeHTML(false)
	_ = e.Encode(secret)
	return map[string]string{
		"whole": secret, "base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="),
		"base64 for URLs": strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(secret)), "="),
		"query":           url.QueryEscape(secret), "path": url.PathEscape(secret),
		"JSON": strings.Trim(string(quoted), `"`), "JSON with markup": strings.Trim(strings.TrimSpace(plainJSON.String()), `"`),
	}
}

// leaks looks for the canaries in bytes of any origin; a database's dump shows binary values in hexadecimal.
func leaks(t testing.TB, where string, content []byte) {
	t.Helper()
	for _, secret := range []string{canaryInput, canaryOutput, canaryKey} {
		for form, text := range forms(secret) {
			if bytes.Contains(content, []byte(text)) || bytes.Contains(content, []byte(hex.EncodeToString([]byte(text)))) {
				i := max(0, bytes.Index(content, []byte(text)))
				t.Errorf("a secret is in %s, %s: …%q…", where, form, content[max(0, i-200):min(len(content), i+100)])
			}
		}
	}
}

// S9: scripts print secrets in every way they can; afterwards everything that was written down is searched for them.
func TestS9SecretsAreNowhere(t *testing.T) {
	t.Parallel()
	for _, sqlite := range []bool{true, false} {
		t.Run(fmt.Sprintf("sqlite=%v", sqlite), func(t *testing.T) {
			t.Parallel()
			said := &output{}
			s := newStack(t, stackOptions{sqlite: sqlite, log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})),
				tune: func(c *config.Config) { c.TemporalEncrypt = false }})
			require.NoError(t, s.client.AddProject(t.Context(), client.Project{Name: "secret"}))
			require.NoError(t, s.client.AddEnvironment(t.Context(), "secret", "dev"))
			require.NoError(t, s.client.AddNamespace(t.Context(), "secret", "secret"))
			p := &project{stack: s, name: "secret"}
			g := newGate(t)
			print := func(secret string) string {
				var b strings.Builder
				for _, text := range forms(secret) {
					fmt.Fprintf(&b, "printf '%%s\\n' 'form: %s.'\n", text)
				}
				half := len(secret) / 2
				// Two writes, with the reader certain to see the first alone.
				fmt.Fprintf(&b, "printf '%%s' 'split: %s'\n%s\nprintf '%%s\\n' '%s'\n", secret[:half], g.wait(), secret[half:])
				fmt.Fprintf(&b, "echo 'on stderr %s' >&2\n", secret)
				return b.String()
			}
			script := p.script(
				`case $step in`,
				`deploy)`, print(canaryInput), fmt.Sprintf("cat >\"$outputs\" <<'EOF'\n%s\nEOF", outputsJSON()), `;;`,
				`smoke)`, print(canaryInput), print(canaryOutput), `echo "the output is $OUTPUT_token"; exit 3 ;;`,
				`build)`, print(canaryKey), `;;`,
				`esac`)
			steps := []string{"build", "deploy", "smoke", "destroy"}
			files := map[string]string{"escape.yml": "name: secret/app\nversion: 1.0.0\ninputs:\n- id: password\n  sensitive: true\n  default: none\n- id: script\n  default: ''\n" +
				"deploy_outputs:\n- id: token\n  sensitive: true\n"}
			for _, step := range steps {
				files["escape.yml"] += step + ": " + step + ".sh\n"
				files[step+".sh"] = "#!/bin/sh\nstep=" + step + "\noutputs=$1\n[ -z \"$INPUT_script\" ] || . \"$INPUT_script\"\n"
			}
			p.repo = testenv.GitRepo(t, files)
			key := "-----BEGIN OPENSSH PRIVATE KEY-----\n" + canaryKey + "\n-----END OPENSSH PRIVATE KEY-----\n"
			p.buildOf(client.Build{Name: "build", Repo: p.repo.Dir, Branch: "main", PrivateKey: key, UpdatePrivateKey: true,
				Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true, CacheRelease: true, PushRelease: true, Variables: map[string]string{"script": script}}}})
			require.NoError(t, s.client.AddDeploymentJob(t.Context(), "secret", client.DeploymentJob{Name: "web", Environment: "dev", Release: "secret/app", Version: "latest",
				Inputs: map[string]any{"password": canaryInput, "script": script}}))
			p.pipeline("all", []client.PipelineStep{{Type: client.StepBuild, Build: "build"}}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}},
				[]client.PipelineStep{{Type: client.StepSmoke, Deployment: "web"}})
			g.open(20)
			ref := p.triggerPipeline("all")
			e := s.failed(ref, "exited with status 3")

			var refs []client.Ref
			for _, ph := range e.Pipeline.Phases {
				child, ok := ph.Steps[0].Ref("secret")
				require.True(t, ok)
				refs = append(refs, child)
				text := s.logText(child)
				require.Contains(t, text, "split: ", "the script printed")
				leaks(t, "the log of "+ph.Name, []byte(text))
			}
			// A retry reads everything back.
			retry, err := s.client.Retry(t.Context(), refs[1])
			require.NoError(t, err)
			refs = append(refs, retry)
			g.open(10)
			s.ok(retry)
			require.Contains(t, s.logText(retry), "split: ")

			// What a reader sees. Inputs and outputs are for those who write, and only where they ask for them.
			reader := s.user("rita", false)
			s.grant("rita", "read", "secret")
			for _, token := range []string{s.token, reader} {
				for _, path := range []string{
					"/api/v1/state/", "/api/v1/state/secret/", "/api/v1/state/secret/environments/dev/", "/api/v1/state/secret/environments/dev/deployments/?deployment=web",
					"/api/v1/builds/", "/api/v1/state/secret/builds/", "/api/v1/state/secret/environments/dev/builds/", "/api/v1/state/secret/environments/dev/builds/by-name/build/",
					"/api/v1/builds/executions/", "/api/v1/state/secret/builds/executions/", "/api/v1/state/secret/environments/dev/builds/by-name/build/executions/",
					"/api/v1/deployment-jobs/executions/", "/api/v1/deployment-jobs/by-project/secret/by-environment/dev/by-name/web/executions/",
					"/api/v1/pipelines/", "/api/v1/pipelines/executions/", "/api/v1/pipelines/by-project/secret/by-name/all/executions/",
					"/api/v1/pipelines/by-project/secret/by-name/all/executions/" + ref.ID + "/",
					"/api/v1/slipway/executions/" + ref.ID + "/", "/api/v1/slipway/projects/secret/environments/dev/history/", "/api/v1/slipway/executions/" + refs[1].ID + "/events",
					"/api/v1/inventory/secret/units/app/versions/v1.0.0/?full=true", "/api/v1/inventory/secret/units/app/versions/v1.0.0/download",
				} {
					a := s.do(http.MethodGet, path, nil, "Authorization: Bearer "+token)
					require.Equal(t, http.StatusOK, a.status, "%s: %s", path, a.body)
					leaks(t, "the answer of "+path, a.body)
				}
			}
			a := s.do(http.MethodGet, "/api/v1/slipway/projects/secret/audit/export", nil)
			require.Equal(t, http.StatusOK, a.status, string(a.body))
			leaks(t, "the audit log", a.body)
			a = s.do(http.MethodGet, "/api/v1/deployment-jobs/by-project/secret/by-environment/dev/by-name/web/", nil, "Authorization: Bearer "+reader)
			leaks(t, "the job as a reader sees it", a.body)
			a = s.do(http.MethodGet, "/api/v1/state/secret/environments/dev/?full=true", nil, "Authorization: Bearer "+reader)
			leaks(t, "the state that a reader asks for in full", a.body)

			for _, r := range append(refs, ref) {
				leaks(t, "the history of "+r.ID, s.history(r.ID))
			}
			leaks(t, "what the processes logged", []byte(said.String()))
			leaks(t, "the database", s.dump())
			require.NoError(t, filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || strings.HasPrefix(path, filepath.Join(s.dir, "scripts")) {
					return nil //nolint:nilerr // files come and go
				}
				content, _ := os.ReadFile(path)
				leaks(t, "the file "+path, content)
				return nil
			}))
		})
	}
}

func outputsJSON() string {
	b, _ := json.Marshal(map[string]string{"token": canaryOutput})
	return string(b)
}

// history is a workflow's whole history, as it is stored.
func (s *stack) history(id string) []byte {
	s.t.Helper()
	var all []byte
	it := s.workflows.GetWorkflowHistory(s.ctx(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(s.t, err)
		b, err := proto.Marshal(event)
		require.NoError(s.t, err)
		all = append(all, b...)
	}
	require.NotEmpty(s.t, all)
	return all
}

// dump is everything in the database.
func (s *stack) dump() []byte {
	s.t.Helper()
	if path, ok := strings.CutPrefix(s.database, "sqlite:"); ok {
		var all []byte
		for _, suffix := range []string{"", "-wal"} {
			b, _ := os.ReadFile(path + suffix)
			all = append(all, b...)
		}
		require.NotEmpty(s.t, all)
		return all
	}
	out, err := exec.Command(testenv.Command(s.t, "pg_dump"), s.database).Output()
	require.NoError(s.t, err)
	require.Contains(s.t, string(out), "log_chunks")
	return out
}

// grant gives a user a role in a project.
func (s *stack) grant(user, role, project string) {
	s.t.Helper()
	u, err := s.store.UserByName(s.ctx(), user)
	require.NoError(s.t, err)
	p, err := s.store.ProjectByName(s.ctx(), project)
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.AddGrant(s.ctx(), &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: role}))
}
