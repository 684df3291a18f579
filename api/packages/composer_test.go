package packages_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// project is a PHP project whose Composer knows one repository, ours.
type project struct {
	t       testing.TB
	s       *server
	command string
	dir     string // the project
	home    string // COMPOSER_HOME with auth.json
	cache   string
}

func newProject(t testing.TB, s *server, command string, require map[string]string) *project {
	p := &project{t: t, s: s, command: command, dir: t.TempDir(), home: t.TempDir(), cache: t.TempDir()}
	p.write(p.dir, "composer.json", object{
		"name": "acme/project", "require": require,
		"config":       object{"secure-http": false},
		"repositories": []any{object{"type": "composer", "url": s.url}, object{"packagist.org": false}},
	})
	return p
}

func (p *project) write(dir, name string, content any) {
	b, err := json.Marshal(content)
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
}

// keys writes auth.json; the key of an entry is host and port.
func (p *project) keys(public, private string) {
	u, err := url.Parse(p.s.url)
	require.NoError(p.t, err)
	p.write(p.home, "auth.json", object{"http-basic": object{u.Host: object{"username": public, "password": private}}})
}

// run runs composer and gives its exit code, what it printed and what it asked for.
func (p *project) run(args ...string) (int, string, []exchange) {
	p.t.Helper()
	p.s.take()
	cmd := exec.CommandContext(p.t.Context(), p.command, append(args, "--no-interaction", "--no-ansi", "--no-progress")...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.home, "COMPOSER_HOME=" + p.home, "COMPOSER_CACHE_DIR=" + p.cache,
		"COMPOSER_ALLOW_SUPERUSER=1", "NO_PROXY=127.0.0.1", "LC_ALL=C"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), p.s.take()
}

func (p *project) forget(names ...string) {
	for _, name := range names {
		require.NoError(p.t, os.RemoveAll(filepath.Join(p.dir, name)))
	}
}

func (p *project) installed(file string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "vendor", filepath.FromSlash(file)))
	require.NoError(p.t, err)
	return string(b)
}

// asked says which paths were asked for with which status.
func asked(list []exchange) []string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %s %d", e.method, e.path, e.status))
	}
	return out
}

// TestComposer is what the real client makes of the repository.
func TestComposer(t *testing.T) {
	command := composerCommand(t)
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		ids := map[string]int64{}
		for _, v := range []string{"5.0.0", "5.1.0", "6.0.0"} {
			ids[v] = s.newVersion(p, "acme/hello", v)
		}
		five := s.newConsumer("five@example.com")
		permission := s.permit(five, p, "5.*")
		everything := s.newConsumer("all@example.com")
		s.permit(everything, p, "*")
		zip := func(v string) string { return fmt.Sprintf("/dist/acme/hello/%d.zip", ids[v]) }

		good := newProject(t, s, command, map[string]string{"acme/hello": "^5.0"})
		good.keys(five.public, five.private)
		code, out, list := good.run("update")
		require.Zero(t, code, out)
		require.Equal(t, []string{"GET /packages.json 200", "GET /p2/acme/hello.json 200", "GET " + zip("5.1.0") + " 200", "POST /downloads 204"}, asked(list), out)
		for _, e := range list {
			require.True(t, e.authorized, e)
		}
		require.Contains(t, good.installed("acme/hello/src/Hello.php"), "5.1.0")
		require.Equal(t, 1.0, s.must(200, "GET", fmt.Sprintf("/versions/%d", ids["5.1.0"]), nil).object(t)["downloads"])

		// Again: nothing has changed, and the archive is in the client's cache.
		good.forget("vendor", "composer.lock")
		code, out, list = good.run("update")
		require.Zero(t, code, out)
		require.Equal(t, []string{"GET /packages.json 304", "GET /p2/acme/hello.json 304", "POST /downloads 204"}, asked(list), out)
		require.NotEmpty(t, list[0].since)

		// Another consumer on the same machine, with the same cache, sees his own.
		good.keys(everything.public, everything.private)
		good.write(good.dir, "composer.json", object{"name": "acme/project", "require": object{"acme/hello": "*"}, "config": object{"secure-http": false},
			"repositories": []any{object{"type": "composer", "url": s.url}, object{"packagist.org": false}}})
		good.forget("vendor", "composer.lock")
		code, out, list = good.run("update")
		require.Zero(t, code, out)
		require.Contains(t, asked(list), "GET /p2/acme/hello.json 200")
		require.Contains(t, good.installed("acme/hello/src/Hello.php"), "6.0.0")
		good.keys(five.public, five.private)
		good.forget("vendor", "composer.lock")
		code, out, _ = good.run("update")
		require.Zero(t, code, out)
		require.Contains(t, good.installed("acme/hello/src/Hello.php"), "5.1.0")

		t.Run("no keys, and wrong ones", func(t *testing.T) {
			none := newProject(t, s, command, map[string]string{"acme/hello": "^5.0"})
			for range 2 {
				code, out, list := none.run("update")
				require.NotZero(t, code, out)
				require.Contains(t, out, s.url+"/packages.json")
				require.Contains(t, out, "401")
				require.Equal(t, "GET /packages.json 401", asked(list)[0])
				none.keys(five.public, everything.private)
			}
		})

		t.Run("versions that are not admitted", func(t *testing.T) {
			wrong := newProject(t, s, command, map[string]string{"acme/hello": "^6.0"})
			wrong.keys(five.public, five.private)
			code, out, list := wrong.run("update")
			require.Equal(t, 2, code, out)
			require.Contains(t, out, "does not match")
			require.NotContains(t, out, "6.0.0")
			require.Contains(t, asked(list), "GET /p2/acme/hello~dev.json 404")
		})

		t.Run("an archive with other bytes", func(t *testing.T) {
			v, err := s.store.PackageVersionByID(t.Context(), ids["6.0.0"])
			require.NoError(t, err)
			_, err = s.blob.Put(t.Context(), v.ArchiveKey, bytes.NewReader(zipOf(t, [2]string{"composer.json", `{"name":"acme/hello"}`})))
			require.NoError(t, err)
			wrong := newProject(t, s, command, map[string]string{"acme/hello": "6.0.0"})
			wrong.keys(everything.public, everything.private)
			code, out, _ := wrong.run("update")
			require.NotZero(t, code, out)
			require.Contains(t, out, "checksum verification of the file failed")
		})

		t.Run("a permission that is taken away", func(t *testing.T) {
			fresh := newProject(t, s, command, map[string]string{"acme/hello": "5.1.0"})
			fresh.keys(five.public, five.private)
			code, out, _ := fresh.run("update")
			require.Zero(t, code, out)
			s.must(204, "DELETE", fmt.Sprintf("/permissions/%d", permission), nil)
			fresh.forget("vendor")
			fresh.cache = t.TempDir()
			code, out, list := fresh.run("install")
			require.NotZero(t, code, out)
			require.Contains(t, out, "403")
			require.Contains(t, asked(list), "GET "+zip("5.1.0")+" 403")
			s.must(204, "DELETE", fmt.Sprintf("/consumers/%d", five.id), nil)
			code, out, _ = fresh.run("update")
			require.NotZero(t, code, out)
			require.Contains(t, out, "401")
		})

		t.Run("an API token in the password's place", func(t *testing.T) {
			person := newProject(t, s, command, map[string]string{"acme/hello": "5.0.0"})
			person.keys("reader", s.reader)
			require.True(t, models.LooksLikeToken(s.reader))
			code, out, _ := person.run("update")
			require.Zero(t, code, out)
			require.True(t, strings.Contains(person.installed("acme/hello/src/Hello.php"), "5.0.0"))
		})
	})
}
