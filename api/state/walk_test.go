package state_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/models"
	"slipway/policies"
)

var pathParameter = regexp.MustCompile(`\{([a-z_]+)\}`)

// fill puts values into a row's path: those given, else a name that is nothing's.
func fill(path string, values map[string]string) string {
	return pathParameter.ReplaceAllStringFunc(path, func(p string) string {
		if v, ok := values[strings.Trim(p, "{}")]; ok {
			return v
		}
		return "nothing"
	})
}

// level gives what the policy's data asks for an action.
func level(t *testing.T, action string) string {
	t.Helper()
	text, err := os.ReadFile("../../policies/data.json")
	require.NoError(t, err)
	var data struct {
		Slipway struct {
			Actions map[string]string `json:"actions"`
		} `json:"slipway"`
	}
	require.NoError(t, json.Unmarshal(text, &data))
	l := data.Slipway.Actions[action]
	require.NotEmpty(t, l, action)
	return l
}

// TestS1EveryRowAsEverybody walks every row of the table as nobody, with a bad token, as a stranger, a reader, a writer,
// an owner and an administrator.
func TestS1EveryRowAsEverybody(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	id, _, _ := running(k, "walked")
	k.as("olga").post("/api/v1/state/shop/add-namespace", map[string]any{"name": "walked-ns"}).ok()
	rank := map[string]int{"sam": 0, "rita": policies.Rank(policies.RoleRead), "walter": policies.Rank(policies.RoleWrite), "olga": policies.Rank(policies.RoleOwner), "admin": policies.Rank(policies.RoleAdmin)}
	values := map[string]string{"project": "shop", "environment": "dev", "execution_id": "nothing", "organization": models.DefaultOrganization}
	for _, g := range k.groups {
		for _, row := range g.Rows {
			row := row
			t.Run(row.Operation, func(t *testing.T) {
				v := map[string]string{}
				for n, value := range values {
					v[n] = value
				}
				if g.Surface.Name == "own" {
					v["execution_id"], v["namespace"] = id, "walked-ns"
				}
				path := fill(row.Path, v)
				garbage := &caller{k: k, token: "slw_garbage", head: http.Header{}}
				require.Equal(t, http.StatusUnauthorized, garbage.do(row.Method, path, nil).status, "a bad token is refused, on public rows too")
				bearer := k.as("").with("Authorization", "Bearer nothing")
				require.Equal(t, http.StatusUnauthorized, bearer.do(row.Method, path, nil).status)
				p := row.Permission
				if p.Public {
					require.NotContains(t, []int{401, 403}, k.as("").do(row.Method, path, nil).status)
					return
				}
				require.Equal(t, http.StatusUnauthorized, k.as("").do(row.Method, path, nil).status)
				need := level(t, p.Action)
				for user, have := range rank {
					if strings.Contains(row.Path, "{organization}") && user != "admin" {
						have = 0 // the roles are on a project: see TestS1QuotasAsEverybody
					}
					streams := strings.HasSuffix(path, "/events") // would go on as long as the execution
					deletes := row.Method == http.MethodDelete && (row.Operation == "hardDeleteAStateProject" || row.Operation == "hardDeleteAnEnvironment")
					allowed := p.Filtered || need == "any" || need != "run" && have >= policies.Rank(need)
					if allowed && (streams || deletes) {
						continue
					}
					got := k.as(user).do(row.Method, path, nil).status
					switch {
					case allowed:
						require.NotContains(t, []int{401, 403, 500}, got, "%s may %s", user, p.Action)
					case p.On == nil || have > 0:
						require.Equal(t, http.StatusForbidden, got, "%s may not %s, and may know that it is there", user, p.Action)
					default:
						require.Equal(t, http.StatusNotFound, got, "%s may not know that it is there", user)
					}
				}
			})
		}
	}
}

// TestS4ListsShowNothingOfOthers: what a stranger may ask for holds nothing of the shop.
func TestS4ListsShowNothingOfOthers(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	running(k, "listed")
	k.as("walter").post(devJobs+"by-name/web/trigger", nil).id()
	waiting(k, "", "")
	k.as("olga").post(schedulesPath, aSchedule("nightly")).ok()
	k.as("olga").post("/api/v1/state/shop/add-namespace", map[string]any{"name": "shop-ns"}).ok()
	n := 0
	for _, g := range k.groups {
		for _, row := range g.Rows {
			if !row.Permission.Filtered {
				continue
			}
			n++
			text := k.as("sam").get(row.Path + "?group=shop").ok()
			require.NotContains(t, text, "shop", row.Path)
			if !strings.Contains(row.Path, "group") {
				require.Contains(t, k.as("olga").get(row.Path).ok(), "shop", row.Path)
			}
		}
	}
	require.Equal(t, 13, n)
}

// TestS2MissingAndHiddenLookAlike: a project that does not exist and one that the caller may not see get one answer.
func TestS2MissingAndHiddenLookAlike(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	for _, row := range k.groups[0].Rows {
		if row.Permission.On == nil {
			continue
		}
		hidden := k.as("sam").do(row.Method, fill(row.Path, map[string]string{"project": "shop"}), nil)
		missing := k.as("sam").do(row.Method, fill(row.Path, map[string]string{"project": "ghost"}), nil)
		require.Equal(t, missing.status, hidden.status, row.Operation)
		require.Equal(t, string(missing.body), string(hidden.body), row.Operation)
		require.Equal(t, missing.header.Get("Content-Type"), hidden.header.Get("Content-Type"), row.Operation)
	}
}

