package packages_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/api"
	surface "slipway/api/packages"
)

func decode(t *testing.T, a answer, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.body, v), string(a.body))
}

func TestConsumersSeeWhatTheirPermissionsAdmit(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		hello, tools, hidden := s.newPackage("acme/hello"), s.newPackage("acme/tools"), s.newPackage("acme/hidden")
		ids := map[string]int64{}
		for _, v := range []string{"4.9.0", "5.0.0-alpha1", "5.1.0", "5.2.0", "6.0.0", "50.0", "dev-main", "5.x-dev"} {
			ids[v] = s.newVersion(hello, "acme/hello", v)
		}
		s.newVersion(tools, "acme/tools", "1.0")
		s.newVersion(hidden, "acme/hidden", "1.0")
		// Without an archive nobody sees it.
		s.must(201, "POST", fmt.Sprintf("/versions/package/%d", hello), object{"name": "5.3.0"})

		c := s.newConsumer("a@example.com")
		require.Empty(t, c.available())
		require.Nil(t, c.versions("acme/hello"))

		s.permit(c, hello, "5.*")
		require.Equal(t, []string{"acme/hello"}, c.available())
		require.Equal(t, []string{"5.2.0", "5.1.0", "5.0.0-alpha1"}, c.versions("acme/hello"))
		require.Equal(t, []string{"5.x-dev"}, c.versions("acme/hello~dev"))
		require.Nil(t, c.versions("acme/hidden"))
		require.Nil(t, c.versions("acme/tools"))

		// Several permissions add up.
		s.permit(c, hello, "~4.9 || dev-main")
		tool := s.permit(c, tools, "^2.0")
		require.Equal(t, []string{"5.2.0", "5.1.0", "5.0.0-alpha1", "4.9.0"}, c.versions("acme/hello"))
		require.Equal(t, []string{"5.x-dev", "dev-main"}, c.versions("acme/hello~dev"))
		require.Equal(t, []string{"acme/hello"}, c.available(), "a package of which nothing is admitted is not there")
		s.must(200, "PUT", fmt.Sprintf("/permissions/%d", tool), object{"version": "*"})
		require.Equal(t, []string{"acme/hello", "acme/tools"}, c.available())

		// Statuses.
		s.must(200, "PATCH", fmt.Sprintf("/versions/%d", ids["5.2.0"]), object{"status": 0})
		require.Equal(t, []string{"5.1.0", "5.0.0-alpha1", "4.9.0"}, c.versions("acme/hello"))
		s.must(201, "PATCH", fmt.Sprintf("/packages/%d", hello), object{"status": 0})
		require.Nil(t, c.versions("acme/hello"))
		require.Equal(t, []string{"acme/tools"}, c.available())
		s.must(201, "PATCH", fmt.Sprintf("/packages/%d", hello), object{"status": 1})
		require.Equal(t, []string{"5.1.0", "5.0.0-alpha1", "4.9.0"}, c.versions("acme/hello"))

		// A permission that moves to another consumer moves for both.
		d := s.newConsumer("b@example.com")
		s.must(200, "PUT", fmt.Sprintf("/permissions/%d", tool), object{"consumer_id": d.id})
		require.Equal(t, []string{"acme/hello"}, c.available())
		require.Equal(t, []string{"acme/tools"}, d.available())

		s.must(204, "DELETE", fmt.Sprintf("/packages/%d", hello), nil)
		require.Empty(t, c.available())
		require.Nil(t, c.versions("acme/hello"))
	})
}

