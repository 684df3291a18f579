package inventory

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
)

// diffOf compares two releases that are written as JSON, and gives the difference as it is answered.
func diffOf(t *testing.T, previous, next string) string {
	t.Helper()
	var both [2]*release.Metadata
	for i, members := range []string{previous, next} {
		m, err := release.Decode([]byte(`{"name":"app","version":"1"` + members + `}`))
		require.NoError(t, err, members)
		both[i] = m
	}
	b, err := json.Marshal(DiffMetadata(both[0], both[1]))
	require.NoError(t, err)
	return string(b)
}

func change(member, path, previous, next string) string {
	return fmt.Sprintf(`{"%s":{"change":[{"Path":[%s],"PreviousValue":%s,"NewValue":%s,"Added":false,"Removed":false}]}}`, member, path, previous, next)
}

func addition(member, path, value string) string {
	return fmt.Sprintf(`{"%s":{"add":[{"Path":[%s],"PreviousValue":null,"NewValue":%s,"Added":true,"Removed":false}]}}`, member, path, value)
}

func removal(member, path, value string) string {
	return fmt.Sprintf(`{"%s":{"remove":[{"Path":[%s],"PreviousValue":%s,"NewValue":null,"Added":false,"Removed":true}]}}`, member, path, value)
}

// Every member of a release, changed, added to and taken from: names, paths and values as facts 1.2 has them.
func TestDiff(t *testing.T) {
	for _, c := range []struct{ previous, next, want string }{
		{``, ``, `{}`},
		{`,"description":"a"`, `,"description":"b"`, change("Description", `"Description"`, `"a"`, `"b"`)},
		{`,"api_version":14`, ``, change("ApiVersion", `"ApiVersion"`, `"14"`, `"15"`)}, // numbers are texts
		{`,"built_with_core_version":"0.1"`, ``, change("BuiltWithCoreVersion", `"BuiltWithCoreVersion"`, `"0.1"`, `"0.15.7"`)},
		{``, `,"built_with_escape_version":"1"`, change("BuiltWithEscapeVersion", `"BuiltWithEscapeVersion"`, `""`, `"1"`)},
		{``, `,"license":"MIT"`, change("License", `"License"`, `""`, `"MIT"`)},
		{``, `,"logo":"eA=="`, change("Logo", `"Logo"`, `""`, `"eA=="`)},
		{``, `,"repository":"r"`, change("Repository", `"Repository"`, `""`, `"r"`)},
		{``, `,"branch":"b"`, change("Branch", `"Branch"`, `""`, `"b"`)},
		{``, `,"git_revision":"c"`, change("Revision", `"Revision"`, `""`, `"c"`)},
		{``, `,"revision_message":"m"`, change("RevisionMessage", `"RevisionMessage"`, `""`, `"m"`)},
		{``, `,"revision_author":"a"`, change("RevisionAuthor", `"RevisionAuthor"`, `""`, `"a"`)},
		{``, `,"project":"p1"`, change("Project", `"Project"`, `"_"`, `"p1"`)},

		// Maps: the key, when it comes or goes; the key in the path, when its value changes.
		{`,"files":{"a":"1"}`, `,"files":{"a":"2"}`, change("Files", `"Files","[\"a\"]"`, `"1"`, `"2"`)},
		{``, `,"files":{"a":"1"}`, addition("Files", `"Files"`, `"a"`)},
		{`,"metadata":{"k":"v"}`, `,"metadata":{"k":"w"}`, change("Metadata", `"Metadata","[\"k\"]"`, `"v"`, `"w"`)},
		{`,"metadata":{"k":"v"}`, ``, removal("Metadata", `"Metadata"`, `"k"`)},
		{``, `,"variable_context":{"x":"y"}`, addition("VariableCtx", `"VariableCtx"`, `"x"`)},
		{``, `,"stages":{"build":{"script":"a"}}`, addition("Stages", `"Stages"`, `"build"`)},
		{`,"stages":{"build":{"script":"a"}}`, `,"stages":{"build":{"script":"b"}}`, change("Stages", `"Stages","[\"build\"]",".Script"`, `"a"`, `"b"`)},
		{`,"stages":{"build":{"cmd":"a","args":["1"]}}`, `,"stages":{"build":{"cmd":"a","args":["2"]}}`, change("Stages", `"Stages","[\"build\"]",".Args","[0]"`, `"1"`, `"2"`)},
		{``, `,"errands":{"backup":{"script":"b"}}`, addition("Errands", `"Errands"`, `"backup"`)},
		{`,"errands":{"backup":{"script":"b","description":"1"}}`, `,"errands":{"backup":{"script":"b","description":"2"}}`,
			change("Errands", `"Errands","[\"backup\"]",".Description"`, `"1"`, `"2"`)},

		// Lists, position by position: what people know an item by, when it comes or goes.
		{`,"generates":["a"]`, `,"generates":["b"]`, change("Generates", `"Generates","[0]"`, `"a"`, `"b"`)},
		{``, `,"generates":["a"]`, addition("Generates", `"Generates"`, `"a"`)},
		{`,"provides":["k8s"]`, ``, removal("Provides", `"Provides"`, `"k8s"`)},
		{`,"provides":["k8s"]`, `,"provides":["web"]`, change("Provides", `"Provides","[0]",".Name"`, `"k8s"`, `"web"`)},
		{``, `,"consumes":["pg"]`, addition("Consumes", `"Consumes"`, `"pg"`)},
		{`,"consumes":[{"name":"pg"}]`, `,"consumes":[{"name":"pg","skip_activate":true}]`, change("Consumes", `"Consumes","[0]",".SkipActivate"`, `false`, `true`)},
		{``, `,"depends":["ns/dep-v1"]`, addition("Depends", `"Depends"`, `"ns/dep-v1"`)},
		{`,"depends":["ns/dep-v1"]`, `,"depends":["ns/dep-v2"]`, change("Depends", `"Depends","[0]",".ReleaseId"`, `"ns/dep-v1"`, `"ns/dep-v2"`)},
		{`,"depends":["ns/dep-v1"]`, `,"depends":[{"release_id":"ns/dep-v1","scopes":["build"]}]`, removal("Depends", `"Depends","[0]",".Scopes"`, `"deploy"`)},
		{``, `,"extends":["ns/ext-v1"]`, addition("Extends", `"Extends"`, `"ns/ext-v1"`)},
		{``, `,"inputs":["a"]`, addition("Inputs", `"Inputs"`, `"a"`)},
		{`,"outputs":["a"]`, ``, removal("Outputs", `"Outputs"`, `"a"`)},
		{``, `,"templates":[{"file":"a.tpl"}]`, addition("Templates", `"Templates"`, `"a.tpl"`)},
		{`,"downloads":[{"url":"u","dest":"d"}]`, ``, removal("Downloads", `"Downloads"`,
			`{"url":"u","dest":"d","overwrite":false,"if_not_exists":null,"unpack":false,"platform":"","arch":"","scopes":["build","deploy"]}`)},

		// Defaults of any kind: the original fails where numbers differ (facts 1.8).
		{`,"inputs":[{"id":"n","type":"integer","default":1}]`, `,"inputs":[{"id":"n","type":"integer","default":2}]`, change("Inputs", `"Inputs","[0]",".Default"`, `"1"`, `"2"`)},
		{`,"inputs":[{"id":"n","type":"integer"}]`, `,"inputs":[{"id":"n","type":"integer","default":2}]`, change("Inputs", `"Inputs","[0]",".Default"`, `null`, `"2"`)},
		{`,"inputs":[{"id":"n","type":"list","default":[1]}]`, `,"inputs":[{"id":"n","type":"list","default":["a"]}]`, change("Inputs", `"Inputs","[0]",".Default"`, `[1]`, `["a"]`)},
		{`,"inputs":[{"id":"n","type":"bool","default":true}]`, `,"inputs":[{"id":"n","type":"bool","default":"$x"}]`, change("Inputs", `"Inputs","[0]",".Default"`, `true`, `"$x"`)},
		{`,"inputs":[{"id":"n","items":[1.5]}]`, `,"inputs":[{"id":"n","items":null}]`, change("Inputs", `"Inputs","[0]",".Items"`, `[1.5]`, `null`)},
		{`,"depends":[{"release_id":"ns/dep-v1","mapping":{"a":1}}]`, `,"depends":[{"release_id":"ns/dep-v1","mapping":{"a":2}}]`, change("Depends", `"Depends","[0]",".Mapping","[\"a\"]"`, `"1"`, `"2"`)},
	} {
		require.Equal(t, c.want, diffOf(t, c.previous, c.next), "%s -> %s", c.previous, c.next)
	}
}

// The names of members are those of the original, of which facts 1.2 has the list.
func TestDiffNamesEveryMember(t *testing.T) {
	var names []string
	for f := range reflect.TypeFor[release.Metadata]().Fields() {
		if name := memberName(f); name != "" {
			names = append(names, name)
		}
	}
	require.ElementsMatch(t, strings.Fields(`ApiVersion BuiltWithCoreVersion BuiltWithEscapeVersion Description Files License Logo Name Repository
		Branch Revision RevisionMessage RevisionAuthor Metadata Version Generates Consumes Downloads Depends Errands Extends Inputs
		Outputs Project Provides Stages Templates VariableCtx`), names)
}
