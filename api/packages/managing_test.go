package packages_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	surface "slipway/api/packages"
	"slipway/models"
	"slipway/policies"
)

var timePattern = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)

// documented checks that an object has exactly the documented members, with times in the documented form.
func documented(t *testing.T, o map[string]any, members ...string) {
	t.Helper()
	want := append([]string{"id", "created_at", "updated_at"}, members...)
	var have []string
	for k := range o {
		have = append(have, k)
	}
	require.ElementsMatch(t, want, have)
	require.Regexp(t, timePattern, o["created_at"])
	require.Regexp(t, timePattern, o["updated_at"])
}

func TestTheSurfaceHasADocument(t *testing.T) {
	g := surface.New(surface.Options{})
	doc, err := api.OpenAPI(g)
	require.NoError(t, err)
	for _, row := range g.Rows {
		require.Contains(t, string(doc), `"operationId": "`+row.Operation+`"`)
	}
	require.Len(t, g.Rows, 27+1+4, "the documented operations, the upload, and what Composer asks for")
}

func TestEveryDocumentedOperationHasItsRow(t *testing.T) {
	rows := map[string]string{}
	for _, row := range surface.New(surface.Options{}).Rows {
		rows[row.Operation] = row.Method + " " + row.Path
	}
	contract, err := os.ReadFile("testdata/operations.tsv")
	require.NoError(t, err)
	count := 0
	for line := range strings.Lines(string(contract)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		require.Equal(t, f[2]+" "+f[3], rows[f[1]], f[1])
		count++
	}
	require.Equal(t, 27, count)
}

func TestDocumentedShapesAndStatuses(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		require.JSONEq(t, "[]", string(s.must(200, "GET", "/packages", nil).body))
		require.JSONEq(t, "[]", string(s.must(200, "GET", "/consumers", nil).body))

		a := s.must(201, "POST", "/packages", object{"name": "vendor/first", "description": "Package description", "status": 1})
		documented(t, a.object(t), "name", "description", "status")
		p := s.id(a)
		a = s.must(201, "PUT", fmt.Sprintf("/packages/%d", p), object{"name": "vendor/name", "description": "Other", "status": 0})
		require.Equal(t, 0.0, a.object(t)["status"])
		a = s.must(201, "PATCH", fmt.Sprintf("/packages/%d", p), object{"status": "1"})
		require.Equal(t, 1.0, a.object(t)["status"])
		require.Equal(t, "vendor/name", a.object(t)["name"])
		require.Equal(t, "Other", a.object(t)["description"])
		documented(t, s.must(200, "GET", fmt.Sprintf("/packages/%d", p), nil).object(t), "name", "description", "status")
		list := s.must(200, "GET", "/packages", nil).list(t)
		require.Len(t, list, 1)
		documented(t, list[0], "name", "description", "status")

		a = s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": "8.7.2", "filename": "438411134.zip", "status": 1})
		documented(t, a.object(t), "package_id", "name", "filename", "status")
		v := s.id(a)
		a = s.must(200, "PUT", fmt.Sprintf("/versions/%d", v), object{"name": "8.7.3", "filename": "1.zip", "status": 0})
		documented(t, a.object(t), "package_id", "name", "filename", "status")
		require.Equal(t, "8.7.3", a.object(t)["name"])
		s.must(200, "PATCH", fmt.Sprintf("/versions/%d", v), object{"status": 1})
		documented(t, s.must(200, "GET", fmt.Sprintf("/versions/%d", v), nil).object(t), "package_id", "name", "filename", "status")
		require.Len(t, s.must(200, "GET", fmt.Sprintf("/versions/package/%d", p), nil).list(t), 1)

		keys := object{"email": "one@example.com", "public_key": strings.Repeat("p", 60), "private_key": strings.Repeat("s", 60)}
		a = s.must(201, "POST", "/consumers", keys)
		documented(t, a.object(t), "email", "public_key", "private_key")
		require.Equal(t, keys["private_key"], a.object(t)["private_key"])
		c := s.id(a)
		made := s.must(201, "POST", "/consumers", object{"email": "one@example.com"}).object(t)
		require.Regexp(t, `^[A-Za-z0-9]{60}$`, made["public_key"])
		require.Regexp(t, `^[A-Za-z0-9]{60}$`, made["private_key"])
		require.NotEqual(t, made["public_key"], made["private_key"])
		s.must(201, "POST", "/consumers", object{"email": "two@example.com"})
		require.Len(t, s.must(200, "GET", "/consumers", nil).list(t), 3)
		list = s.must(200, "GET", "/consumers/email/One@example.com", nil).list(t)
		require.Len(t, list, 2, "several consumers may share an address, in whatever case")
		require.Equal(t, keys["private_key"], list[0]["private_key"])
		require.JSONEq(t, "[]", string(s.must(200, "GET", "/consumers/email/none@example.com", nil).body))
		a = s.must(200, "PUT", fmt.Sprintf("/consumers/%d", c), object{"email": "new@example.com"})
		require.Equal(t, keys["public_key"], a.object(t)["public_key"])
		require.Equal(t, keys["private_key"], a.object(t)["private_key"])
		a = s.must(200, "PATCH", fmt.Sprintf("/consumers/%d", c), object{"public_key": "another-key"})
		require.Equal(t, "another-key", a.object(t)["public_key"])
		require.Equal(t, keys["private_key"], s.must(200, "GET", fmt.Sprintf("/consumers/%d", c), nil).object(t)["private_key"])

		a = s.must(201, "POST", "/permissions", object{"consumer_id": c, "package_id": fmt.Sprint(p), "version": "5.*"})
		documented(t, a.object(t), "consumer_id", "package_id", "version")
		perm := s.id(a)
		s.must(201, "POST", "/permissions", object{"consumer_id": c, "package_id": p, "version": "4.*"})
		a = s.must(200, "PUT", fmt.Sprintf("/permissions/%d", perm), object{"consumer_id": c, "package_id": p, "version": "8.*"})
		require.Equal(t, "8.*", a.object(t)["version"])
		s.must(200, "PATCH", fmt.Sprintf("/permissions/%d", perm), object{"version": "^8.1 || 9.*"})
		documented(t, s.must(200, "GET", fmt.Sprintf("/permissions/%d", perm), nil).object(t), "consumer_id", "package_id", "version")
		for _, path := range []string{"/consumers/%d/packages/%d", "/permissions/consumer/%d/package/%d"} {
			list = s.must(200, "GET", fmt.Sprintf(path, c, p), nil).list(t)
			require.Len(t, list, 2)
			documented(t, list[0], "consumer_id", "package_id", "version")
			require.Equal(t, "^8.1 || 9.*", list[0]["version"])
		}
		list = s.must(200, "GET", fmt.Sprintf("/consumers/%d/packages", c), nil).list(t)
		require.Len(t, list, 1)
		documented(t, list[0], "name", "description", "status")

		for _, path := range []string{fmt.Sprintf("/permissions/%d", perm), fmt.Sprintf("/versions/%d", v), fmt.Sprintf("/consumers/%d", c), fmt.Sprintf("/packages/%d", p)} {
			require.Empty(t, s.must(204, "DELETE", path, nil).body, path)
			s.must(404, "GET", path, nil)
			s.must(404, "DELETE", path, nil)
		}
	})
}

