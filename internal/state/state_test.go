package state

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const file = `{"name":"local-state-project","environments":{"dev":{"name":"dev","inputs":{"k":"v"},"deployments":{` +
	`"my-project/full":{"name":"my-project/full","release":"my-project/full","stages":{` +
	`"build":{"providers":{"pg":"infra/db"},"provides":["web"],"version":"1.2.0","status":{"status":"empty","updated_at":"2026-11-22T02:50:53.37Z"},` +
	`"deployments":{"dep":{"name":"dep","release":"my-project/dep","stages":{"deploy":{"inputs":{"dep_in":"hi"},"version":"0.1.0","status":{"status":"empty","updated_at":"2026-11-22T02:50:53.37Z"}}}}}},` +
	`"deploy":{"inputs":{"greeting":"yo"},"calculated_inputs":{"METADATA_author":"Alice","count":3,"flag":true,"greeting":"yo","tags":["a","b"]},` +
	`"calculated_outputs":{"url":"http://x"},"providers":{"pg":"infra/db"},"provides":["web"],"version":"1.2.0",` +
	`"status":{"status":"ok","updated_at":"2026-11-22T02:50:53.46Z"}}}}}}}}`

func TestDocumentRoundTrip(t *testing.T) {
	p, err := DecodeProject([]byte(file))
	require.NoError(t, err)
	out, err := json.Marshal(p)
	require.NoError(t, err)
	require.Equal(t, file, string(out))
	full := p.Environments["dev"].Deployments["my-project/full"]
	require.Equal(t, "my-project/full-v1.2.0", full.ReleaseID(StageDeploy))
	require.Equal(t, OK, full.Stages[StageDeploy].CodeOf())
}

func TestEmptyReplies(t *testing.T) {
	var e Environment
	require.NoError(t, json.Unmarshal([]byte(`{"name":"dev","deployments":null}`), &e))
	require.Nil(t, e.Find([]string{"x"}, ""))
	require.Empty(t, e.Providers())
	out, err := json.Marshal(e)
	require.NoError(t, err)
	require.Equal(t, `{"name":"dev"}`, string(out))
}

func TestPutMergesNestedPaths(t *testing.T) {
	e := &Environment{Name: "dev"}
	put := func(path, stage, version string) {
		t.Helper()
		names, err := ParsePath(path)
		require.NoError(t, err)
		require.NoError(t, e.Put(names, stage, &Deployment{Release: "p/r", Stages: map[string]*Stage{StageDeploy: {Version: version}}}))
	}
	put("my-project/full:dep:sub", StageBuild, "1") // parents are made
	put("my-project/full:dep2", StageBuild, "2")
	put("my-project/full:dep", StageDeploy, "3") // the other stage of the root
	root := e.Deployments["my-project/full"]
	require.Equal(t, "1", root.Stages[StageBuild].Deployments["dep"].Stages[StageDeploy].Deployments["sub"].Stages[StageDeploy].Version)
	require.Equal(t, "2", root.Stages[StageBuild].Deployments["dep2"].Stages[StageDeploy].Version)
	require.Equal(t, "3", root.Stages[StageDeploy].Deployments["dep"].Stages[StageDeploy].Version)
	require.Equal(t, "sub", e.Find([]string{"my-project/full", "dep", "sub"}, StageBuild).Name)
	require.Nil(t, e.Find([]string{"my-project/full", "dep", "sub"}, StageDeploy))

	put("my-project/full:dep", StageBuild, "4") // replaces what is nested in it
	require.Nil(t, e.Find([]string{"my-project/full", "dep", "sub"}, StageBuild))
	put("my-project/full", "", "5")
	require.Nil(t, e.Find([]string{"my-project/full", "dep2"}, StageBuild))

	require.EqualError(t, e.Put([]string{"a", "b"}, "", &Deployment{}), "Unknown stage '': expected 'build' or 'deploy'")
	require.EqualError(t, e.Put(nil, "", &Deployment{}), "Missing deployment path")
}