// badBodies are bodies that no row may answer with a fault of ours.
func badBodies() map[string]string {
	return map[string]string{
		"empty": "", "not JSON": "{", "null": "null", "an array": "[]", "a number": "17", "a string": `"x"`, "true": "true", "two values": "{}{}",
		"unknown members": `{"no_such_member":1}`, "wrong types": `{"name":1,"steps":"x","phases":{},"state":[],"path":1,"inputs":[],"environments":7,"body":1,"message":{}}`,
		"nulls": `{"name":null,"steps":null,"phases":null,"state":null,"path":null,"inputs":null}`, "deep": `{"name":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`,
		"deep objects": strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "NUL": `{"name":"a\u0000b","path":"a\u0000b","message":"a\u0000b"}`, "a raw NUL": "{\"name\":\"a\x00b\"}",
		"not UTF-8": "{\"name\":\"\xff\xfe\"}", "a lone surrogate": `{"name":"\ud800"}`, "large": `{"name":"` + strings.Repeat("x", 10<<20) + `"}`,
		"a large number": `{"name":1e999999}`, "duplicate members": `{"name":"a","name":"b"}`, "a long name": `{"name":"` + strings.Repeat("x", 100000) + `"}`,
	}
}

// TestBadBodiesAreNoFaultOfOurs sends every bad body to every row that reads one.
func TestBadBodiesAreNoFaultOfOurs(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	values := map[string]string{"project": "shop", "environment": "dev", "build": "web", "deployment": "web", "pipeline": "ship", "name": "thing"}
	for _, g := range k.groups {
		for _, row := range g.Rows {
			if row.Method == http.MethodGet || row.Method == http.MethodDelete {
				continue
			}
			t.Run(row.Operation, func(t *testing.T) {
				for name, body := range badBodies() {
					a := k.as("olga").do(row.Method, fill(row.Path, values), body)
					require.Less(t, a.status, 500, "%s: %s", name, a.body)
					if a.status >= 400 {
						want := "text/plain; charset=utf-8"
						if g.Surface.Name == "own" {
							want = "application/json"
						}
						require.Equal(t, want, a.header.Get("Content-Type"), name)
						require.NotEmpty(t, a.body, name)
					}
				}
			})
		}
	}
}

// TestEscapedSlashesInEveryParameter: %2F is part of a name and never of a path.
func TestEscapedSlashesInEveryParameter(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	for _, g := range k.groups {
		for _, row := range g.Rows {
			if row.Operation == "addAStateProject" {
				continue
			}
			for _, m := range pathParameter.FindAllStringSubmatch(row.Path, -1) {
				values := map[string]string{"project": "shop", "environment": "dev", "build": "web", "deployment": "web", "pipeline": "ship"}
				for _, text := range []string{"a%2Fb", "..%2F..", "%00", "%FF", "%25", "a+b", "%20", strings.Repeat("x", 5000), "'%20OR%201=1--"} {
					values[m[1]] = text
					a := k.as("olga").do(row.Method, fill(row.Path, values), "{}")
					require.GreaterOrEqual(t, a.status, 400, "%s %s=%s: %s", row.Operation, m[1], text, a.body)
					require.Less(t, a.status, 500, "%s %s=%s: %s", row.Operation, m[1], text, a.body)
				}
			}
		}
	}
}

// FuzzRows sends anything to any row, as somebody who may do everything: never a fault of ours.
func FuzzRows(f *testing.F) {
	k := onSQLite(f)
	ship(k)
	handler, err := api.New(api.Options{Groups: k.groups, Authenticator: k.authenticator, Policy: k.policy})
	require.NoError(f, err)
	var rows []api.Row
	for _, g := range k.groups {
		for _, row := range g.Rows {
			switch {
			case strings.HasSuffix(row.Path, "logs_ws"): // needs a connection
			case row.Operation == "hardDeleteAStateProject", row.Operation == "hardDeleteAnEnvironment": // would leave nothing to fuzz
			default:
				rows = append(rows, row)
			}
		}
	}
	for i := range rows {
		f.Add(i, "web", "full=true&deployment=web", []byte(`{"name":"x","path":"web","root_stage":"deploy","state":{"stages":{"deploy":{}}}}`))
	}
	f.Add(0, "a%2Fb", "page_size=x;&page_from=%00", []byte("\xff\x00{"))
	f.Fuzz(func(t *testing.T, index int, name, query string, body []byte) {
		if index < 0 {
			index = -(index + 1)
		}
		row := rows[index%len(rows)]
		values := map[string]string{"project": "shop", "environment": "dev"}
		for _, m := range pathParameter.FindAllStringSubmatch(row.Path, -1) {
			if _, ok := values[m[1]]; !ok {
				values[m[1]] = escapeParameter(name)
			}
		}
		r := httptest.NewRequest(row.Method, "http://slipway.example.com/", bytes.NewReader(body))
		u, err := r.URL.Parse(fill(row.Path, values))
		if err != nil {
			return
		}
		r.URL = u
		r.URL.RawQuery = query
		r.Header.Set("X-Escape-Token", k.tokens["olga"])
		r.Header.Set("X-GitHub-Event", "push")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%s %s?%s with %q: %d %s", row.Method, u, query, body, w.Code, w.Body)
		}
	})
}

// escapeParameter makes any text one part of a path, with bytes that are no text kept.
func escapeParameter(text string) string {
	if text == "" {
		return "x"
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		b.WriteByte('%')
		b.WriteByte(hex[text[i]>>4])
		b.WriteByte(hex[text[i]&15])
	}
	return b.String()
}
