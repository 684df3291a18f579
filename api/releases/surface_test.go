package releases_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api/releases"
)

// full is a release with something in every member, as the client sends it, and as it comes back.
const full = `{"api_version":15,"built_with_core_version":"0.15.7","built_with_escape_version":"0.28.1","description":"Full app","files":{"build.sh":"d41d8cd98f00b204e9800998ecf8427e"},"license":"Apache","logo":"","name":"full","repository":"","branch":"","git_revision":"","revision_message":"","revision_author":"","metadata":{"author":"Alice"},"version":"1.2.0","generates":[],"consumes":[{"name":"postgres","scopes":["build","deploy"],"variable":"pg","skip_activate":false,"skip_deactivate":false}],"downloads":[{"url":"http://h/f","dest":"dl.txt","overwrite":false,"if_not_exists":null,"unpack":false,"platform":"","arch":"","scopes":["build","deploy"]}],"depends":[{"release_id":"my-project/dep-v0.1.0","mapping":{},"build_mapping":{"dep_in":"$this.inputs.greeting"},"deploy_mapping":{"dep_in":"$this.inputs.greeting"},"consumes":{},"deployment_name":"dep","variable":"dep","scopes":["build","deploy"]}],"errands":{"backup":{"name":"backup","description":"Back it up","script":"","exec_stage":{"script":"backup.sh"},"inputs":[]}},"extends":[{"release_id":"infra/ext-v1.0"}],"inputs":[{"id":"greeting","type":"string","default":"hi","description":"The greeting","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]},{"id":"tags","type":"list","default":["a","b"],"visible":true,"options":{"string":true},"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]}],"outputs":[],"project":"my-project","provides":[{"name":"web"}],"stages":{"build":{"script":"build.sh"},"destroy":{"inline":"echo x"},"pre_deploy":{"cmd":"echo","args":["pre","$this.version"]}},"templates":[{"file":"conf.txt.tpl","target":"conf.txt","scopes":["build","deploy"],"mapping":{"name":"$this.name"}}],"variable_context":{}}`

// minimal is what {"name":"my-app","version":"1"} becomes.
const minimal = `{"api_version":15,"built_with_core_version":"0.15.7","built_with_escape_version":"","description":"","files":{},"license":"","logo":"","name":"my-app","repository":"","branch":"","git_revision":"","revision_message":"","revision_author":"","metadata":{},"version":"1","generates":[],"consumes":[],"downloads":null,"depends":[],"errands":{},"extends":[],"inputs":[],"outputs":[],"project":"_","provides":[],"stages":{},"templates":[],"variable_context":{}}`

// check compares status, content type and body to the byte. An empty body has no content type.
func check(t *testing.T, a answer, status int, contentType, body string) {
	t.Helper()
	require.Equal(t, body, a.body)
	require.Equal(t, status, a.status)
	require.Equal(t, contentType, a.header.Get("Content-Type"))
}

const (
	jsonType = "application/json"
	textType = "text/plain; charset=utf-8"
)

