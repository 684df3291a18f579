package release

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// document is a full document as the existing inventory prints it.
const document = `{"api_version":15,"built_with_core_version":"0.15.7","built_with_escape_version":"0.28.1","description":"Full app",` +
	`"files":{"build.sh":"0123456789abcdef0123456789abcdef"},"license":"Apache","logo":"","name":"full","repository":"","branch":"",` +
	`"git_revision":"","revision_message":"","revision_author":"","metadata":{"author":"Alice"},"version":"1.2.0","generates":[],` +
	`"consumes":[{"name":"postgres","scopes":["build","deploy"],"variable":"pg","skip_activate":false,"skip_deactivate":false}],` +
	`"downloads":[{"url":"http://h/f","dest":"dl.txt","overwrite":false,"if_not_exists":null,"unpack":false,"platform":"","arch":"","scopes":["build","deploy"]}],` +
	`"depends":[{"release_id":"my-project/dep-v0.1.0","mapping":{},"build_mapping":{"dep_in":"$this.inputs.greeting"},"deploy_mapping":{"dep_in":"$this.inputs.greeting"},` +
	`"consumes":{},"deployment_name":"dep","variable":"dep","scopes":["build","deploy"]}],` +
	`"errands":{"backup":{"name":"backup","description":"Back it up","script":"","exec_stage":{"script":"backup.sh"},"inputs":[]}},` +
	`"extends":[{"release_id":"infra/ext-v1.0"}],` +
	`"inputs":[{"id":"greeting","type":"string","default":"hi","description":"The greeting","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]},` +
	`{"id":"tags","type":"list","default":["a","b"],"visible":true,"options":{"string":true},"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]},` +
	`{"id":"count","type":"integer","default":12345678901,"visible":true,"items":[1,2.5],"eval_before_dependencies":true,"scopes":["build","deploy"]},` +
	`{"id":"secret","type":"string","default":"x","visible":true,"sensitive":true,"items":null,"eval_before_dependencies":true,"scopes":["deploy"]}],` +
	`"outputs":[],"project":"my-project","provides":[{"name":"web"}],` +
	`"stages":{"build":{"script":"build.sh"},"destroy":{"inline":"echo x"},"pre_deploy":{"cmd":"echo","args":["pre","$this.version"]}},` +
	`"templates":[{"file":"conf.txt.tpl","target":"conf.txt","scopes":["build","deploy"],"mapping":{"name":"$this.name"}}],"variable_context":{}}`

func TestDocumentIsWrittenAsItWasRead(t *testing.T) {
	m, err := Decode([]byte(document))
	require.NoError(t, err)
	out, err := json.Marshal(m)
	require.NoError(t, err)
	require.Equal(t, document, string(out))
}

func TestMinimalDocumentIsNormalised(t *testing.T) {
	m, err := Decode([]byte(`{"name":"my-app","version":"1","unknown":true}`))
	require.NoError(t, err)
	out, err := json.Marshal(m)
	require.NoError(t, err)
	require.Equal(t, `{"api_version":15,"built_with_core_version":"0.15.7","built_with_escape_version":"","description":"","files":{},`+
		`"license":"","logo":"","name":"my-app","repository":"","branch":"","git_revision":"","revision_message":"","revision_author":"",`+
		`"metadata":{},"version":"1","generates":[],"consumes":[],"downloads":null,"depends":[],"errands":{},"extends":[],"inputs":[],`+
		`"outputs":[],"project":"_","provides":[],"stages":{},"templates":[],"variable_context":{}}`, string(out))
}

func TestNormalise(t *testing.T) {
	m, err := Decode([]byte(`{"name":"my-app","version":"1","consumes":["db",{"name":"k8s","scopes":["deploy"]}],"provides":["web"],
		"depends":["x-v1",{"release_id":"p/y:v2.0","variable":"why","scopes":["build"]}],"extends":["e-v1"],
		"inputs":[{"id":"a"},{"id":"version"},{"id":"b","visible":false,"eval_before_dependencies":false,"scopes":[]}],
		"errands":{"run":{"script":"run.sh"}},"templates":[{"file":"a.tpl"}]}`))
	require.NoError(t, err)
	require.Equal(t, []Consumer{
		{Name: "db", Scopes: []string{"build", "deploy"}, Variable: "db"},
		{Name: "k8s", Scopes: []string{"deploy"}, Variable: "k8s"}}, m.Consumes)
	require.Equal(t, []Provider{{Name: "web"}}, m.Provides)
	require.Equal(t, "_/x-v1", m.Depends[0].ReleaseID)
	require.Equal(t, "_/x", m.Depends[0].Variable)
	require.Equal(t, "_/x", m.Depends[0].DeploymentName)
	require.Equal(t, "p/y-v2.0", m.Depends[1].ReleaseID)
	require.Equal(t, "why", m.Depends[1].DeploymentName)
	require.Equal(t, []string{"build"}, m.Depends[1].Scopes)
	require.Equal(t, "_/e-v1", m.Extends[0].ReleaseID)
	require.True(t, m.Inputs[0].Visible)
	require.True(t, m.Inputs[0].EvalBeforeDependencies)
	require.Equal(t, TypeVersion, m.Inputs[1].Type)
	require.False(t, m.Inputs[2].Visible)
	require.False(t, m.Inputs[2].EvalBeforeDependencies)
	require.Equal(t, "run.sh", m.Errands["run"].ExecStage.Script)
	require.Equal(t, "run", m.Errands["run"].Name)
	require.NotNil(t, m.Templates[0].Mapping)
}