func TestMetadataIsTheArchivesAndPointsToIt(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		v := s.newVersion(p, "acme/hello", "1.0")
		c := s.newConsumer("a@example.com")
		s.permit(c, p, "*")

		root := c.get("/packages.json", "").object(t)
		require.Equal(t, "/p2/%package%.json", root["metadata-url"])
		require.Equal(t, "/downloads", root["notify-batch"])
		require.Equal(t, []any{}, root["packages"])

		stored := s.must(200, "GET", fmt.Sprintf("/versions/%d", v), nil).object(t)
		require.Equal(t, "acme-hello-1.0.zip", stored["filename"])
		file := c.get("/p2/acme/hello.json", "").object(t)
		require.Equal(t, "composer/2.0", file["minified"])
		m := file["packages"].(object)["acme/hello"].([]any)[0].(object)
		require.Equal(t, "acme/hello", m["name"])
		require.Equal(t, "1.0", m["version"])
		require.Equal(t, "1.0.0.0", m["version_normalized"])
		require.Equal(t, "Says hello", m["description"])
		require.Equal(t, object{"psr-4": object{"Acme\\": "src/"}}, m["autoload"])
		require.Equal(t, object{"type": "zip", "url": fmt.Sprintf("%s/dist/acme/hello/%d.zip", s.url, v), "shasum": stored["sha1"], "reference": stored["sha1"]}, m["dist"])

		a := c.get(fmt.Sprintf("/dist/acme/hello/%d.zip", v), "")
		require.Equal(t, 200, a.status)
		require.Equal(t, archiveOf(t, "acme/hello", "1.0"), a.body)
		require.Equal(t, "application/zip", a.header.Get("Content-Type"))
		require.Equal(t, `attachment; filename=acme-hello-1.0.zip`, a.header.Get("Content-Disposition"))

		// Behind a proxy that speaks TLS, and under whatever name the client uses.
		a = s.request("GET", "/p2/acme/hello.json", nil, func(r *http.Request) {
			r.SetBasicAuth(c.public, c.private)
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Host = "packages.example.com"
		})
		require.Contains(t, string(a.body), `"url":"https://packages.example.com/dist/acme/hello/`)

		// Composer 1 gets everything at once.
		a = s.request("GET", "/packages.json", nil, func(r *http.Request) {
			r.SetBasicAuth(c.public, c.private)
			r.Header.Set("User-Agent", "Composer/1.10.27 (Linux; 5.10; PHP 7.4.33)")
		})
		require.Empty(t, a.header.Get("Last-Modified"))
		m = a.object(t)["packages"].(object)["acme/hello"].(object)["1.0"].(object)
		require.Equal(t, "acme/hello", m["name"])
		require.Contains(t, m["dist"].(object)["url"], s.url+"/dist/")
		require.NotContains(t, a.object(t), "metadata-url")
	})
}

func TestBehindAProxyThatGivesAPath(t *testing.T) {
	s := newServer(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), func(_ *server, o *surface.Options) []api.Group {
		o.PublicURL = "https://example.com/composer/"
		return nil
	})
	p := s.newPackage("acme/hello")
	v := s.newVersion(p, "acme/hello", "1.0")
	c := s.newConsumer("a@example.com")
	s.permit(c, p, "*")
	root := c.get("/packages.json", "").object(t)
	require.Equal(t, "/composer/p2/%package%.json", root["metadata-url"])
	require.Equal(t, "/composer/downloads", root["notify-batch"])
	require.Contains(t, string(c.get("/p2/acme/hello.json", "").body), fmt.Sprintf(`"https://example.com/composer/dist/acme/hello/%d.zip"`, v))
}