func TestAnswersToTheByte(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		check(t, s.get("/"), 200, textType, "Slipway Release Inventory v1.2.3")
		check(t, s.get("/health"), 200, textType, "1.2.3")
		check(t, s.get(inv+"/"), 200, jsonType, "{}\n")

		a := s.do(http.MethodPost, inv+"/my-project/register", "", full)
		check(t, a, 200, "", "")
		s.register("my-project", `{"name":"my-app","version":"1"}`)
		check(t, s.get(inv+"/my-project/units/full/versions/v1.2.0/"), 200, jsonType, full+"\n")
		check(t, s.get(inv+"/my-project/units/my-app/versions/v1/"), 200, jsonType, minimal+"\n")

		const namespace = `{"name":"my-project","description":"","org_url":"","logo":"","permission":"admin","is_public":false`
		check(t, s.get(inv+"/"), 200, jsonType, `{"my-project":`+namespace+"}}\n")
		check(t, s.get("/api/v1/internal/get_namespaces_for_project?namespace=my-project"), 200, jsonType, `{"my-project":`+namespace+"}}\n")
		check(t, s.get("/api/v1/internal/get_namespaces_for_project?namespace=other"), 200, jsonType, "{}\n")

		unit := s.get(inv + "/my-project/units/full/")
		at := decode[struct {
			UploadedAt string `json:"uploaded_at"`
		}](t, unit.body).UploadedAt
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, at)
		application := `{"name":"full","project":"my-project","description":"Full app","latest_version":"1.2.0","logo":"","uploaded_by":"","uploaded_at":"` + at + `","hooks":null`
		check(t, unit, 200, jsonType, application+`,"versions":["1.2.0"]}`+"\n")
		units := s.get(inv + "/my-project/units/")
		require.Contains(t, units.body, `{"full":`+application+`},"my-app":{"name":"my-app","project":"my-project",`)
		require.Contains(t, s.get(inv+"/my-project/").body, namespace+`,"units":{"full":`+application+`},"my-app":`)
		check(t, s.get(inv+"/my-project/units/full/versions/"), 200, jsonType, `["1.2.0"]`+"\n")
		check(t, s.get(inv+"/my-project/units/full/versions/v1.2.0/?full=true"), 200, jsonType,
			`{"release":`+full+`,"versions":["1.2.0"],"is_latest":true,"downloads":0,"uploaded_by":"","uploaded_at":"`+at+`"}`+"\n")

		check(t, s.get(inv+"/my-project/units/full/versions/1.2.0/downstream"), 200, jsonType, "[]\n")
		s.register("my-project", `{"name":"dep","version":"0.1.0"}`)
		check(t, s.get(inv+"/my-project/units/dep/versions/latest/downstream"), 200, jsonType,
			`[{"project":"my-project","name":"full","version":"1.2.0","build":true,"deploy":true,"is_extension":false}]`+"\n")
		check(t, s.get(inv+"/my-project/units/full/versions/v1.2.0/dependency-graph"), 200, jsonType,
			`{"nodes":[{"id":"mainmy-project/full-v1.2.0","label":"my-project/full-v1.2.0","type":"main"},`+
				`{"id":"consumerpostgres","label":"postgres","type":"consumer"},{"id":"providerweb","label":"web","type":"provider"},`+
				`{"id":"upstreammy-project/dep-v0.1.0","label":"my-project/dep-v0.1.0","type":"upstream"},`+
				`{"id":"extensioninfra/ext-v1.0","label":"infra/ext-v1.0","type":"extension"}],`+
				`"edges":[{"from":"consumerpostgres","to":"mainmy-project/full-v1.2.0","type":"consumes"},`+
				`{"from":"mainmy-project/full-v1.2.0","to":"providerweb","type":"provides"},`+
				`{"from":"mainmy-project/full-v1.2.0","to":"upstreammy-project/dep-v0.1.0","type":"upstream"},`+
				`{"from":"mainmy-project/full-v1.2.0","to":"extensioninfra/ext-v1.0","type":"extends"}]}`+"\n")
		check(t, s.get(inv+"/__providers?name=web"), 200, jsonType,
			`{"my-project/full-v1.2.0":{"application":"full","project":"my-project","version":"1.2.0","description":"Full app"}}`+"\n")
		check(t, s.get(inv+"/__providers?name=nothing"), 200, jsonType, "{}\n")

		s.register("my-project", `{"name":"my-app","version":"2","description":"new","provides":["x"],"metadata":{"k":"v"}}`)
		check(t, s.get(inv+"/my-project/units/my-app/versions/v2/previous/"), 200, jsonType, minimal+"\n")
		check(t, s.get(inv+"/my-project/units/my-app/versions/v1/diff/v1/"), 200, jsonType, "{}\n")
		check(t, s.get(inv+"/my-project/units/my-app/versions/v2/diff/"), 200, jsonType,
			`{"Description":{"change":[{"Path":["Description"],"PreviousValue":"","NewValue":"new","Added":false,"Removed":false}]},`+
				`"Metadata":{"add":[{"Path":["Metadata"],"PreviousValue":null,"NewValue":"k","Added":true,"Removed":false}]},`+
				`"Provides":{"add":[{"Path":["Provides"],"PreviousValue":null,"NewValue":"x","Added":true,"Removed":false}]},`+
				`"Version":{"change":[{"Path":["Version"],"PreviousValue":"1","NewValue":"2","Added":false,"Removed":false}]}}`+"\n")
		// The one in the path is the new side.
		require.Contains(t, s.get(inv+"/my-project/units/my-app/versions/v1/diff/v2/").body,
			`"Version":{"change":[{"Path":["Version"],"PreviousValue":"2","NewValue":"1"`)

		check(t, s.do(http.MethodPut, inv+"/my-project/", "", `{"name":"my-project","description":"d","org_url":"u","logo":"l","is_public":true}`), 201, "", "")
		check(t, s.get(inv+"/"), 200, jsonType,
			`{"my-project":{"name":"my-project","description":"d","org_url":"u","logo":"l","permission":"admin","is_public":true}}`+"\n")
		check(t, s.do(http.MethodPut, inv+"/my-project/", "", `{"name":"my-project"}`), 201, "", "")
		check(t, s.get(inv+"/"), 200, jsonType, `{"my-project":`+namespace+"}}\n")

		check(t, s.do(http.MethodPost, inv+"/whatever/add-namespace", "", `{"name":"one"}`), 200, "", "")
		check(t, s.do(http.MethodPost, "/api/v1/internal/add-namespace", "", `{"name":"two","description":"2"}`), 200, "", "")
		check(t, s.get(inv+"/two/"), 200, jsonType,
			`{"name":"two","description":"2","org_url":"","logo":"","permission":"admin","is_public":false,"units":{}}`+"\n")
		check(t, s.get(inv+"/two/units/"), 200, jsonType, "{}\n")
		check(t, s.get(inv+"/whatever/"), 404, "", "")

		check(t, s.do(http.MethodDelete, inv+"/my-project/hard-delete", "", ""), 200, "", "")
		check(t, s.get(inv+"/my-project/"), 404, "", "")
		check(t, s.get(inv+"/__providers?name=web"), 200, jsonType, "{}\n")
		check(t, s.do(http.MethodDelete, inv+"/my-project/hard-delete", "", ""), 404, "", "")
	})
}

// What is not there, is taken, or is not understood.
func TestRefusalsToTheByte(t *testing.T) { onBothDatabases(t, testRefusalsToTheByte) }

