package assets_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"slipway/models"
)

// The schemas of the API, written down apart from the code that answers: what is required, of which type and form, and that
// nothing else stands there.

// check says what is wrong with a value at a place, by calling wrong.
type check func(v any, at string, wrong func(string))

type object map[string]check // a name that ends in ? may be absent

func (o object) check(v any, at string, wrong func(string)) {
	m, ok := v.(map[string]any)
	if !ok {
		wrong(at + ": no object")
		return
	}
	known := map[string]check{}
	for name, c := range o {
		plain, optional := strings.CutSuffix(name, "?")
		known[plain] = c
		if _, there := m[plain]; !there && !optional {
			wrong(at + "." + plain + " is missing")
		}
	}
	for name, value := range m {
		if c := known[name]; c == nil {
			wrong(at + "." + name + " is not of the API")
		} else {
			c(value, at+"."+name, wrong)
		}
	}
}

func text(pattern string, most int) check {
	re := regexp.MustCompile(pattern)
	return func(v any, at string, wrong func(string)) {
		if s, ok := v.(string); !ok || !re.MatchString(s) || len(s) > most {
			wrong(fmt.Sprintf("%s: %v is no text of %s", at, v, pattern))
		}
	}
}

func oneOf(list ...any) check {
	return func(v any, at string, wrong func(string)) {
		if !slices.Contains(list, v) {
			wrong(fmt.Sprintf("%s: %v is none of %v", at, v, list))
		}
	}
}

func listOf(c check, least, most int) check {
	return func(v any, at string, wrong func(string)) {
		l, ok := v.([]any)
		if !ok || len(l) < least || len(l) > most {
			wrong(fmt.Sprintf("%s: no list of %d to %d", at, least, most))
			return
		}
		for i, x := range l {
			c(x, fmt.Sprintf("%s[%d]", at, i), wrong)
		}
	}
}

func mapOf(key string, c check, most int) check {
	re := regexp.MustCompile(key)
	return func(v any, at string, wrong func(string)) {
		m, ok := v.(map[string]any)
		if !ok || len(m) > most {
			wrong(fmt.Sprintf("%s: no object of at most %d", at, most))
		}
		for k, x := range m {
			if !re.MatchString(k) {
				wrong(at + ": key " + k)
			}
			c(x, at+"."+k, wrong)
		}
	}
}

func whole(least float64) check {
	return func(v any, at string, wrong func(string)) {
		if n, ok := v.(float64); !ok || n != math.Trunc(n) || n < least {
			wrong(fmt.Sprintf("%s: %v is no whole number from %v on", at, v, least))
		}
	}
}

func truth(v any, at string, wrong func(string)) {
	if _, ok := v.(bool); !ok {
		wrong(at + ": neither true nor false")
	}
}

func uuidText(v any, at string, wrong func(string)) {
	s, _ := v.(string)
	if u, err := uuid.Parse(s); err != nil || u.String() != s {
		wrong(fmt.Sprintf("%s: %v is no UUID", at, v))
	}
}

func moment(v any, at string, wrong func(string)) {
	s, _ := v.(string)
	if at0, err := time.Parse(time.RFC3339Nano, s); err != nil || !strings.HasSuffix(s, "Z") || at0.IsZero() {
		wrong(fmt.Sprintf("%s: %v is no time of RFC 3339 in UTC", at, v))
	}
}

// uri is an address or a path, of no characters but those of RFC 3986.
func uri(v any, at string, wrong func(string)) {
	s, _ := v.(string)
	if u, err := url.Parse(s); err != nil || s == "" || !strings.HasPrefix(u.Path, "/") || !regexp.MustCompile(`^(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$`).MatchString(s) {
		wrong(fmt.Sprintf("%s: %v is no address", at, v))
	}
}

const digestText = `^sha256:[0-9a-f]{64}$`