func TestBadInputIsRefusedWithAMessageForEachField(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p, q := s.newPackage("acme/hello"), s.newPackage("acme/other")
		c, d := s.newConsumer("a@example.com"), s.newConsumer("b@example.com")
		s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": "1.0"})
		v := s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": "2.0"}))
		perm := s.permit(c, p, "5.*")
		path := func(format string, id int64) string { return fmt.Sprintf(format, id) }
		for _, test := range []struct {
			method, path string
			body         any
			fields       []string
		}{
			{"POST", "/packages", object{}, []string{"name"}},
			{"POST", "/packages", object{"name": nil}, []string{"name"}},
			{"POST", "/packages", object{"name": "novendor"}, []string{"name"}},
			{"POST", "/packages", object{"name": "Acme/Hello", "status": 2}, []string{"name", "status"}},
			{"POST", "/packages", object{"name": "acme/hello"}, []string{"name"}}, // taken
			{"POST", "/packages", object{"name": 5}, []string{"name"}},
			{"POST", "/packages", object{"name": "a/b", "status": "on"}, []string{"status"}},
			{"PUT", path("/packages/%d", q), object{"name": "acme/hello"}, []string{"name"}},
			{"PUT", path("/packages/%d", q), object{"description": strings.Repeat("x", 20_000)}, []string{"description"}},
			{"POST", path("/versions/package/%d", p), object{"filename": "x.zip"}, []string{"name"}},
			{"POST", path("/versions/package/%d", p), object{"name": "no version"}, []string{"name"}},
			{"POST", path("/versions/package/%d", p), object{"name": "v1.0.0"}, []string{"name"}}, // is 1.0
			{"POST", path("/versions/package/%d", p), object{"name": "3.0", "filename": "../x.zip"}, []string{"filename"}},
			{"POST", path("/versions/package/%d", p), object{"name": "3.0", "filename": "a\nb"}, []string{"filename"}},
			{"PATCH", path("/versions/%d", v), object{"name": "1.0.0.0"}, []string{"name"}},
			{"POST", "/consumers", object{}, []string{"email"}},
			{"POST", "/consumers", object{"email": "no address", "public_key": "a:b", "private_key": "short"}, []string{"email", "public_key", "private_key"}},
			{"POST", "/consumers", object{"email": "Ann <a@example.com>"}, []string{"email"}},
			{"POST", "/consumers", object{"email": "a@example.com", "private_key": "slw_12345678"}, []string{"private_key"}},
			{"POST", "/consumers", object{"email": "a@example.com", "public_key": c.public}, []string{"public_key"}}, // taken
			{"PUT", path("/consumers/%d", d.id), object{"public_key": c.public}, []string{"public_key"}},
			{"POST", "/permissions", object{}, []string{"consumer_id", "package_id", "version"}},
			{"POST", "/permissions", object{"consumer_id": c.id, "package_id": p, "version": "5.*.3"}, []string{"version"}},
			{"POST", "/permissions", object{"consumer_id": c.id, "package_id": p, "version": ""}, []string{"version"}},
			{"POST", "/permissions", object{"consumer_id": c.id + 1000, "package_id": p + 1000, "version": "*"}, []string{"consumer_id", "package_id"}},
			{"PUT", path("/permissions/%d", perm), object{"version": "~> 1.0"}, []string{"version"}},
			{"PUT", path("/permissions/%d", perm), object{"package_id": p + 1000}, []string{"package_id"}},
		} {
			a := s.must(400, test.method, test.path, test.body)
			var body struct {
				Message string
				Errors  map[string][]string
			}
			decode(t, a, &body)
			require.NotEmpty(t, body.Message)
			var have []string
			for f, messages := range body.Errors {
				have = append(have, f)
				require.NotEmpty(t, messages[0])
			}
			require.ElementsMatch(t, test.fields, have, "%s %s %v: %s", test.method, test.path, test.body, a.body)
		}
		for _, body := range []string{"", "{", "[]", `"x"`, `{"name":"a/b"} x`, "\xff"} {
			s.must(400, "POST", "/packages", body)
		}

		// Nothing of it was saved.
		require.Len(t, s.must(200, "GET", "/packages", nil).list(t), 2)
		require.Len(t, s.must(200, "GET", "/consumers", nil).list(t), 2)
		list := s.must(200, "GET", fmt.Sprintf("/consumers/%d/packages/%d", c.id, p), nil).list(t)
		require.Len(t, list, 1)
		require.Equal(t, "5.*", list[0]["version"])
		a := s.must(400, "POST", "/permissions", object{"consumer_id": c.id, "package_id": p, "version": "5.*.3"})
		require.Contains(t, string(a.body), `5.*.3`, "the message names the constraint")
	})
}

