package examples

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// scripts runs the sample's scripts as the engine does: in the application's folder, with INPUT_ and OUTPUT_ variables and
// the outputs file as the argument.
type scripts struct {
	t       *testing.T
	dir     string
	env     map[string]string
	outputs map[string]string
}

func (s *scripts) run(name string) (string, error) {
	s.t.Helper()
	file := filepath.Join(s.dir, ".escape", "outputs.json")
	require.NoError(s.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(s.t, os.WriteFile(file, []byte("{}"), 0o644))
	cmd := exec.Command("sh", "-c", "./"+name+" .escape/outputs.json")
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	for key, value := range s.env {
		cmd.Env = append(cmd.Env, "INPUT_"+key+"="+value)
	}
	for key, value := range s.outputs {
		cmd.Env = append(cmd.Env, "OUTPUT_"+key+"="+value)
	}
	text, err := cmd.CombinedOutput()
	content, readErr := os.ReadFile(file)
	require.NoError(s.t, readErr)
	require.NoError(s.t, json.Unmarshal(content, &s.outputs))
	return string(text), err
}

func (s *scripts) ok(name string) {
	s.t.Helper()
	text, err := s.run(name)
	require.NoError(s.t, err, text)
}

func newScripts(t *testing.T, application, runDir string) *scripts {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, Write(Shop(), dir))
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	return &scripts{t: t, dir: filepath.Join(dir, application), outputs: map[string]string{}, env: map[string]string{
		"language": "de", "run_dir": runDir, "version": "0.1.7", "environment": "dev", "deployment": "demo/" + application,
		"go_cache": strings.TrimSpace(string(cache)),
	}}
}

func TestGreeterScripts(t *testing.T) {
	runDir := filepath.Join(t.TempDir(), "run")
	s := newScripts(t, "greeter", runDir)
	s.ok("build.sh")
	s.ok("test.sh")
	s.ok("deploy.sh")
	require.Equal(t, "Willkommen im Laden", s.outputs["greeting"])
	s.ok("smoke.sh")

	require.NoError(t, os.WriteFile(s.outputs["file"], []byte("something else\n"), 0o644))
	text, err := s.run("smoke.sh")
	require.Error(t, err)
	require.Contains(t, text, "something else")

	s.ok("destroy.sh")
	require.NoDirExists(t, runDir)

	s.env["language"] = `.*"); system("false`
	_, err = s.run("deploy.sh")
	require.Error(t, err, "a language without a greeting")
	require.NoDirExists(t, runDir)
}

func TestGreeterTestFindsAMissingLanguage(t *testing.T) {
	s := newScripts(t, "greeter", t.TempDir())
	require.NoError(t, os.Remove(filepath.Join(s.dir, "languages", "fr.txt")))
	s.ok("build.sh")
	text, err := s.run("test.sh")
	require.Error(t, err)
	require.Contains(t, text, "no greeting for fr")
}

func TestStorefrontScripts(t *testing.T) {
	runDir := filepath.Join(t.TempDir(), "run")
	s := newScripts(t, "storefront", runDir)
	s.env["greeting"] = `Hello $(id) "there"`
	s.ok("build.sh")
	s.ok("test.sh")

	s.ok("deploy.sh")
	t.Cleanup(func() { _, _ = s.run("destroy.sh") })
	first := s.outputs["url"]
	require.Equal(t, 200, status(t, first))
	s.ok("smoke.sh")
	s.env["version"] = "0.1.8"
	text, err := s.run("smoke.sh")
	require.Error(t, err)
	require.Contains(t, text, "version 0.1.7 answers, not 0.1.8")

	// The next version takes over.
	s.ok("build.sh")
	s.ok("deploy.sh")
	require.NotEqual(t, first, s.outputs["url"])
	require.Zero(t, status(t, first), "the one before is stopped")
	s.ok("smoke.sh")

	// A version that does not start leaves the running one alone.
	working := s.outputs["url"]
	binary := filepath.Join(s.dir, "bin", "storefront")
	good, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\necho no shop today\nexit 1\n"), 0o755))
	text, err = s.run("deploy.sh")
	require.Error(t, err)
	require.Contains(t, text, "no shop today")
	require.Equal(t, 200, status(t, working))
	require.NoError(t, os.WriteFile(binary, good, 0o755))

	s.ok("destroy.sh")
	require.Zero(t, status(t, working))
	require.NoDirExists(t, runDir)
	s.ok("destroy.sh") // again does nothing
}

// status is that of a GET, or 0 when nobody answers.
func status(t *testing.T, url string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestPlansAreComplete(t *testing.T) {
	for _, application := range []string{"greeter", "storefront"} {
		dir := filepath.Join("shop", application)
		content, err := os.ReadFile(filepath.Join(dir, "escape.yml"))
		require.NoError(t, err)
		var plan map[string]any
		require.NoError(t, yaml.Unmarshal(content, &plan))
		require.Equal(t, "demo/"+application, plan["name"])
		for _, step := range []string{"build", "test", "deploy", "smoke", "destroy"} {
			info, err := os.Stat(filepath.Join(dir, plan[step].(string)))
			require.NoError(t, err)
			require.NotZero(t, info.Mode()&0o111, "%s is executable", info.Name())
		}
		// What scripts read must be in the package.
		includes := []string{}
		for _, glob := range plan["includes"].([]any) {
			includes = append(includes, glob.(string))
		}
		read, err := filepath.Glob(filepath.Join(dir, "*.sh"))
		require.NoError(t, err)
		for _, file := range read {
			info, err := os.Stat(file)
			require.NoError(t, err)
			if info.Mode()&0o111 == 0 {
				require.Contains(t, includes, filepath.Base(file))
			}
		}
	}
}