func testRefusalsToTheByte(t *testing.T, database string) {
	s := newServer(t, options{database: database})
	s.register("ns", `{"name":"app","version":"0.0.1"}`)
	const page = "404 page not found\n"
	unit := inv + "/ns/units/app"
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		// Slashes at the end are exact.
		{"GET", inv, "", 404, page},
		{"GET", inv + "/ns", "", 404, page},
		{"GET", inv + "/ns/units", "", 404, page},
		{"GET", unit, "", 404, page},
		{"GET", unit + "/versions/v0.0.1", "", 404, page},
		{"GET", unit + "/versions/v0.0.1/downstream/", "", 404, page},
		{"GET", unit + "/versions/v0.0.1/dependency-graph/", "", 404, page},
		{"GET", unit + "/versions/v0.0.1/download/", "", 404, page},
		{"GET", unit + "/versions/v0.0.1/previous", "", 404, page},
		{"GET", unit + "/versions/v0.0.1/diff", "", 404, page},
		{"GET", unit + "/next-version/", "", 404, page},
		{"POST", inv + "/ns/register/", `{"name":"app","version":"9"}`, 404, page},
		{"DELETE", inv + "/ns/hard-delete/", "", 404, page},
		// Methods are, too.
		{"HEAD", inv + "/ns/register", "", 404, ""},
		{"OPTIONS", inv + "/", "", 404, page},
		{"GET", inv + "/ns/register", "", 404, page},
		{"DELETE", inv + "/ns/", "", 404, page},
		{"GET", inv + "/search", "", 404, page},
		{"GET", "/nothing/here", "", 404, page},
		{"DELETE", "/api/v1/internal/database", "", 404, page},

		{"GET", inv + "/other/", "", 404, ""},
		{"GET", inv + "/other/units/", "", 404, ""},
		{"GET", inv + "/__providers/", "", 404, page}, // no namespace can have this name
		{"GET", inv + "/ns/units/other/", "", 404, ""},
		{"GET", inv + "/ns/units/other/versions/", "", 404, ""},
		{"GET", unit + "/versions/v9/", "", 404, ""},
		{"GET", unit + "/versions/nothing/", "", 404, ""},
		{"GET", unit + "/versions/v0.0.1/previous/", "", 404, ""},
		{"GET", unit + "/versions/v0.0.1/diff/", "", 404, ""},
		{"GET", unit + "/versions/v0.0.1/diff/v9/", "", 404, ""},
		{"GET", unit + "/versions/v0.0.1/download", "", 404, ""},
		{"GET", unit + "/versions/v9/downstream", "", 404, ""},
		{"GET", inv + "/other/hooks/", "", 404, ""},
		{"GET", inv + "/ns/units/other/hooks/", "", 404, ""},
		{"PUT", inv + "/other/hooks/", "{}", 404, ""},
		{"PUT", inv + "/ns/units/other/hooks/", "{}", 404, ""},
		{"PUT", inv + "/other/", `{"name":"other"}`, 404, ""},

		{"PUT", inv + "/ns/", `{"name":"other"}`, 400, "Namespace 'name' field doesn't correspond with URL"},
		{"PUT", inv + "/ns/", `null`, 400, "Namespace 'name' field doesn't correspond with URL"},
		{"PUT", inv + "/ns/", `{`, 400, "Invalid JSON"},
		{"PUT", inv + "/ns/", ``, 400, "Invalid JSON"},
		{"PUT", inv + "/ns/", `{"name":5}`, 400, "Invalid JSON"},
		{"PUT", inv + "/ns/", `[]`, 400, "Invalid JSON"},
		{"PUT", inv + "/ns/", `{"name":"ns","description":"\u0000"}`, 400, "Invalid JSON"},
		{"PUT", inv + "/ns/", "{\"name\":\"ns\",\"description\":\"\xff\"}", 400, "Invalid JSON"},
		{"POST", inv + "/ns/add-namespace", `{}`, 400, "Missing name"},
		{"POST", inv + "/ns/add-namespace", `{"name":"X"}`, 400, "Invalid name 'X'"},
		{"POST", inv + "/ns/add-namespace", `{"name":"string"}`, 400, "The name 'string' is a protected variable."},
		{"POST", inv + "/ns/add-namespace", `{"name":"__providers"}`, 400, "Invalid name '__providers'"},
		{"POST", inv + "/ns/add-namespace", `nope`, 400, "Invalid JSON"},
		{"POST", inv + "/x/add-namespace", `{"name":"ns"}`, 409, "Resource already exists"},
		{"POST", "/api/v1/internal/add-namespace", `{"name":"ns"}`, 409, "Resource already exists"},
		{"POST", "/api/v1/internal/add-namespace", `{"name":"fresh","project":"none"}`, 400, "There is no project 'none'"},

		{"PUT", inv + "/ns/hooks/", `{"bad":{}}`, 400, "Unknown hook type 'bad'"},
		{"PUT", inv + "/ns/hooks/", `{"build":{"url":"u"}}`, 400, "Unknown hook type 'build'"},
		{"PUT", inv + "/ns/hooks/", `{"slack":{"bad":"x"}}`, 400, "Unknown  hook configuration key 'bad'"},
		{"PUT", inv + "/ns/hooks/", `{"events":{"bad":"x"}}`, 400, "Unknown events hook configuration key 'bad'"},
		{"PUT", unit + "/hooks/", `{"build":{"bad":"x"}}`, 400, "Unknown build hook configuration key 'bad'"},
		{"PUT", unit + "/hooks/", `[1]`, 400, "Invalid JSON"},

		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1","tag":"v1"}`, 400, "The tag 'v1' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1","tag":"1.0"}`, 400, "The tag '1.0' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1","tag":"v0.1.@"}`, 400, "The tag 'v0.1.@' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1","tag":"0"}`, 400, "The tag '0' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1","tag":"latest"}`, 400, "The tag 'latest' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1","tag":"@"}`, 400, "The tag '@' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1","tag":"v@"}`, 400, "The tag 'v@' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v0.0.1"}`, 400, "The tag '' is invalid/not supported."},
		{"POST", unit + "/tags/", `{"tag":"ci"}`, 400, "Invalid release format: ''."},
		{"POST", unit + "/tags/", `{"release_id":"x/app-v0.0.1","tag":"ci"}`, 400, "Mismatch between namespace from URL and namespace from release_id."},
		{"POST", unit + "/tags/", `{"release_id":"ns/x-v0.0.1","tag":"ci"}`, 400, "Mismatch between application from URL and application from release_id."},
		{"POST", unit + "/tags/", `{"release_id":"ns/app-v9","tag":"ci"}`, 404, ""},
		{"POST", unit + "/tags/", `{"release_id":"ns/app:none","tag":"ci"}`, 404, ""},
		{"POST", unit + "/tags/", ``, 400, "Invalid JSON"},
		{"POST", inv + "/search", `{"page_size":1000}`, 400, "The field 'page_size' must be from 1 to 200"},
		{"POST", inv + "/search", `nope`, 400, "Invalid JSON"},
	} {
		t.Run(c.method+" "+c.path+" "+c.body, func(t *testing.T) {
			a := s.do(c.method, c.path, "", c.body)
			require.Equal(t, c.answer, a.body)
			require.Equal(t, c.status, a.status)
			if c.answer == "" && c.method != "HEAD" {
				require.Empty(t, a.header.Get("Content-Type"))
			} else {
				require.Equal(t, textType, a.header.Get("Content-Type"))
			}
		})
	}
}