func TestUnknownIdsAre404AndNoCredentialIs401(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		for _, path := range []string{"/packages/%s", "/versions/%s", "/consumers/%s", "/permissions/%s", "/versions/package/%s", "/consumers/%s/packages",
			"/consumers/%s/packages/1", "/permissions/consumer/%s/package/1"} {
			for _, id := range []string{"1", "0", "-1", "999999999999", "99999999999999999999", "x", "1.0", "%2e%2e"} {
				a := s.must(404, "GET", fmt.Sprintf(path, id), nil)
				require.Contains(t, string(a.body), "message", path)
			}
		}
		for _, row := range [][2]string{{"GET", "/packages"}, {"POST", "/packages"}, {"GET", "/consumers"}, {"GET", "/packages/1"}, {"PUT", "/versions/1/archive"},
			{"GET", "/packages.json"}, {"GET", "/p2/acme/hello.json"}, {"GET", "/dist/acme/hello/1.zip"}, {"POST", "/downloads"}} {
			a := s.request(row[0], row[1], nil, nil)
			require.Equal(t, 401, a.status, row)
			require.NotEmpty(t, a.header.Get("WWW-Authenticate"), row)
			require.Equal(t, 401, s.as("slw_nonsense", row[0], row[1], nil).status, row)
		}
	})
}

