package packages_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
)

// How long to wait for what the server does after an answer.
const (
	waitLimit = 10 * time.Second
	waitPause = 10 * time.Millisecond
)

// stored lists the keys of the archives in storage.
func (s *server) stored() []string {
	s.t.Helper()
	var keys []string
	require.NoError(s.t, s.blob.List(s.t.Context(), "", func(o blob.Object) error {
		keys = append(keys, o.Key)
		return nil
	}))
	return keys
}

// S15: archives that are none, or that must not be unpacked.
func TestS15BadArchivesAreRefusedAndLeaveNothing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		v := s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": "1.2.0"}))
		path := fmt.Sprintf("/versions/%d/archive", v)
		manifest := [2]string{"composer.json", `{"name":"acme/hello"}`}
		good := zipOf(t, manifest)
		noise := make([]byte, 1<<20+1)
		_, _ = rand.Read(noise)
		many := [][2]string{manifest}
		for i := range 101 {
			many = append(many, [2]string{fmt.Sprint(i), ""})
		}
		for name, test := range map[string]struct {
			body   []byte
			status int
			says   string
		}{
			"nothing":          {nil, 400, "zip"},
			"no zip":           {[]byte("PK, or so it says"), 400, "zip"},
			"half a zip":       {good[:len(good)-10], 400, "zip"},
			"no composer.json": {zipOf(t, [2]string{"README", "x"}), 400, "composer.json"},
			"composer.json too deep": {zipOf(t, [2]string{"a/b/composer.json", manifest[1]}, [2]string{"a/b/c", ""}), 400,
				"composer.json"},
			"another name":        {zipOf(t, [2]string{"composer.json", `{"name":"acme/other"}`}), 400, "acme/other"},
			"no name":             {zipOf(t, [2]string{"composer.json", `{}`}), 400, "name"},
			"another version":     {zipOf(t, [2]string{"composer.json", `{"name":"acme/hello","version":"1.3.0"}`}), 400, "1.3.0"},
			"no JSON":             {zipOf(t, [2]string{"composer.json", `{"name":`}), 400, "JSON"},
			"a bomb":              {zipOf(t, manifest, [2]string{"zeros", strings.Repeat("\x00", 8<<20)}), 400, "bomb"},
			"a path out":          {zipOf(t, manifest, [2]string{"../../etc/cron.d/x", "x"}), 400, "leads out"},
			"an absolute path":    {zipOf(t, manifest, [2]string{"/etc/passwd", "x"}), 400, "absolute"},
			"a path of Windows":   {zipOf(t, manifest, [2]string{`..\x`, "x"}), 400, "backslash"},
			"a path twice":        {zipOf(t, manifest, [2]string{"a", "x"}, [2]string{"a", "y"}), 400, "twice"},
			"too large":           {noise, 413, "larger"},
			"too many entries":    {zipOf(t, many...), 413, "entries"},
			"a broken constraint": {zipOf(t, [2]string{"composer.json", `{"name":"acme/hello","require":{"a/b":"5.*.3"}}`}), 400, "5.*.3"},
		} {
			a := s.must(test.status, "PUT", path, test.body)
			require.Contains(t, string(a.body), test.says, name)
			require.Empty(t, s.stored(), name)
		}
		left, err := os.ReadDir(s.service.TempDir)
		require.NoError(t, err)
		require.Empty(t, left, "temporary files are gone")
		keys, err := s.store.AbandonUploads(t.Context(), s.store.Now().AddDate(1, 0, 0), 100)
		require.NoError(t, err)
		require.Empty(t, keys, "nothing is left for the sweeper")
		require.NotContains(t, s.must(200, "GET", fmt.Sprintf("/versions/%d", v), nil).object(t), "sha1")

		sum, weak := sha256.Sum256(good), sha1.Sum(good)
		o := s.must(200, "PUT", path, good).object(t)
		require.Equal(t, hex.EncodeToString(sum[:]), o["sha256"])
		require.Equal(t, hex.EncodeToString(weak[:]), o["sha1"])
		require.Equal(t, float64(len(good)), o["size"])
		require.Len(t, s.stored(), 1)
	})
}

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		v := s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": "1.0"}))
		half := archiveOf(t, "acme/hello", "1.0")
		broken := io.MultiReader(bytes.NewReader(half[:len(half)/2]), iotest.ErrReader(errors.New("the cable was pulled")))
		req, err := http.NewRequestWithContext(t.Context(), "PUT", s.url+fmt.Sprintf("/versions/%d/archive", v), broken)
		require.NoError(t, err)
		bearer(s.owner)(req)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
		}
		require.Error(t, err)
		// The server's side may still be at it; the record of the upload goes last.
		require.Eventually(t, func() bool {
			keys, err := s.store.AbandonUploads(t.Context(), s.store.Now().AddDate(1, 0, 0), 100)
			return err == nil && len(keys) == 0 && len(s.stored()) == 0
		}, waitLimit, waitPause)
		s.must(200, "PUT", fmt.Sprintf("/versions/%d/archive", v), half)
	})
}