func TestRegisterRefusals(t *testing.T) { onBothDatabases(t, testRegisterRefusals) }

func testRegisterRefusals(t *testing.T, database string) {
	s := newServer(t, options{database: database})
	s.register("ns", `{"name":"app","version":"0.0.1"}`)
	for _, c := range []struct{ body, answer string }{
		{`{"name":`, "Couldn't unmarshal JSON release metadata: unexpected end of JSON input"},
		{``, "Couldn't unmarshal JSON release metadata: unexpected end of JSON input"},
		{`null`, "Missing release metadata"},
		{`{}`, "Missing name field in release metadata"},
		{`{"name":"app"}`, "Missing version field in release metadata"},
		{`{"name":"App","version":"1"}`, "Invalid name 'App'"},
		{`{"name":"a","version":"1"}`, "Invalid name 'a'"},
		{`{"name":"string","version":"1"}`, "The name 'string' is a protected variable."},
		{`{"name":"app","version":"abc"}`, "Invalid version string 'abc'."},
		{`{"name":"app","version":"v1"}`, "Invalid version string 'v1'."},
		{`{"name":"app","version":"latest"}`, "Can't add release with unresolved version"},
		{`{"name":"app","version":"1.@"}`, "Can't add release with unresolved version"},
		{`{"name":"app","version":"0.0.1"}`, "Release app-v0.0.1 already exists"},
		{`{"name":"app","version":"1","api_version":99}`, "The release metadata is compiled with a version of Escape targetting API version v99, but this build supports up to v15"},
		{`{"name":"app","version":"1","api_version":0}`, "The release metadata is compiled with a version of Escape targetting API version v0, but this build supports up to v15"},
		{`{"name":"app","version":"1","depends":[{"release_id":"bad"}]}`, "Invalid release format: bad."},
		{`{"name":"app","version":"1","depends":[{"release_id":"x-latest"}]}`, "The dependency '_/x-latest' needs its version resolved."},
		{`{"name":"app","version":"1","extends":[{"release_id":"bad"}]}`, "Invalid release format: bad."},
		{`{"name":"app","version":"1","inputs":[{}]}`, "Variable object is missing an 'id'"},
		{`{"name":"app","version":"1","downloads":[{"url":"x"}]}`, "Missing 'dest' in download config for 'x'"},
		{`{"name":"app","version":"1","description":"\u0000"}`, "Couldn't unmarshal JSON release metadata: a string holds a NUL character"},
		{`{"name":"app","version":"1","inputs":[{"id":"x","default":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]}`,
			"Couldn't unmarshal JSON release metadata: nested deeper than 64 levels"},
	} {
		t.Run(c.body, func(t *testing.T) {
			check(t, s.do(http.MethodPost, inv+"/ns/register", "", c.body), 400, textType, c.answer)
		})
	}
	a := s.do(http.MethodPost, inv+"/ns/register", "", `{"name":"app","version":"1","stages":{"build":{"script":"a","inline":"b"}}}`)
	require.Equal(t, 400, a.status)
	require.True(t, strings.HasPrefix(a.body, "Found a problem in the 'build' field: More than one field is set. "), a.body)
	check(t, s.do(http.MethodPost, inv+"/Bad/register", "", `{"name":"app","version":"1"}`), 400, textType, "Invalid name 'Bad'")
	// A refused registration leaves nothing, not even its namespace (the original kept such releases).
	check(t, s.do(http.MethodPost, inv+"/fresh/register", "", `{"name":"app","version":"1","extends":["bad"]}`), 400, textType, "Invalid release format: bad.")
	check(t, s.get(inv+"/fresh/"), 404, "", "")
	check(t, s.get(inv+"/ns/units/app/versions/"), 200, jsonType, `["0.0.1"]`+"\n")
	// Any content type will do.
	require.Equal(t, 200, s.do(http.MethodPost, inv+"/ns/register", "", `{"name":"app","version":"1"}`, "Content-Type", "text/plain").status)
}