// A client's cache knows the repository, not the consumer: no Last-Modified may stand for two answers.
func TestLastModifiedMovesOnEveryChange(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p, q := s.newPackage("acme/hello"), s.newPackage("acme/other")
		c, d := s.newConsumer("a@example.com"), s.newConsumer("b@example.com")
		seen := map[string]bool{}
		last := map[int64]time.Time{}
		// moved expects an answer that is new, and 304 for it the next time.
		moved := func(what string, k consumer, paths ...string) {
			t.Helper()
			for _, path := range append(paths, "/packages.json") {
				a := k.get(path, "")
				require.Equal(t, 200, a.status, what)
				modified := a.header.Get("Last-Modified")
				at, err := http.ParseTime(modified)
				require.NoError(t, err, what)
				if path == "/packages.json" {
					require.False(t, seen[modified], "%s: %s was there before", what, modified)
					require.True(t, at.After(last[k.id]), "%s: %s is not after %s", what, at, last[k.id])
					seen[modified], last[k.id] = true, at
				}
				b := k.get(path, modified)
				require.Equal(t, 304, b.status, what)
				require.Empty(t, b.body)
				// Neither what others were given nor an earlier or later time.
				for other := range seen {
					if other != modified {
						require.Equal(t, 200, k.get(path, other).status, what)
					}
				}
				require.Equal(t, 200, k.get(path, at.Add(time.Hour).Format(http.TimeFormat)).status, what)
				require.Equal(t, 200, k.get(path, "nonsense").status, what)
			}
		}
		unmoved := func(what string, k consumer) {
			t.Helper()
			a := k.get("/packages.json", "")
			require.True(t, seen[a.header.Get("Last-Modified")], what)
		}
		const file = "/p2/acme/hello.json"
		moved("a new consumer", c)
		perm := s.permit(c, p, "5.*")
		moved("a permission", c)
		v := s.newVersion(p, "acme/hello", "5.0")
		moved("a version", c, file)
		moved("another consumer", d)
		s.permit(d, p, "*")
		moved("another consumer's permission", d, file)
		unmoved("another consumer's permission", c)
		s.must(200, "PATCH", fmt.Sprintf("/permissions/%d", perm), object{"version": "5.0"})
		moved("a changed permission", c, file)
		s.must(201, "PATCH", fmt.Sprintf("/packages/%d", p), object{"description": "Other"})
		moved("a changed package", c, file)
		moved("a changed package", d, file)
		s.must(200, "PATCH", fmt.Sprintf("/versions/%d", v), object{"status": 0})
		moved("a version that was disabled", c)
		s.must(200, "PATCH", fmt.Sprintf("/versions/%d", v), object{"status": 1})
		moved("a version that was enabled", c, file)
		w := s.newVersion(p, "acme/hello", "5.1")
		moved("another version", c, file)
		s.must(204, "DELETE", fmt.Sprintf("/versions/%d", w), nil)
		moved("a deleted version", c, file)
		s.newVersion(q, "acme/other", "1.0")
		unmoved("a package that is not the consumer's", c)
		s.must(200, "PATCH", fmt.Sprintf("/consumers/%d", c.id), object{"email": "c@example.com"})
		moved("a changed consumer", c, file)
		known := c.get(file, "").header.Get("Last-Modified")
		s.must(204, "DELETE", fmt.Sprintf("/permissions/%d", perm), nil)
		moved("a permission that was taken away", c)
		require.Equal(t, 404, c.get(file, known).status, "no 304 for what is not the consumer's any more")
		s.permit(c, p, "*")
		moved("a permission again", c, file)
		s.must(204, "DELETE", fmt.Sprintf("/packages/%d", p), nil)
		moved("a deleted package", c)
		moved("a deleted package", d)
	})
}

func TestWrongKeysAndRevokedConsumers(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		v := s.newVersion(p, "acme/hello", "1.0")
		c := s.newConsumer("a@example.com")
		s.permit(c, p, "*")
		zip := fmt.Sprintf("/dist/acme/hello/%d.zip", v)
		paths := []string{"/packages.json", "/p2/acme/hello.json", zip}
		since := c.get("/packages.json", "").header.Get("Last-Modified")

		for _, wrong := range []consumer{{s: s, public: c.public, private: c.private[:59]}, {s: s, public: c.public, private: c.private + "x"},
			{s: s, public: "nobody", private: c.private}, {s: s, public: c.private, private: c.public}} {
			for _, path := range paths[:2] {
				a := wrong.get(path, since)
				require.Equal(t, 401, a.status)
				require.Contains(t, a.header.Get("WWW-Authenticate"), "Basic")
			}
		}
		for _, path := range paths {
			require.Equal(t, 200, c.get(path, "").status)
		}

		// New keys: the old ones end at once.
		old := c
		c.private = s.must(200, "PATCH", fmt.Sprintf("/consumers/%d", c.id), object{"private_key": strings.Repeat("n", 60)}).object(t)["private_key"].(string)
		require.Equal(t, 401, old.get("/packages.json", since).status)
		require.Equal(t, 200, c.get("/packages.json", "").status)
		since = c.get("/packages.json", "").header.Get("Last-Modified")

		s.must(204, "DELETE", fmt.Sprintf("/consumers/%d", c.id), nil)
		for _, path := range paths {
			require.Equal(t, 401, c.get(path, since).status, path)
		}
	})
}