func TestReleasedVersionsKeepTheirArchive(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		first, second := archiveOf(t, "acme/hello", "one"), archiveOf(t, "acme/hello", "two")
		v := s.newVersion(p, "acme/hello", "1.0")
		path := fmt.Sprintf("/versions/%d/archive", v)
		before := s.must(200, "GET", fmt.Sprintf("/versions/%d", v), nil).object(t)["sha256"]
		s.must(200, "PUT", path, archiveOf(t, "acme/hello", "1.0")) // the same bytes
		s.must(409, "PUT", path, second)
		require.Equal(t, before, s.must(200, "GET", fmt.Sprintf("/versions/%d", v), nil).object(t)["sha256"])
		require.Len(t, s.stored(), 1)
		// What stands in archives cannot be renamed.
		s.must(400, "PATCH", fmt.Sprintf("/versions/%d", v), object{"name": "1.1"})
		s.must(400, "PATCH", fmt.Sprintf("/packages/%d", p), object{"name": "acme/renamed"})
		s.must(200, "PATCH", fmt.Sprintf("/versions/%d", v), object{"name": "1.0", "filename": "other.zip"})

		// A branch goes on.
		dev := s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": "dev-main"}))
		path = fmt.Sprintf("/versions/%d/archive", dev)
		s.must(200, "PUT", path, first)
		s.must(200, "PUT", path, second)
		c := s.newConsumer("a@example.com")
		s.permit(c, p, "*")
		require.Equal(t, second, c.get(fmt.Sprintf("/dist/acme/hello/%d.zip", dev), "").body)

		// Deleted: the files are the sweeper's.
		s.must(204, "DELETE", fmt.Sprintf("/packages/%d", p), nil)
		keys, err := s.store.AbandonUploads(t.Context(), s.store.Now().AddDate(1, 0, 0), 100)
		require.NoError(t, err)
		require.ElementsMatch(t, s.stored(), keys)
		require.Len(t, keys, 3)
	})
}

func TestTwoUploadsAtOnceOneWins(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		c := s.newConsumer("a@example.com")
		s.permit(c, p, "*")
		for round, version := range []string{"1.0", "1.1", "1.2"} {
			v := s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": version}))
			const uploads = 6
			var archives [uploads][]byte
			var statuses [uploads]int
			// All have begun before the first ends: each waits for the others in the middle of its body.
			var begun, done sync.WaitGroup
			begun.Add(uploads)
			for i := range uploads {
				archives[i] = archiveOf(t, "acme/hello", fmt.Sprint(round, i))
				half := len(archives[i]) / 2
				done.Go(func() {
					rest := bytes.NewReader(archives[i][half:])
					body := io.MultiReader(bytes.NewReader(archives[i][:half]), readerFunc(func(b []byte) (int, error) {
						if rest.Len() == len(archives[i])-half {
							begun.Done()
							begun.Wait()
						}
						return rest.Read(b)
					}))
					statuses[i] = s.as(s.owner, "PUT", fmt.Sprintf("/versions/%d/archive", v), body).status
				})
			}
			done.Wait()
			winner := -1
			for i, status := range statuses {
				if status == 200 {
					require.Equal(t, -1, winner, statuses)
					winner = i
				} else {
					require.Equal(t, 409, status, statuses)
				}
			}
			require.NotEqual(t, -1, winner, statuses)
			require.Equal(t, archives[winner], c.get(c.dist("acme/hello", version), "").body)
			require.Len(t, s.stored(), round+1)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// A permission that goes while a download runs: the running one ends well, the next is refused.
func TestARunningDownloadEndsWell(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		p := s.newPackage("acme/hello")
		noise := make([]byte, 900<<10)
		_, _ = rand.Read(noise)
		archive := zipOf(t, [2]string{"composer.json", `{"name":"acme/hello"}`}, [2]string{"noise", string(noise)})
		v := s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", p), object{"name": "1.0"}))
		s.must(200, "PUT", fmt.Sprintf("/versions/%d/archive", v), archive)
		c := s.newConsumer("a@example.com")
		perm := s.permit(c, p, "*")
		path := fmt.Sprintf("/dist/acme/hello/%d.zip", v)

		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
		require.NoError(t, err)
		req.SetBasicAuth(c.public, c.private)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, 200, res.StatusCode)
		begin := make([]byte, 1000)
		_, err = io.ReadFull(res.Body, begin)
		require.NoError(t, err)

		s.must(204, "DELETE", fmt.Sprintf("/permissions/%d", perm), nil)
		require.Equal(t, 403, c.get(path, "").status)
		s.must(204, "DELETE", fmt.Sprintf("/versions/%d", v), nil)
		rest, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, archive, append(begin, rest...))
	})
}