// The longest and the most that a release may name can be stored, on both databases: what their indexes cannot hold is
// refused before.
func TestTheLongestNames(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		// Nothing that compresses: PostgreSQL measures what an index holds after that.
		text := func(n int) string { return hex.EncodeToString(noise(n))[:n] }
		name := "a" + text(127)
		var provides, depends []string
		for i := range 1000 {
			provides = append(provides, fmt.Sprintf("%04d", i)+text(252))
			depends = append(depends, fmt.Sprintf("%s/%04d%s-v1", text(480), i, text(490)))
		}
		document, err := json.Marshal(map[string]any{"name": name, "version": "1" + strings.Repeat(".1", 63), "description": text(1 << 20), "provides": provides, "depends": depends,
			"metadata": map[string]string{text(5000): text(5000)}})
		require.NoError(t, err)
		a := s.do(http.MethodPost, inv+"/"+name+"/register", "", string(document))
		check(t, a, 200, "", "")
		require.Contains(t, s.get(inv+"/__providers?name="+provides[999]).body, name+"/"+name+"-v1.1")
		check(t, s.do(http.MethodPost, inv+"/"+name+"/units/"+name+"/tags/", "", `{"release_id":"`+name+"/"+name+`-latest","tag":"`+"t"+text(63)+`"}`), 200, "", "")
		check(t, s.do(http.MethodPost, inv+"/ns/register", "", `{"name":"app","version":"1","provides":["`+text(257)+`"]}`), 400, textType, "A 'name' in the 'provides' field is over the limit of 256 bytes")
	})
}

func TestDoubledSlashesLeadToTheCleanPath(t *testing.T) {
	s := newServer(t, options{})
	for _, c := range []struct{ method, path, location string }{
		{"GET", inv + "//", inv + "/"},
		{"GET", inv + "//ns/", inv + "/ns/"},
		{"GET", inv + "/ns//units/app/versions/?full=1", inv + "/ns/units/app/versions/?full=1"},
		{"POST", inv + "/ns//register", inv + "/ns/register"},
		{"GET", inv + "/ns/units//versions/", inv + "/ns/units/versions/"},
		{"GET", inv + "/ns/../other/", inv + "/other/"},
		{"GET", inv + "///evil.example.com/", inv + "/evil.example.com/"},
	} {
		a := s.do(c.method, c.path, "", "")
		require.Equal(t, 301, a.status, c.path)
		require.Equal(t, c.location, a.header.Get("Location"), c.path)
	}
	for _, path := range []string{"//evil.example.com/", "//evil.example.com/..", inv + "/../../..//evil.example.com"} {
		a := s.get(path)
		require.Equal(t, 404, a.status, path)
		require.Empty(t, a.header.Get("Location"), path)
	}
}

func TestHooksComeBackAsTheyWerePut(t *testing.T) {
	s := newServer(t, options{})
	s.register("ns", `{"name":"app","version":"1"}`)
	const hooks = `{"events":{"url":"http://e"},"slack":{"icon_emoji":":ghost:","url":"http://s","username":"bot"}}`
	check(t, s.get(inv+"/ns/hooks/"), 200, jsonType, "{}\n")
	check(t, s.do(http.MethodPut, inv+"/ns/hooks/", "", hooks), 201, "", "")
	check(t, s.get(inv+"/ns/hooks/"), 200, jsonType, hooks+"\n")
	require.Contains(t, s.get(inv+"/").body, `"is_public":false,"hooks":`+hooks)
	const build = `{"build":{"url":"http://b"}}`
	check(t, s.do(http.MethodPut, inv+"/ns/units/app/hooks/", "", build), 201, "", "")
	check(t, s.get(inv+"/ns/units/app/hooks/"), 200, jsonType, build+"\n")
	require.Contains(t, s.get(inv+"/ns/units/app/").body, `"hooks":`+build)
	check(t, s.do(http.MethodPut, inv+"/ns/units/app/hooks/", "", `{}`), 201, "", "")
	check(t, s.get(inv+"/ns/units/app/hooks/"), 200, jsonType, "{}\n")
	require.Contains(t, s.get(inv+"/ns/units/app/").body, `"hooks":null`)
}