func TestDecodeUpdate(t *testing.T) {
	update, names, err := DecodeUpdate([]byte(`{"path":"my-project/full:dep","root_stage":"deploy","state":{"name":"x","release":"my-project/dep","stages":{"deploy":null}}}`))
	require.NoError(t, err)
	require.Equal(t, []string{"my-project/full", "dep"}, names)
	require.Equal(t, "dep", update.State.Name)
	for body, want := range map[string]string{
		`null`:                       "Invalid JSON",
		`[]`:                         "Invalid JSON",
		`{"path":"a"}`:               "Invalid JSON",
		`{"state":{}}`:               "Missing deployment path",
		`{"path":"a:b","state":{}}`:  "Unknown stage '': expected 'build' or 'deploy'",
		`{"path":"a::b","state":{}}`: "The deployment name '' is not allowed. Expected a string matching /^[a-zA-Z_]+[a-zA-Z0-9-_/]*$/",
		`{"path":"a","state":{"stages":{"test":{}}}}`:                                                                                     "Unknown stage 'test' of the deployment 'a': expected 'build' or 'deploy'",
		`{"path":"a` + strings.Repeat(":a", 64) + `","state":{}}`:                                                                         "The deployment path is deeper than 64 deployments",
		`{"path":"a","state":{"stages":{"deploy":{"deployments":{"1":{}}}}}}`:                                                             "The deployment name '1' is not allowed. Expected a string matching /^[a-zA-Z_]+[a-zA-Z0-9-_/]*$/",
		`{"path":"a","state":` + strings.Repeat(`{"stages":{"deploy":{"deployments":{"a":`, 70) + `{}` + strings.Repeat(`}}}}`, 70) + `}`: "The deployments nest deeper than 64",
	} {
		_, _, err := DecodeUpdate([]byte(body))
		require.EqualError(t, err, want, body)
	}
}

func TestNames(t *testing.T) {
	require.NoError(t, ValidateProjectName("My-project1"))
	require.EqualError(t, ValidateProjectName("a"), "The project name 'a' is not allowed. Expected a string matching /^[a-zA-Z0-9]+[a-zA-Z0-9-_]+$/")
	require.NoError(t, ValidateEnvironmentName("d"))
	require.EqualError(t, ValidateEnvironmentName("Dev"), "The environment name 'Dev' is not allowed. Expected a string matching /^[a-z]+[a-z0-9-_]*$/")
	require.NoError(t, ValidateDeploymentName("_/app"))
	require.Error(t, ValidateDeploymentName("../app"))
	require.Error(t, ValidateDeploymentName("a\n"))
	_, err := DecodeProject([]byte(`{"name":"proj","environments":{"dev":{"name":"prod"}}}`))
	require.EqualError(t, err, "The environment 'prod' stands under the name 'dev'")
	_, err = DecodeProject([]byte(`{"name":"proj","environments":{"dev":{"deployments":{"a":{"name":"b"}}}}}`))
	require.EqualError(t, err, "The deployment 'b' stands under the name 'a'")
}

func TestSummaryHasNoValues(t *testing.T) {
	p, err := DecodeProject([]byte(file))
	require.NoError(t, err)
	p.Environments["dev"].Deployments["my-project/full"].Stages[StageDeploy].Status.Data = "secret text"
	out, err := json.Marshal(p.Summarize())
	require.NoError(t, err)
	require.Equal(t, `{"name":"local-state-project","environments":{"dev":{"name":"dev","deployments":{"my-project/full":{"name":"my-project/full","release":"my-project/full","stages":{`+
		`"build":{"version":"1.2.0","status":{"status":"empty","updated_at":"2026-11-22T02:50:53.37Z"}},`+
		`"deploy":{"version":"1.2.0","status":{"status":"ok","updated_at":"2026-11-22T02:50:53.46Z"}}}}}}}}`, string(out))
}

func TestProviders(t *testing.T) {
	e := &Environment{Deployments: map[string]*Deployment{
		"infra/db":  {Stages: map[string]*Stage{StageDeploy: {Version: "1", Provides: []string{"postgres", "sql"}}}},
		"infra/db2": {Stages: map[string]*Stage{StageDeploy: {Version: "1", Provides: []string{"postgres"}, Status: &Status{Code: Failure}}}},
		"infra/b":   {Stages: map[string]*Stage{StageBuild: {Version: "1", Provides: []string{"postgres"}}}},
	}}
	require.Equal(t, map[string][]string{"postgres": {"infra/db", "infra/db2"}, "sql": {"infra/db"}}, e.Providers())
	require.Equal(t, map[string][]string{"postgres": {"infra/db"}, "sql": {"infra/db"}}, e.ReadyProviders())
}

func FuzzDecodeUpdate(f *testing.F) {
	f.Add([]byte(`{"path":"a:b","root_stage":"deploy","state":{"stages":{"deploy":{"deployments":{"x":null}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		update, names, err := DecodeUpdate(data)
		if err != nil {
			return
		}
		e := &Environment{Name: "dev"}
		require.NoError(t, e.Put(names, update.RootStage, update.State))
		require.Same(t, update.State, e.Find(names, update.RootStage))
		_, err = json.Marshal(e)
		require.NoError(t, err)
		e.Summarize()
		e.Providers()
	})
}