// S1: the roles, on one row of each kind.
func TestS1WhoMayDoWhat(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		v := s.newVersion(p, "acme/hello", "1.0")
		c := s.newConsumer("a@example.com")
		perm := s.permit(c, p, "*")
		path := func(format string, id int64) string { return fmt.Sprintf(format, id) }
		for _, test := range []struct {
			method, path                    string
			body                            any
			reader, writer, owner, stranger int
		}{
			{"GET", "/packages", nil, 200, 200, 200, 404},
			{"GET", path("/packages/%d", p), nil, 200, 200, 200, 404},
			{"GET", path("/versions/package/%d", p), nil, 200, 200, 200, 404},
			{"GET", path("/versions/%d", v), nil, 200, 200, 200, 404},
			{"POST", "/packages", object{}, 403, 400, 400, 404},
			{"PATCH", path("/packages/%d", p), object{}, 403, 201, 201, 404},
			{"PATCH", path("/versions/%d", v), object{}, 403, 200, 200, 404},
			{"POST", path("/versions/package/%d", p), object{}, 403, 400, 400, 404},
			{"PUT", path("/versions/%d/archive", v), archiveOf(t, "acme/hello", "1.0"), 403, 200, 200, 404},
			{"GET", "/consumers", nil, 403, 403, 200, 404},
			{"GET", "/consumers/email/a@example.com", nil, 403, 403, 200, 404},
			{"GET", path("/consumers/%d", c.id), nil, 403, 403, 200, 404},
			{"PATCH", path("/consumers/%d", c.id), object{}, 403, 403, 200, 404},
			{"POST", "/consumers", object{}, 403, 403, 400, 404},
			{"GET", path("/consumers/%d/packages", c.id), nil, 403, 403, 200, 404},
			{"GET", fmt.Sprintf("/consumers/%d/packages/%d", c.id, p), nil, 403, 403, 200, 404},
			{"GET", path("/permissions/%d", perm), nil, 403, 403, 200, 404},
			{"PATCH", path("/permissions/%d", perm), object{}, 403, 403, 200, 404},
			{"POST", "/permissions", object{}, 403, 403, 400, 404},
			{"DELETE", path("/permissions/%d", perm+1000), nil, 404, 404, 404, 404},
			{"GET", "/packages.json", nil, 200, 200, 200, 404},
			{"GET", "/p2/acme/hello.json", nil, 200, 200, 200, 404},
			{"GET", path("/dist/acme/hello/%d.zip", v), nil, 200, 200, 200, 404},
		} {
			for token, want := range map[string]int{s.reader: test.reader, s.writer: test.writer, s.owner: test.owner, s.admin: test.owner, s.stranger: test.stranger} {
				a := s.as(token, test.method, test.path, test.body)
				require.Equal(t, want, a.status, "%s %s: %s", test.method, test.path, a.body)
				if want != 200 {
					require.NotContains(t, string(a.body), c.private)
				}
			}
			// A consumer's keys are for the repository alone.
			a := s.request(test.method, test.path, test.body, func(r *http.Request) { r.SetBasicAuth(c.public, c.private) })
			if strings.Contains(test.path, ".json") || strings.Contains(test.path, "/dist/") {
				require.Equal(t, 200, a.status, test.path)
			} else {
				require.Contains(t, []int{401, 429}, a.status, test.path) // as any wrong password
			}
		}
	})
}