func TestTags(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		for _, v := range []string{"1", "2"} {
			s.register("ns", `{"name":"app","version":"`+v+`"}`)
		}
		tag := func(id, tag string) {
			t.Helper()
			check(t, s.do(http.MethodPost, inv+"/ns/units/app/tags/", "", `{"release_id":"`+id+`","tag":"`+tag+`"}`), 200, "", "")
		}
		version := func(query string) string {
			t.Helper()
			a := s.get(inv + "/ns/units/app/versions/" + query + "/")
			require.Equal(t, 200, a.status, query)
			return decode[struct{ Version string }](t, a.body).Version
		}
		tag("ns/app-v1", "production")
		require.Equal(t, "1", version("production"))
		tag("ns/app-latest", "production")
		require.Equal(t, "2", version("production"), "a tag moves")
		tag("ns/app-v1", "ci")
		tag("ns/app:ci", "production")
		require.Equal(t, "1", version("production"), "a tag of a tag")
		tag("ns/app-v1", "v10.alpha")
		require.Equal(t, "1", version("v10.alpha"))
		require.Equal(t, "2", version("latest"), "tags play no part in the order")
		check(t, s.get(inv+"/ns/units/app/next-version?prefix="), 200, textType, "3")
		check(t, s.get(inv+"/ns/units/app/versions/"), 200, jsonType, `["1","2"]`+"\n")
	})
}

// The tables that were measured on the original (facts 3.4).
func TestVersionQueries(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		for _, v := range []string{"0.1", "0.1.0", "0.0.9", "0.0.10", "1.0"} {
			s.register("ns", `{"name":"app","version":"`+v+`"}`)
		}
		s.register("ns", `{"name":"deep","version":"0.0.5.0"}`)
		next := func(unit, prefix, want string) {
			t.Helper()
			check(t, s.get(inv+"/ns/units/"+unit+"/next-version?prefix="+prefix), 200, textType, want)
		}
		for prefix, want := range map[string]string{"": "2", "0.": "0.2", "0.0.": "0.0.11", "0.1.": "0.1.1", "1.": "1.1", "2.": "2.0", "x": "x0", "0.0": "0.00", "0": "00", ".": ".0", "0..": "0..0"} {
			next("app", prefix, want)
		}
		next("deep", "0.0.", "0.0.6")
		next("unknown", "3.", "3.0")
		check(t, s.get(inv+"/nowhere/units/app/next-version?prefix=1."), 200, textType, "1.0")
		check(t, s.get(inv+"/nowhere/units/app/next-version"), 200, textType, "0")

		for query, want := range map[string]string{"latest": "1.0", "@": "1.0", "v@": "1.0", "0.@": "0.1.0", "v0.@": "0.1.0", "0.0.@": "0.0.10", "v0.0.@": "0.0.10",
			"0.1.@": "0.1.0", "1.0": "1.0", "v1.0": "1.0", "0.1": "0.1", "1": "", "v1": "", "2.@": "", "1.0.0": "", "01.0": ""} {
			a := s.get(inv + "/ns/units/app/versions/" + query + "/")
			if want == "" {
				check(t, a, 404, "", "")
				continue
			}
			require.Equal(t, want, decode[struct{ Version string }](t, a.body).Version, query)
		}
		for v, want := range map[string]string{"0.1.0": "0.1", "0.1": "0.0.10", "1.0": "0.1.0", "latest": "0.1.0", "0.0.@": "0.0.9", "0.0.9": ""} {
			a := s.get(inv + "/ns/units/app/versions/" + v + "/previous/")
			if want == "" {
				check(t, a, 404, "", "")
				continue
			}
			require.Equal(t, want, decode[struct{ Version string }](t, a.body).Version, v)
		}
		check(t, s.get(inv+"/ns/units/app/versions/"), 200, jsonType, `["0.0.9","0.0.10","0.1","0.1.0","1.0"]`+"\n")
		// The latest is the highest, not the last.
		require.Contains(t, s.get(inv+"/ns/units/app/").body, `"latest_version":"1.0"`)
		s.register("ns", `{"name":"app","version":"0.5","description":"late"}`)
		require.Contains(t, s.get(inv+"/ns/units/app/").body, `"description":"late","latest_version":"1.0"`)
	})
}

func TestProvidersAreTheHighestOfEachApplication(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		for _, m := range []string{`{"name":"app","version":"0.0.2","description":"two","provides":["k8s"]}`, `{"name":"app","version":"0.0.1","description":"one","provides":["k8s"]}`,
			`{"name":"app","version":"0.0.3","description":"provides nothing"}`, `{"name":"other","version":"1","provides":[{"name":"k8s"}]}`} {
			s.register("ns", m)
		}
		check(t, s.get(inv+"/__providers?name=k8s"), 200, jsonType,
			`{"ns/app-v0.0.2":{"application":"app","project":"ns","version":"0.0.2","description":"two"},`+
				`"ns/other-v1":{"application":"other","project":"ns","version":"1","description":""}}`+"\n")
	})
}