func TestS17GuessingKeysIsSlowedDown(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		c, other := s.newConsumer("a@example.com"), s.newConsumer("b@example.com")
		wrong := consumer{s: s, public: c.public, private: strings.Repeat("x", 60)}
		for range 10 {
			require.Equal(t, 401, wrong.get("/packages.json", "").status)
		}
		a := wrong.get("/packages.json", "")
		require.Equal(t, 429, a.status)
		require.NotEmpty(t, a.header.Get("Retry-After"))
		require.Equal(t, 200, other.get("/packages.json", "").status, "others are not concerned")
		// Right keys cost nothing, however often they come.
		for range 30 {
			require.Equal(t, 200, other.get("/packages.json", "").status)
		}
	})
}

func TestArchivesAreCheckedAgainAtDownload(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p, q := s.newPackage("acme/hello"), s.newPackage("acme/other")
		five, six := s.newVersion(p, "acme/hello", "5.0"), s.newVersion(p, "acme/hello", "6.0")
		other := s.newVersion(q, "acme/other", "5.0")
		c := s.newConsumer("a@example.com")
		perm := s.permit(c, p, "5.*")
		get := func(name string, id int64) int { return c.get(fmt.Sprintf("/dist/%s/%d.zip", name, id), "").status }
		require.Equal(t, 200, get("acme/hello", five))
		// What is not admitted and what is not there are refused alike.
		require.Equal(t, 403, get("acme/hello", six))
		require.Equal(t, 403, get("acme/other", other))
		require.Equal(t, 403, get("acme/hello", other))
		require.Equal(t, 403, get("acme/other", five))
		require.Equal(t, 403, get("acme/hello", 99999))
		require.Equal(t, 404, c.get("/dist/acme/hello/x.zip", "").status)
		require.Equal(t, 404, c.get(fmt.Sprintf("/dist/acme/hello/%d.tar", five), "").status)

		s.must(200, "PATCH", fmt.Sprintf("/versions/%d", five), object{"status": 0})
		require.Equal(t, 403, get("acme/hello", five))
		s.must(200, "PATCH", fmt.Sprintf("/versions/%d", five), object{"status": 1})
		require.Equal(t, 200, get("acme/hello", five))
		s.must(204, "DELETE", fmt.Sprintf("/permissions/%d", perm), nil)
		require.Equal(t, 403, get("acme/hello", five))
	})
}

func TestDownloadsAreCounted(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p, q := s.newPackage("acme/hello"), s.newPackage("acme/other")
		one, two := s.newVersion(p, "acme/hello", "1.0"), s.newVersion(p, "acme/hello", "2.0")
		other := s.newVersion(q, "acme/other", "1.0")
		c := s.newConsumer("a@example.com")
		s.permit(c, p, "1.*")
		since := c.get("/packages.json", "").header.Get("Last-Modified")
		notify := func(body any) int {
			return s.request("POST", "/downloads", body, func(r *http.Request) { r.SetBasicAuth(c.public, c.private) }).status
		}
		entry := func(name, version string) object { return object{"name": name, "version": version} }
		for range 2 {
			require.Equal(t, 204, notify(object{"downloads": []object{entry("acme/hello", "1.0.0.0"), entry("acme/hello", "1.0.0.0"),
				entry("acme/hello", "2.0.0.0"), entry("acme/other", "1.0.0.0"), entry("nobody/knows", "1.0.0.0")}}))
		}
		count := func(id int64) any {
			return s.must(200, "GET", fmt.Sprintf("/versions/%d", id), nil).object(t)["downloads"]
		}
		require.Equal(t, 2.0, count(one), "twice in one report is once")
		require.Nil(t, count(two), "not the consumer's")
		require.Nil(t, count(other), "not the consumer's")
		for _, bad := range []string{"", "{}", `{"downloads":[]}`, `{"downloads":[{"name":"x","version":"1"}]}`, `{"downloads":[{"name":"a/b","version":"no version"}]}`} {
			require.Equal(t, 400, notify(bad), bad)
		}
		require.Equal(t, 304, c.get("/packages.json", since).status, "a download is no change")
	})
}