var (
	anyText     = text(``, math.MaxInt)
	labelText   = text(`^[a-zA-Z0-9_/:?#@&=+%~-]+$`, 40)
	tagsSchema  = mapOf(`^[a-zA-Z0-9_-]{1,30}$`, text(`^[a-zA-Z0-9_/:?#@&=+%~-]*$`, 40), 100)
	imageSchema = object{
		"type": oneOf("container_images"), "id": uuidText,
		"attributes": object{
			"registry": text(`.`, 256), "repository": text(`.`, 256), "name": text(`^[^/]+$`, 256), "config_digest": text(digestText, 71),
			"distribution_digests?": listOf(object{"manifest_digest?": text(digestText, 71), "index_digest?": text(digestText, 71)}.check, 1, 100),
			"image_tags?":           listOf(text(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`, 128), 1, 20), "total_image_tags": whole(0),
			"built_at?": moment, "size_bytes?": whole(1), "author?": anyText, "architecture?": anyText, "os?": anyText, "variant?": anyText, "os_version?": anyText,
			"os_features?": listOf(anyText, 0, 1000),
			"config?": object{"cmd?": listOf(anyText, 0, 1000), "entry_point?": listOf(anyText, 0, 1000), "env?": listOf(anyText, 0, 1000), "exposed_ports?": listOf(text(`^\d{1,5}/(tcp|udp)$`, 9), 0, 1000),
				"labels?": mapOf(``, anyText, 10000), "stop_signal?": anyText, "user?": anyText, "volumes?": listOf(anyText, 0, 1000), "working_dir?": anyText, "args_escaped?": truth}.check,
			"root_fs?": object{"type?": anyText, "diff_ids?": listOf(text(digestText, 71), 0, 256)}.check,
			"history?": listOf(object{"created_at?": moment, "created_by?": anyText, "author?": anyText, "comment?": anyText, "empty_layer?": truth}.check, 0, 1000),
			"class?":   classSchema, "labels?": listOf(labelText, 1, 50), "tags?": tagsSchema,
			"last_seen_at": moment, "created_at": moment, "updated_at": moment,
		}.check,
		"relationships?": object{"projects?": relatedSchema, "targets?": relatedSchema}.check,
		"links":          object{"self": uri}.check,
	}
	relatedSchema = object{"links": object{"related": uri}.check}.check
	jsonapiSchema = object{"version": oneOf("1.0")}.check
	pageLinks     = object{"self": uri, "first?": uri, "prev?": uri, "next?": uri}.check
	selfLink      = object{"self": uri}.check
	listSchema    = object{"data": listOf(imageSchema.check, 0, 100), "links": pageLinks}
	countedSchema = object{"data": listOf(imageSchema.check, 0, 100), "links": pageLinks, "meta": object{"count": whole(0)}.check}
	countSchema   = object{"links": selfLink, "meta": object{"count": whole(0)}.check}
	oneSchema     = object{"data": imageSchema.check, "links": selfLink}
	patchedSchema = object{"data": imageSchema.check, "links": selfLink, "jsonapi": jsonapiSchema}
	fieldsSchema  = func(kind string, types check) object {
		attributes := object{"name": text(`^[a-z_]+$`, 40), "asset_types": listOf(oneOf("container_images"), 1, 1)}
		relationships := "relationships"
		if types != nil {
			attributes["type"], relationships = types, "relationships?"
		}
		return object{"data": listOf(object{"type": oneOf(kind), "id": uuidText, "attributes": attributes.check, relationships: object{"values": relatedSchema}.check}.check, 0, 100), "links": pageLinks}
	}
	filterFields = fieldsSchema("filter_fields", oneOf("string", "boolean", "datetime", "array", "object"))
	groupFields  = fieldsSchema("group_fields", nil)
	groupValues  = func(meta object) object {
		return object{"data": listOf(object{"type": oneOf("group_values"), "id": uuidText, "attributes": object{"value": text(`.`, 256)}.check, "meta": meta.check}.check, 0, 100), "links": pageLinks}
	}
	fullGroup = object{"count": whole(1), "labels?": listOf(labelText, 0, 1000), "tags?": listOf(object{"key": anyText, "value": anyText}.check, 0, 1000),
		"built_at?": moment, "last_seen_at?": moment, "updated_at?": moment}
	filterValues = func(attributes object) object {
		return object{"data": listOf(object{"type": oneOf("filter_values"), "id": uuidText, "attributes": attributes.check}.check, 0, 100), "links": pageLinks}
	}
	errorSchema = object{"jsonapi": jsonapiSchema, "errors": listOf(object{"id": uuidText, "status": text(`^[45]\d\d$`, 3), "code?": text(`^[a-z-]+$`, 50), "title?": anyText, "detail": text(`.`, 10000),
		"source?": object{"pointer?": text(`^(/.*)?$`, 1000), "parameter?": text(`.`, 100)}.check, "meta?": mapOf(``, func(any, string, func(string)) {}, 10)}.check, 1, 100)}
)

func classSchema(v any, at string, wrong func(string)) {
	object{"display_name": oneOf("A", "B", "C", "D"), "rank": whole(1), "locked": truth}.check(v, at, wrong)
	if m, ok := v.(map[string]any); ok && m["display_name"] != string("ABCD"[int(m["rank"].(float64))-1]) {
		wrong(at + ": rank and name differ")
	}
}

// conforms holds an answer to its status, its headers and its schema; nil is for no body.
func conforms(t *testing.T, a answer, status int, schema object) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	for name, pattern := range map[string]string{"Snyk-Request-Id": `^[0-9a-f-]{36}$`, "Snyk-Version-Requested": `^\d{4}-\d{2}-\d{2}$`, "Snyk-Version-Served": `^2024-10-15~beta$`, "Snyk-Version-Lifecycle-Stage": `^beta$`, "Vary": `Accept`} {
		require.Regexp(t, pattern, strings.Join(a.header.Values(name), ","), name)
	}
	require.Empty(t, a.header.Get("Sunset"))
	require.Empty(t, a.header.Get("Deprecation"))
	if schema == nil {
		require.Empty(t, a.body)
		return
	}
	require.Equal(t, mediaType, a.header.Get("Content-Type"))
	var v any
	require.NoError(t, json.Unmarshal(a.body, &v), "%s", a.body)
	var faults []string
	schema.check(v, "", func(fault string) { faults = append(faults, fault) })
	require.Empty(t, faults, "%s", a.body)
}

// failsAs holds an answer to the schema of errors and to its source.
func failsAs(t *testing.T, a answer, status int, source map[string]any) {
	t.Helper()
	conforms(t, a, status, errorSchema)
	_, got, _, _ := a.fault(t)
	require.Equal(t, source, got, "%s", a.body)
}

func parameter(name string) map[string]any { return map[string]any{"parameter": name} }

// operation is one of the ten, at a path below the assets of a scope.
type operation struct {
	method, path, body string
	success            int
	parameters         []string
	errors             []int // that are documented
}

// operations lists the ten operations as they succeed, with all parameters that are documented.
func operations(id, search, group, filter string) map[string]operation {
	page := []string{"limit", "starting_after", "ending_before"}
	with := func(more ...string) []string { return append(append([]string{"version"}, more...), page...) }
	resource := `{"type":"container_images","id":"` + id + `","attributes":{"labels":{"add":["seen"]}}}`
	return map[string]operation{
		"list":         {"GET", "", "", 200, with("filter", "sort", "meta_count"), []int{400, 401, 403, 404}},
		"bulk":         {"PATCH", "", `{"data":[` + resource + `]}`, 204, []string{"version"}, []int{400, 401, 403, 404}},
		"get":          {"GET", "/" + id, "", 200, []string{"version"}, []int{400, 401, 403, 404}},
		"update":       {"PATCH", "/" + id, `{"data":` + resource + `}`, 200, []string{"version"}, []int{400, 401, 403, 404}},
		"search":       {"POST", "/searches", `{"data":{"type":"searches","attributes":{"filter":"q==img","meta_count":"with"}}}`, 302, []string{"version"}, nil},
		"results":      {"GET", "/searches/" + search + "/results", "", 200, with("sort"), nil},
		"groups":       {"GET", "/groups", "", 200, []string{"version", "asset_types", "limit"}, nil},
		"groupValues":  {"GET", "/groups/" + group + "/values", "", 200, with("asset_types", "filter"), nil},
		"filters":      {"GET", "/filters", "", 200, []string{"version", "asset_types", "limit"}, nil},
		"filterValues": {"GET", "/filters/" + filter + "/values", "", 200, []string{"version", "q", "limit", "keys_only", "key"}, nil},
	}
}

// badValues are values that a parameter cannot have.
var badValues = map[string][]string{
	"version":        {"", "2024", "2024-13-01", "2024-10-15~beta", "latest", "9999-01-01", "2024-10-15 ", "20241015", strings.Repeat("2", 9000)},
	"limit":          {"", "0", "9", "101", "-10", "ten", "1e2", "10.0", " 10", "99999999999999999999", "0x10"},
	"starting_after": {"", "x", "v1.", "v1.MTIzNDU2Nzg5MHxhYmNkZWY=", "v2.AAAA", strings.Repeat("A", 9000), "%00", "v1.%FF"},
	"ending_before":  {"", "x", "v1.", "v1.MTIzNDU2Nzg5MHxhYmNkZWY=", strings.Repeat("A", 9000)},
	"filter":         {"", "x", "==", "q", "nosuch==1", "%00", "%FF", "q!=x", "class%3CB", strings.Repeat("(", 9000)},
	"sort":           {"x", "-", "created_at,", ",", "--name", "created_at;name", "name,name", "%00"},
	"meta_count":     {"", "without", "WITH", "1", "%00"},
	"asset_types":    {"", ",", "container_images,", "A", "%00"},
	"q":              {strings.Repeat("a", 101), strings.Repeat("ü", 101), "%00", "%FF"},
	"keys_only":      {"", "1", "TRUE", "yes"},
	"key":            {"", "%00"},
}

func TestEveryAnswerConforms(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		ids := s.images(t, s.web, 25)
		bare := models.Image{Registry: "localhost:5000", Repository: "a", ConfigDigest: "sha256:" + strings.Repeat("e", 64), Document: json.RawMessage(`{ }`)}
		require.NoError(t, bare.Check())
		_, err := s.store.PutImages(t.Context(), s.web.ID, []models.Image{bare}, false)
		require.NoError(t, err)
		viewer := s.token(t, "vera", s.acme, "read")
		for kind, at := range map[string]*models.Organization{"tenants": s.acme, "groups": s.shops, "orgs": s.web} {
			base := "/" + kind + "/" + at.ID + "/inventory/assets"
			get := func(path string) answer { t.Helper(); return s.get(t, base+path) }

			// Edits, so that what people say is in the answers.
			conforms(t, s.call(t, s.owner, "PATCH", base+"/"+ids[0], `{"data":{"type":"container_images","id":"`+ids[0]+`","attributes":{"class":{"rank":2},"labels":["x/y:z"],"tags":{"env":"","team":"a=b"}}}}`), 200, patchedSchema)

			conforms(t, get(""), 200, listSchema)
			conforms(t, get("?meta_count=with&limit=100"), 200, countedSchema)
			conforms(t, get("?meta_count=only"), 200, countSchema)
			conforms(t, get("?filter=name==nosuch&meta_count=with"), 200, countedSchema)
			conforms(t, get("/"+ids[0]), 200, oneSchema)
			first := get("?limit=10&version=2024-10-15")
			require.Empty(t, first.link("prev"))
			second := s.get(t, first.link("next"))
			conforms(t, second, 200, listSchema)
			for _, l := range []string{"self", "first", "prev", "next"} {
				require.Contains(t, second.link(l), "version=2024-10-15", l)
				require.Contains(t, second.link(l), "limit=10", l)
			}
			require.Equal(t, first.ids(), s.get(t, second.link("prev")).ids())
			require.Equal(t, first.ids(), s.get(t, second.link("first")).ids())
			third := s.get(t, second.link("next"))
			require.Len(t, third.ids(), 6)
			require.Empty(t, third.link("next"))

			// Searches.
			found := s.call(t, s.owner, "POST", base+"/searches", `{"data":{"type":"searches","attributes":{"meta_count":"with"}}}`)
			conforms(t, found, 302, object{"jsonapi": jsonapiSchema})
			u, err := url.Parse(found.header.Get("Location"))
			require.NoError(t, err)
			require.True(t, u.IsAbs())
			conforms(t, s.get(t, u.RequestURI()), 200, countedSchema)
			search := strings.Split(u.Path, "/")[6]
			conforms(t, s.call(t, s.owner, "POST", base+"/searches", nil), 302, object{"jsonapi": jsonapiSchema})
			only := s.call(t, s.owner, "POST", base+"/searches", `{"data":{"type":"searches","attributes":{"meta_count":"only"}}}`)
			u, _ = url.Parse(only.header.Get("Location"))
			conforms(t, s.get(t, u.RequestURI()), 200, countSchema)

			// Groups and filters.
			groups, filters := get("/groups"), get("/filters?limit=100")
			conforms(t, groups, 200, groupFields)
			conforms(t, filters, 200, filterFields)
			byName := map[string]string{}
			for _, d := range groups.JSON["data"].([]any) {
				d := d.(map[string]any)
				byName["group "+d["attributes"].(map[string]any)["name"].(string)] = d["id"].(string)
				values := d["relationships"].(map[string]any)["values"].(map[string]any)["links"].(map[string]any)["related"].(string)
				conforms(t, s.get(t, values), 200, groupValues(object{"count": whole(1)}))
				conforms(t, s.get(t, values+"?meta_fields=all&limit=100"), 200, groupValues(fullGroup))
			}
			for _, d := range filters.JSON["data"].([]any) {
				d := d.(map[string]any)
				name := d["attributes"].(map[string]any)["name"].(string)
				byName["filter "+name] = d["id"].(string)
				if d["relationships"] == nil {
					failsAs(t, get("/filters/"+d["id"].(string)+"/values"), 404, nil)
					continue
				}
				values := d["relationships"].(map[string]any)["values"].(map[string]any)["links"].(map[string]any)["related"].(string)
				if name == "tags" {
					conforms(t, s.get(t, values), 200, filterValues(object{"key": text(`.`, 30), "value": text(``, 40)}))
					conforms(t, s.get(t, values+"?keys_only=true"), 200, filterValues(object{"key": text(`.`, 30)}))
					conforms(t, s.get(t, values+"?key=env&keys_only=false&q=%25"), 200, filterValues(object{"key": oneOf("env"), "value": text(``, 40)}))
					continue
				}
				conforms(t, s.get(t, values+"?starting_after=any&ending_before=any"), 200, filterValues(object{"value": text(`.`, 256)}))
				failsAs(t, s.get(t, values+"?keys_only=true"), 400, parameter("keys_only"))
				failsAs(t, s.get(t, values+"?key=x"), 400, parameter("key"))
			}

			all := operations(ids[1], search, byName["group registry"], byName["filter tags"])
			require.Len(t, all, 10)
			for name, o := range all {
				var body any
				if o.body != "" {
					body = o.body
				}
				call := func(token, query string, headers ...string) answer {
					t.Helper()
					return s.call(t, token, o.method, base+o.path+query, body, headers...)
				}
				require.Equal(t, o.success, call(s.owner, "").status, name)
				// Parameters: wrong, twice, and one that nobody knows.
				for _, p := range o.parameters {
					for _, bad := range badValues[p] {
						status := 400
						if p == "version" && bad == "9999-01-01" {
							status = 400
						}
						escaped := strings.NewReplacer(" ", "+", "<", "%3C", ";", ";").Replace(bad)
						failsAs(t, call(s.owner, "?"+p+"="+escaped), status, parameter(p))
					}
					failsAs(t, call(s.owner, "?"+p+"=10&"+p+"=10"), 400, parameter(p))
				}
				failsAs(t, call(s.owner, "?version=2024-10-14"), 404, parameter("version"))
				require.Equal(t, "2025-01-01", call(s.owner, "?version=2025-01-01").header.Get("Snyk-Version-Requested"))
				failsAs(t, call(s.owner, "?nosuch=1"), 400, parameter("nosuch"))
				failsAs(t, call(s.owner, "?%ZZ=1"), 400, parameter("?"))
				// Who asks.
				failsAs(t, call("", ""), 401, nil)
				failsAs(t, call("slw_nosuch", ""), 401, nil)
				failsAs(t, call(s.stranger, ""), 404, nil)
				want := o.success
				if o.method == http.MethodPatch {
					want = 403
				}
				require.Equal(t, want, call(viewer, "").status, name)
				if want == 403 {
					failsAs(t, call(viewer, ""), 403, nil)
				}
				for _, scheme := range []string{"Token ", "token ", "TOKEN ", "Bearer ", "bearer "} {
					require.Equal(t, o.success, s.call(t, "", o.method, base+o.path, body, "Authorization", scheme+s.owner).status, scheme)
				}
				// What is taken.
				for accept, status := range map[string]int{
					"": o.success, "*/*": o.success, "application/*": o.success, mediaType: o.success, mediaType + ";q=0.5, text/html": o.success, "application/json": o.success,
					mediaType + `; ext="x"`: 406, mediaType + `; charset=utf-8`: 406, mediaType + `; ext="x", ` + mediaType: o.success, mediaType + `; profile="https://example.com/a,b"`: o.success,
					mediaType + `; ext="x", */*;q=0.1`: 406, strings.ToUpper(mediaType): o.success,
				} {
					a := call(s.owner, "", "Accept", accept)
					require.Equal(t, status, a.status, "%s with Accept: %s: %s", name, accept, a.body)
					if status == 406 {
						conforms(t, a, 406, errorSchema)
					}
				}
				// The caller's id comes back.
				const id = "0e2d7c0a-52a5-4c52-9a4e-8f6f0f3d1b11"
				require.Equal(t, id, call(s.owner, "", "Snyk-Request-Id", strings.ToUpper(id)).header.Get("Snyk-Request-Id"))
				require.NotEqual(t, "x", call(s.owner, "", "Snyk-Request-Id", "x").header.Get("Snyk-Request-Id"))
				// Bodies of another type.
				if body != nil {
					for contentType, status := range map[string]int{"application/json": 415, "": 415, mediaType + "; charset=utf-8": 415, mediaType + `; ext="x"`: 415, mediaType + `; profile="x"`: o.success, "text/plain": 415, "x": 415} {
						require.Equal(t, status, call(s.owner, "", "Content-Type", contentType).status, "%s with %q", name, contentType)
					}
				}
			}
			// What is not there.
			nowhere := models.NewID()
			for _, path := range []string{"/" + nowhere, "/searches/" + nowhere + "/results", "/groups/" + nowhere + "/values", "/filters/" + nowhere + "/values", "/x", "/groups/x/values", "/filters/%2F/values", "/" + ids[0] + "/", "/searches", "/nosuch/there"} {
				failsAs(t, get(path), 404, nil)
			}
			failsAs(t, get("/%00"), 400, parameter("asset_id"))
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				failsAs(t, s.call(t, s.owner, method, base+"/"+ids[0], nil), 404, nil)
			}
			// Whoever repeats the POST of a search at its results, as curl -X POST -L does.
			failsAs(t, s.call(t, s.owner, "POST", base+"/searches/"+search+"/results", "{}"), 404, nil)
			for _, at := range []string{nowhere, "x", strings.ReplaceAll(at.ID, "-", ""), s.other.ID} {
				failsAs(t, s.get(t, "/"+kind+"/"+at+"/inventory/assets"), 404, nil)
			}
		}
	})
}

// TestEveryWrongMemberIsNamed puts something else in the place of each member of a body, takes it away, and adds one beside
// it. Where that is refused the pointer leads there.
func TestEveryWrongMemberIsNamed(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	ids := s.images(t, s.web, 3)
	attributes := `{"class":{"display_name":"A","rank":1,"locked":true},"labels":{"add":["a"],"remove":["b"]},"tags":{"add":{"k":"v"},"remove":["x"]}}`
	resource := func(id, attributes string) string {
		return `{"type":"container_images","id":"` + id + `","attributes":` + attributes + `}`
	}
	tried, refused := 0, 0
	for _, c := range []struct {
		method, path, body string
		success            int
	}{
		{"PATCH", "/" + ids[0], `{"data":` + resource(ids[0], attributes) + `}`, 200},
		{"PATCH", "/" + ids[0], `{"data":` + resource(ids[0], `{"labels":["a","b"],"tags":{"k":"v"}}`) + `}`, 200},
		{"PATCH", "", `{"data":[` + resource(ids[0], attributes) + `,` + resource(ids[1], `{"labels":["a"],"tags":{"k":"v"}}`) + `,` + resource(ids[2], attributes) + `]}`, 204},
		{"POST", "/searches", `{"data":{"type":"searches","attributes":{"filter":"q==x","sort":"-name","limit":20,"meta_count":"with"}}}`, 302},
	} {
		require.Equal(t, c.success, s.call(t, s.owner, c.method, s.base()+c.path, c.body).status)
		var places []string
		var walk func(v any, at string)
		walk = func(v any, at string) {
			places = append(places, at)
			switch v := v.(type) {
			case map[string]any:
				for name, x := range v {
					walk(x, at+"/"+name)
				}
			case []any:
				for i, x := range v {
					walk(x, fmt.Sprintf("%s/%d", at, i))
				}
			}
		}
		read := func() any {
			var v any
			require.NoError(t, json.Unmarshal([]byte(c.body), &v))
			return v
		}
		walk(read(), "")
		for _, place := range places {
			for _, instead := range []string{"absent", "beside", "null", "7", "-1.5", "1e400", "true", `""`, `"x y"`, `"\u0000"`, `"` + strings.Repeat("a", 5000) + `"`, "[]", "[null]", "[[]]", "{}", `{"x":1}`, `[` + strings.Repeat(`"a",`, 2000) + `"b"]`} {
				body, ok := replaced(t, read(), place, instead)
				if !ok {
					continue
				}
				a := s.call(t, s.owner, c.method, s.base()+c.path, body)
				tried++
				if a.status == c.success {
					continue
				}
				refused++
				conforms(t, a, 400, errorSchema)
				_, source, _, _ := a.fault(t)
				pointer, _ := source["pointer"].(string)
				at := place
				if instead == "absent" || instead == "beside" { // the place is that of the object
					at = place[:max(strings.LastIndex(place, "/"), 0)]
				}
				if tags, _, found := strings.Cut(at, "/tags/"); found { // with another type it is no update any more, but tags of these names
					at = tags + "/tags"
				}
				if strings.Contains(instead, "\\u0000") && pointer == "" { // no text of a body may hold it
					continue
				}
				require.True(t, pointer == at || strings.HasPrefix(pointer, at+"/"), "%s in place of %s: %s", instead[:min(len(instead), 40)], place, a.body)
			}
		}
	}
	t.Logf("%d bodies, %d refused", tried, refused)
	require.Greater(t, refused, 500)
}

// replaced gives a body with something else at a place.
func replaced(t *testing.T, body any, place, instead string) (string, bool) {
	t.Helper()
	const mark = "put-it-here"
	parts := strings.Split(place, "/")[1:]
	if len(parts) == 0 {
		return instead, instead != "absent" && instead != "beside"
	}
	at := body
	for _, p := range parts[:len(parts)-1] {
		switch v := at.(type) {
		case map[string]any:
			at = v[p]
		case []any:
			i := 0
			_, err := fmt.Sscan(p, &i)
			require.NoError(t, err)
			at = v[i]
		}
	}
	last := parts[len(parts)-1]
	switch v := at.(type) {
	case map[string]any:
		switch instead {
		case "absent":
			delete(v, last)
		case "beside":
			v["beside it"] = mark
			instead = "7"
		default:
			v[last] = mark
		}
	case []any:
		if instead == "absent" || instead == "beside" {
			return "", false
		}
		i := 0
		_, err := fmt.Sscan(last, &i)
		require.NoError(t, err)
		v[i] = mark
	}
	b, err := json.Marshal(body)
	require.NoError(t, err)
	return strings.Replace(string(b), `"`+mark+`"`, instead, 1), true
}