func TestSearch(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		for _, m := range []string{`{"name":"web","version":"1","description":"The Front door","provides":["http"],"metadata":{"team":"blue"}}`,
			`{"name":"web","version":"2","description":"100% new_","metadata":{"team":"red"}}`, `{"name":"worker","version":"1","metadata":{"team":"blue","it's":"\"q\""}}`} {
			s.register("shop", m)
		}
		s.register("infra", `{"name":"db","version":"1","provides":["postgres"]}`)
		require.Equal(t, 200, s.do(http.MethodPost, inv+"/shop/units/web/tags/", "", `{"release_id":"shop/web-v1","tag":"live"}`).status)
		type found struct {
			ID        string `json:"id"`
			ReleaseID string `json:"release_id"`
		}
		search := func(body string) []found {
			t.Helper()
			a := s.do(http.MethodPost, inv+"/search", "", body)
			require.Equal(t, 200, a.status, a.body)
			return decode[[]found](t, a.body)
		}
		for body, want := range map[string]string{
			`{}`:                      "infra/db-v1 shop/worker-v1 shop/web-v2 shop/web-v1",
			`{"query":"WEB"}`:         "shop/web-v2 shop/web-v1",
			`{"query":"front"}`:       "shop/web-v1",
			`{"query":"shop/wo"}`:     "shop/worker-v1",
			`{"query":"100%"}`:        "shop/web-v2",
			`{"query":"w_b"}`:         "",
			`{"query":"new_"}`:        "shop/web-v2",
			`{"query":"' OR 1=1 --"}`: "",
			`{"namespace":"infra"}`:   "infra/db-v1",
			`{"application":"web","namespace":"shop"}`: "shop/web-v2 shop/web-v1",
			`{"tag":"live"}`:                            "shop/web-v1",
			`{"provider":"postgres"}`:                   "infra/db-v1",
			`{"metadata":{"team":"blue"}}`:              "shop/worker-v1 shop/web-v1",
			`{"metadata":{"team":"blue"},"tag":"live"}`: "shop/web-v1",
			`{"metadata":{"it's":"\"q\""}}`:             "shop/worker-v1",
			`{"page_size":2}`:                           "infra/db-v1 shop/worker-v1",
		} {
			var have []string
			for _, f := range search(body) {
				have = append(have, f.ReleaseID)
			}
			require.Equal(t, want, strings.Join(have, " "), body)
		}
		page := search(`{"page_size":3}`)
		rest := search(`{"page_size":3,"page_from":"` + page[2].ID + `"}`)
		require.Len(t, rest, 1)
		require.Equal(t, "shop/web-v1", rest[0].ReleaseID)
		require.Empty(t, search(`{"page_from":"'; DROP TABLE releases"}`))
	})
}

// "_" is the namespace of releases that name none. It shares its first character with a row of its own.
func TestNamespaceWithoutAName(t *testing.T) {
	s := newServer(t, options{})
	s.register("_", `{"name":"app","version":"1"}`)
	require.Contains(t, s.get(inv+"/_/").body, `"name":"_"`)
	require.Contains(t, s.get(inv+"/_/units/").body, `"project":"_"`)
	require.Equal(t, 200, s.get(inv+"/_/units/app/versions/v1/").status)
	s.register("search", `{"name":"app","version":"1"}`)
	require.Contains(t, s.get(inv+"/search/").body, `"name":"search"`)
}

func TestDownstreamAndExtensions(t *testing.T) {
	s := newServer(t, options{})
	s.register("ns", `{"name":"base","version":"1"}`)
	s.register("ns", `{"name":"twice","version":"1","depends":[{"release_id":"ns/base-v1","variable":"a","scopes":["build"]},{"release_id":"ns/base-v1","variable":"b","scopes":["deploy"]}]}`)
	s.register("ns", `{"name":"child","version":"0.0.2","extends":[{"release_id":"ns/base-v1"}]}`)
	s.register("ns", `{"name":"elsewhere","version":"1","depends":["ns/base-v1.0"]}`)
	check(t, s.get(inv+"/ns/units/base/versions/v1/downstream"), 200, jsonType,
		`[{"project":"ns","name":"twice","version":"1","build":true,"deploy":true,"is_extension":false},`+
			`{"project":"ns","name":"child","version":"0.0.2","build":true,"deploy":true,"is_extension":true}]`+"\n")
	g := s.get(inv + "/ns/units/base/versions/v1/dependency-graph").body
	require.Contains(t, g, `{"id":"downstreamns/twice-v1","label":"ns/twice-v1","type":"downstream"},{"id":"extensionns/child-v0.0.2","label":"ns/child-v0.0.2","type":"extension"}`)
	require.Contains(t, g, `{"from":"downstreamns/twice-v1","to":"mainns/base-v1","type":"downstream"},{"from":"extensionns/child-v0.0.2","to":"mainns/base-v1","type":"extends"}`)
}

func TestGraphForPeople(t *testing.T) {
	s := newServer(t, options{})
	s.register("ns", `{"name":"app","version":"1","consumes":["<script>alert(1)</script>"],"provides":["a&b"],"depends":["ns/base-v1"]}`)
	a := s.do(http.MethodGet, inv+"/ns/units/app/versions/v1/dependency-graph", "", "", "Accept", "text/html,image/svg+xml;q=0.9,*/*;q=0.1")
	require.Equal(t, 200, a.status)
	require.Equal(t, "image/svg+xml", a.header.Get("Content-Type"))
	require.Contains(t, a.header.Get("Content-Security-Policy"), "default-src 'none'")
	require.NotContains(t, a.body, "<script>")
	require.Contains(t, a.body, "a&amp;b")
	for _, label := range []string{"ns/app-v1", "ns/base-v1", "provides", "consumes", "upstream"} {
		require.Contains(t, a.body, ">"+label+"<")
	}
	require.Equal(t, jsonType, s.do(http.MethodGet, inv+"/ns/units/app/versions/v1/dependency-graph", "", "", "Accept", "*/*").header.Get("Content-Type"))
}

