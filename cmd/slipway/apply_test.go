package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"slipway/internal/client"
	"slipway/models"
)

const definition = `project: shop
description: Sells things
namespaces: [shop]
environments:
- name: dev
  inputs: {language: en, port: 80}
  builds:
  - name: web
    repo: https://git.example.com/web.git
    branch: main
    private_key_file: key
    steps:
    - plan_location: escape.yml
      run_build: true
      push_release: true
      variables: {flavour: ""}
  jobs:
  - name: web
    release: shop/web
    inputs: {size: 2}
- name: prod
pipelines:
- name: ship
  phases:
  - name: build
    steps:
    - {type: build, environment: dev, build: web}
  - name: deploy
    run_always: true
    steps:
    - {type: deploy, environment: dev, deployment: web, update_version: last-version-in-pipeline, time_limit: 10m}
  triggers:
  - {type: webhook}
schedules:
- {name: nightly, pipeline: ship, cron: ["30 2 * * *"]}
`

// A definition is applied as often as one likes: it adds, changes what differs, and leaves alone what it does not name.
func TestApply(t *testing.T) {
	a, handler := apiOnly(t, "token")
	server := httptest.NewServer(handler)
	defer server.Close()
	u := &models.User{Name: "ann"}
	require.NoError(t, a.Store.CreateUser(t.Context(), u))
	token, err := a.Store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID})
	require.NoError(t, err)
	c := newCLI(t)
	t.Setenv(urlVariable, server.URL)
	t.Setenv(tokenVariable, token)
	api, err := client.New(server.URL, token, nil)
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "slipway.yaml")
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), pem.EncodeToMemory(key), 0o600))
	write := func(text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	differences := func(args ...string) string {
		return strings.Join(regexp.MustCompile(`(?m)^.*: (?:would be )?(?:added|changed).*$`).FindAllString(c.run(append([]string{"apply", file}, args...)...), -1), "\n")
	}

	write(definition)
	require.Equal(t, 8, strings.Count(differences("--dry-run"), ": would be added"))
	_, err = api.Deployed(t.Context(), "shop")
	require.Error(t, err, "nothing was written")
	require.Equal(t, `project shop: added
namespace shop: added
environment dev: added
build web in dev: added
job web in dev: added
environment prod: added
pipeline ship: added
schedule nightly: added
`, c.run("apply", file))

	// What the API does not show is written again; nothing else is.
	require.Equal(t, "build web in dev: changed (private_key)", differences())
	text := strings.Replace(definition, "    private_key_file: key\n", "", 1)
	write(text)
	require.Empty(t, differences())
	require.Contains(t, c.run("apply", file, "-o", "json"), `"action": "unchanged"`)
	// A repository beside the file is one on this machine.
	local := strings.Replace(text, "repo: https://git.example.com/web.git", "repo: ../web", 1)
	write(local)
	require.Equal(t, "build web in dev: would be changed (repo)", differences("--dry-run"))
	d, err := readDefinition(nil, file)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(filepath.Dir(dir), "web"), d.Environments[0].Builds[0]["repo"])
	write(text)

	before, err := api.Pipeline(t.Context(), "shop", "ship")
	require.NoError(t, err)

	write(strings.NewReplacer("port: 80", "port: null", "size: 2", "size: 3", "run_build: true", "run_build: false", "10m", "20m", "30 2", "40 2", "Sells", "Rents").Replace(text))
	const changes = `project shop: changed (description)
environment dev: changed (inputs)
build web in dev: changed (steps)
job web in dev: changed (inputs)
pipeline ship: changed (phases)
schedule nightly: changed (cron)`
	require.Equal(t, strings.ReplaceAll(changes, ": changed", ": would be changed"), differences("--dry-run"))
	require.Equal(t, changes, differences())
	require.Empty(t, differences())
	dev, err := api.Environment(t.Context(), "shop", "dev")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"language": "en"}, dev.Inputs, "null takes an input away")
	after, err := api.Pipeline(t.Context(), "shop", "ship")
	require.NoError(t, err)
	trigger := regexp.MustCompile(`"triggers":.*?\]`)
	require.NotEmpty(t, trigger.FindString(string(before.JSON)))
	require.Equal(t, trigger.FindString(string(before.JSON)), trigger.FindString(string(after.JSON)), "a webhook keeps its address")

	// What somebody has set besides stays, unless it stands in a list that the file has.
	require.NoError(t, api.UpdateEnvironment(t.Context(), "shop", client.Environment{Name: "dev", Inputs: map[string]any{"language": "en", "secret": "x"}}))
	write(strings.NewReplacer("port: 80", "port: 81", "      push_release: true\n", "").Replace(text))
	differences()
	dev, err = api.Environment(t.Context(), "shop", "dev")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"language": "en", "secret": "x", "port": 81.0}, dev.Inputs)
	builds, err := api.Builds(t.Context(), "shop")
	require.NoError(t, err)
	require.False(t, builds.Value["shop"]["dev"]["web"].Steps[0].PushRelease)

	for says, bad := range map[string]string{
		"build 'web' in environment 'dev': invalid input: brunch: this member is not known": strings.Replace(text, "branch: main", "brunch: main", 1),
		"line 2: 'descripton' is not known there":                                           strings.Replace(text, "description", "descripton", 1),
		"the definition does not name its project":                                          strings.Replace(text, "project: shop", "description: x", 1)[len("description: x\n"):],
		"the pipeline 'ship' is there twice":                                                strings.Replace(text, "pipelines:\n", "pipelines:\n- name: ship\n", 1),
		"a job of environment 'dev' has no name":                                            strings.Replace(text, "  - name: web\n    release", "  - release", 1),
		"job 'web': version 1.1 is a number to YAML":                                        strings.Replace(text, "release: shop/web", "release: shop/web\n    version: 1.10", 1),
		"build 'web': read the private key: open ":                                          strings.Replace(definition, "file: key", "file: none", 1),
		"make a file of each project":                                                       text + "---\nproject: other\n",
		"the definition is empty":                                                           "",
	} {
		write(bad)
		c.fails(exitFailed, says, "apply", file)
	}
	c.fails(exitFailed, "no such file", "apply", filepath.Join(dir, "none.yaml"))
}