// TestRegisterMessages holds the texts that clients of the inventory know.
func TestRegisterMessages(t *testing.T) {
	for body, want := range map[string]string{
		`null`:                                          "Missing release metadata",
		`{}`:                                            "Missing name field in release metadata",
		`{"name":"my-app"}`:                             "Missing version field in release metadata",
		`{"name":"App","version":"1"}`:                  "Invalid name 'App'",
		`{"name":"a","version":"1"}`:                    "Invalid name 'a'",
		`{"name":"a/b","version":"1"}`:                  "Invalid name 'a/b'",
		`{"name":"list","version":"1"}`:                 "The name 'list' is a protected variable.",
		`{"name":"app","version":"abc"}`:                "Invalid version string 'abc'.",
		`{"name":"app","version":"v1"}`:                 "Invalid version string 'v1'.",
		`{"name":"app","version":"latest"}`:             "Can't add release with unresolved version",
		`{"name":"app","version":"1.@"}`:                "Can't add release with unresolved version",
		`{"name":"app","version":"1","api_version":99}`: "The release metadata is compiled with a version of Escape targetting API version v99, but this build supports up to v15",
		`{"name":"app","version":"1","api_version":0}`:  "The release metadata is compiled with a version of Escape targetting API version v0, but this build supports up to v15",
		`{"name":"app","version":"1","depends":[{"release_id":"bad"}]}`:                          "Invalid release format: bad.",
		`{"name":"app","version":"1","extends":[{"release_id":"bad"}]}`:                          "Invalid release format: bad.",
		`{"name":"app","version":"1","depends":[{"release_id":"x-latest"}]}`:                     "The dependency '_/x-latest' needs its version resolved.",
		`{"name":"app","version":"1","inputs":[{}]}`:                                             "Variable object is missing an 'id'",
		`{"name":"app","version":"1","outputs":[{"type":"string"}]}`:                             "Variable object is missing an 'id'",
		`{"name":"app","version":"1","inputs":[null]}`:                                           "Variable object is missing an 'id'",
		`{"name":"app","version":"1","stages":{"build":{"cmd":"a","inline":"b"}}}`:               "Found a problem in the 'build' field: More than one field is set. Expecting only one of 'cmd', 'inline' and 'script'.",
		`{"name":"app","version":"1","downloads":[{"url":"x"}]}`:                                 "Missing 'dest' in download config for 'x'",
		`{"name":"app","version":"1","downloads":[{"url":"x","dest":"../y"}]}`:                   "Invalid path '../y' in the 'downloads' field",
		`{"name":"app","version":"1","files":{"../x":"0"}}`:                                      "Invalid path '../x' in the 'files' field",
		`{"name":"app","version":"1","inputs":[{"id":"1x"}]}`:                                    "Invalid variable id '1x': expected letters, then letters, digits, '-' and '_'",
		`{"name":"app","version":"1","inputs":[{"id":"a","scopes":["x"]}]}`:                      "Unknown scope 'x' of variable 'a': expected 'build' or 'deploy'",
		`{"name":"app","version":"1","provides":[{}]}`:                                           "Missing 'name' in the 'provides' field",
		`{"name":"app","version":"1","consumes":[{}]}`:                                           "Missing 'name' in the 'consumes' field",
		`{"name":"app","version":"1","provides":["` + strings.Repeat("x", 257) + `"]}`:           "A 'name' in the 'provides' field is over the limit of 256 bytes",
		`{"name":"app","version":"1","consumes":["` + strings.Repeat("x", 257) + `"]}`:           "A 'name' in the 'consumes' field is over the limit of 256 bytes",
		`{"name":"app","version":"1","provides":["a"` + strings.Repeat(`,"a"`, 1000) + `]}`:      "The 'provides' field is over the limit of 1000 items",
		`{"name":"app","version":"1","depends":["a-v1"` + strings.Repeat(`,"a-v1"`, 1000) + `]}`: "The 'depends' field is over the limit of 1000 items",
	} {
		_, err := Decode([]byte(body))
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid, body)
		require.Equal(t, want, err.Error(), body)
	}
	for _, body := range []string{`{`, `"x"`, `[]`, `{"name":5}`, ``, `{"name":"app","version":"1","depends":[7]}`, "{\"name\":\"a\x00\"}"} {
		_, err := Decode([]byte(body))
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid, body)
		require.True(t, strings.HasPrefix(err.Error(), "Couldn't unmarshal JSON release metadata: "), err.Error())
	}
}

func TestReadIsLimited(t *testing.T) {
	_, err := Read(strings.NewReader(document), 100)
	require.EqualError(t, err, "The release metadata is over the limit of 100 bytes")
	_, err = Read(strings.NewReader(document), int64(len(document)))
	require.NoError(t, err)
}

func TestParseType(t *testing.T) {
	kind, options, err := ParseType("list[string]")
	require.NoError(t, err)
	require.Equal(t, "list", kind)
	require.Equal(t, map[string]any{"string": true}, options)
	for _, bad := range []string{"float", "list[", "list[x]", "string[string]"} {
		_, _, err := ParseType(bad)
		require.EqualError(t, err, "Unknown variable type '"+bad+"'")
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{document, `null`, `{"name":"my-app","version":"1"}`, `{"inputs":[null],"errands":{"a":null},"stages":{"b":null}}`,
		`{"name":"my-app","version":"1","depends":["x-v1"],"downloads":[{}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid)
			return
		}
		first, err := json.Marshal(m)
		require.NoError(t, err)
		again, err := Decode(first)
		require.NoError(t, err)
		second, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(first), string(second))
	})
}