// S2, S3, S4: organizations do not see each other, by whatever id.
func TestS2OrganizationsAreApart(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		_, other := s.organization("other-org")
		p := s.newPackage("acme/hello")
		v := s.newVersion(p, "acme/hello", "1.0")
		c := s.newConsumer("a@example.com")
		perm := s.permit(c, p, "*")

		// The same name is free in another organization.
		a := s.as(other, "POST", "/packages", object{"name": "acme/hello", "organization_id": "x", "id": p})
		require.Equal(t, 201, a.status, string(a.body))
		theirs := s.id(a)
		require.NotEqual(t, p, theirs)
		a = s.as(other, "POST", "/consumers", object{"email": "a@example.com"})
		require.Equal(t, 201, a.status)
		theirConsumer := s.id(a)

		require.Len(t, s.as(other, "GET", "/packages", nil).list(t), 1)
		require.Len(t, s.as(other, "GET", "/consumers", nil).list(t), 1)
		require.Len(t, s.as(other, "GET", "/consumers/email/a@example.com", nil).list(t), 1)
		for _, row := range [][2]string{{"GET", "/packages/%d"}, {"PUT", "/packages/%d"}, {"DELETE", "/packages/%d"}, {"GET", "/versions/package/%d"}, {"POST", "/versions/package/%d"}} {
			require.Equal(t, 404, s.as(other, row[0], fmt.Sprintf(row[1], p), object{"name": "x/y"}).status, row)
		}
		for _, row := range [][2]string{{"GET", "/versions/%d"}, {"PATCH", "/versions/%d"}, {"DELETE", "/versions/%d"}, {"PUT", "/versions/%d/archive"}} {
			require.Equal(t, 404, s.as(other, row[0], fmt.Sprintf(row[1], v), object{"name": "1.1"}).status, row)
		}
		for _, row := range [][2]string{{"GET", "/consumers/%d"}, {"PATCH", "/consumers/%d"}, {"DELETE", "/consumers/%d"}, {"GET", "/consumers/%d/packages"}} {
			require.Equal(t, 404, s.as(other, row[0], fmt.Sprintf(row[1], c.id), object{}).status, row)
		}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			require.Equal(t, 404, s.as(other, method, fmt.Sprintf("/permissions/%d", perm), object{}).status)
		}
		// In bodies, and as the second id of a path.
		require.Equal(t, 400, s.as(other, "POST", "/permissions", object{"consumer_id": theirConsumer, "package_id": p, "version": "*"}).status)
		require.Equal(t, 400, s.as(other, "POST", "/permissions", object{"consumer_id": c.id, "package_id": theirs, "version": "*"}).status)
		s.must(400, "PATCH", fmt.Sprintf("/permissions/%d", perm), object{"package_id": theirs})
		s.must(400, "PATCH", fmt.Sprintf("/permissions/%d", perm), object{"consumer_id": theirConsumer})
		require.Equal(t, 404, s.as(other, "GET", fmt.Sprintf("/consumers/%d/packages/%d", theirConsumer, p), nil).status)
		// A version cannot be moved to another package.
		a = s.must(200, "PATCH", fmt.Sprintf("/versions/%d", v), object{"package_id": theirs, "downloads": 99, "archive_key": "x"})
		require.Equal(t, float64(p), a.object(t)["package_id"])
		require.NotContains(t, a.object(t), "downloads")
		// The default organization is the one that is meant where the token says nothing, also for who may everything.
		require.Len(t, s.as(s.admin, "GET", "/packages", nil).list(t), 1)
		require.Equal(t, float64(p), s.as(s.admin, "GET", "/packages", nil).list(t)[0]["id"])
	})
}

// The audit log has every change and every look at a private key, and no key.
func TestS24AuditOfChangesAndOfReadKeys(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		v := s.newVersion(p, "acme/hello", "1.0")
		c := s.newConsumer("a@example.com")
		perm := s.permit(c, p, "*")
		s.must(200, "GET", "/consumers", nil)
		s.must(200, "GET", "/consumers/email/a@example.com", nil)
		s.must(200, "GET", fmt.Sprintf("/consumers/%d", c.id), nil)
		s.must(204, "DELETE", fmt.Sprintf("/permissions/%d", perm), nil)
		s.must(204, "DELETE", fmt.Sprintf("/versions/%d", v), nil)
		s.must(400, "POST", "/packages", object{"name": "nothing"})
		s.as(s.reader, "GET", "/consumers", nil)

		lines, err := s.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{Limit: 100})
		require.NoError(t, err)
		var actions []string
		for _, l := range lines {
			if l.ActorName != "owner" {
				continue
			}
			actions = append(actions, l.Action)
			require.NotContains(t, fmt.Sprint(l), c.private)
		}
		require.ElementsMatch(t, []string{"package:create", "version:create", "version:upload", "consumer:create", "permission:create",
			"consumer:read", "consumer:read", "consumer:read", "permission:delete", "version:delete"}, actions)
	})
}

// S11: private keys are nowhere in the database as they are, and are of no use in another row.
func TestS11PrivateKeysAreEncrypted(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		a, b := s.newConsumer("a@example.com"), s.newConsumer("b@example.com")
		stored, err := s.store.ConsumerByID(t.Context(), a.id)
		require.NoError(t, err)
		require.NotContains(t, string(stored.SealedPrivateKey), a.private)
		other, err := s.store.ConsumerByID(t.Context(), b.id)
		require.NoError(t, err)
		other.SealedPrivateKey = stored.SealedPrivateKey
		_, err = s.store.PrivateKey(other)
		require.Error(t, err)
	})
}