// What a namespace had goes with it: nothing of it comes back with the next one of that name (the original keeps providers and
// tags).
func TestHardDeleteLeavesNothing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		s.register("other", `{"name":"above","version":"1","depends":["ns/app-v1"]}`)
		s.register("ns", `{"name":"app","version":"1","provides":["web"],"depends":["other/above-v1"],"description":"findme"}`)
		require.Equal(t, 201, s.do(http.MethodPut, inv+"/ns/hooks/", "", `{"slack":{"url":"http://h"}}`).status)
		require.Equal(t, 201, s.do(http.MethodPut, inv+"/ns/units/app/hooks/", "", `{"slack":{"url":"http://h"}}`).status)
		require.Equal(t, 200, s.upload(inv+"/ns/units/app/versions/v1/upload", "", packageOf(t, `{"name":"app","version":"1"}`, nil)).status)
		require.Equal(t, 200, s.do(http.MethodPost, inv+"/ns/units/app/tags/", "", `{"release_id":"ns/app-v1","tag":"ci"}`).status)
		check(t, s.do(http.MethodDelete, inv+"/ns/hard-delete", "", ""), 200, "", "")
		gone := func() {
			t.Helper()
			check(t, s.get(inv+"/__providers?name=web"), 200, jsonType, "{}\n")
			check(t, s.do(http.MethodPost, inv+"/search", "", `{"query":"findme"}`), 200, jsonType, "[]\n")
			check(t, s.get(inv+"/other/units/above/versions/v1/downstream"), 200, jsonType, "[]\n")
			check(t, s.get(inv+"/ns/units/app/versions/ci/"), 404, "", "")
			check(t, s.get(inv+"/ns/units/app/versions/v1/download"), 404, "", "")
		}
		gone()
		s.register("ns", `{"name":"app","version":"1"}`)
		gone()
		check(t, s.get(inv+"/ns/hooks/"), 200, jsonType, "{}\n")
		check(t, s.get(inv+"/ns/units/app/hooks/"), 200, jsonType, "{}\n")
		require.Contains(t, s.get(inv+"/ns/units/app/versions/v1/?full=1").body, `"downloads":0`)
		// Somebody else's release still says what it depends on.
		require.Contains(t, s.get(inv+"/ns/units/app/versions/v1/downstream").body, `"name":"above"`)
	})
}

// What a query that is not there, empty or odd asks for (facts 1.2: anything that is not empty asks for the envelope).
func TestQueriesOfReleases(t *testing.T) {
	s := newServer(t, options{})
	s.register("ns", `{"name":"app","version":"1"}`)
	for query, envelope := range map[string]bool{"": false, "?full": false, "?full=": false, "?full=true": true, "?full=0": true, "?full=no": true, "?other=1": false} {
		a := s.get(inv + "/ns/units/app/versions/v1/" + query)
		require.Equal(t, 200, a.status, query)
		require.Equal(t, envelope, strings.HasPrefix(a.body, `{"release":`), query)
	}
	check(t, s.get(inv+"/__providers"), 200, jsonType, "{}\n")
	require.Contains(t, s.get("/api/v1/internal/get_namespaces_for_project").body, `"ns":`)
	s.register("two", `{"name":"app","version":"1"}`)
	s.register("three", `{"name":"app","version":"1"}`)
	two := decode[map[string]any](t, s.get("/api/v1/internal/get_namespaces_for_project?namespace=two&namespace=ns&namespace=none").body)
	require.Len(t, two, 2)
	for _, body := range []string{`{"slack":{"url":5}}`, `{"slack":5}`, `{"slack":{"url":["x"]}}`} {
		check(t, s.do(http.MethodPut, inv+"/ns/hooks/", "", body), 400, textType, "Invalid JSON")
	}
}

// Development mode wipes everything, also after somebody deleted the storage folder.
func TestWipe(t *testing.T) {
	s := newServer(t, options{development: true})
	s.register("ns", `{"name":"app","version":"1","provides":["web"]}`)
	require.Equal(t, 200, s.upload(inv+"/ns/units/app/versions/v1/upload", "", packageOf(t, `{"name":"app","version":"1"}`, nil)).status)
	require.Equal(t, 200, s.do(http.MethodPost, inv+"/ns/units/app/tags/", "", `{"release_id":"ns/app-v1","tag":"ci"}`).status)
	check(t, s.do(http.MethodDelete, "/api/v1/internal/database", "", ""), 200, "", "")
	check(t, s.get(inv+"/"), 200, jsonType, "{}\n")
	check(t, s.get(inv+"/__providers?name=web"), 200, jsonType, "{}\n")
	check(t, s.do(http.MethodPost, inv+"/search", "", "{}"), 200, jsonType, "[]\n")
	require.Empty(t, filesIn(t, s.files))
	require.NoError(t, os.RemoveAll(s.files))
	check(t, s.do(http.MethodDelete, "/api/v1/internal/database", "", ""), 200, "", "")
	s.register("ns", `{"name":"app","version":"1"}`)
	check(t, s.get(inv+"/ns/units/app/versions/ci/"), 404, "", "")
	require.Equal(t, 200, s.upload(inv+"/ns/units/app/versions/v1/upload", "", packageOf(t, `{"name":"app","version":"1"}`, nil)).status)
	require.Equal(t, 200, s.get(inv+"/ns/units/app/versions/v1/download").status)

	_, err := releases.New(releases.Options{Development: true, Login: releases.Login{Mode: releases.LoginTokens}})
	require.ErrorContains(t, err, "development mode")
}
