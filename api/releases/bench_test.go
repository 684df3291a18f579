//go:build bench

package releases_test

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
	"slipway/internal/testenv"
)

const packageSize = 256 << 20

func ratio(name string, value float64, goal string, ok bool) {
	verdict := "ok"
	if !ok {
		verdict = "short"
	}
	fmt.Printf("RATIO %s %.2f goal %s %s\n", name, value, goal, verdict)
}

// noiseFile reads as bytes that cannot be compressed, the same each time for a seed.
func noiseFile(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// bigPackage writes the archive of version v with packageSize bytes in eight files. Compressed files are what packages
// hold most of: binaries, other archives.
func bigPackage(t *testing.T, dir, version string) string {
	t.Helper()
	const files = 8
	m, err := release.Decode([]byte(`{"name":"app","version":"` + version + `","project":"ns"}`))
	require.NoError(t, err)
	src := filepath.Join(dir, "src")
	require.NoError(t, os.MkdirAll(src, 0o755))
	for i := range files {
		name := fmt.Sprintf("f%d", i)
		f, err := os.Create(filepath.Join(src, name))
		require.NoError(t, err)
		sum := md5.New()
		_, err = io.CopyN(io.MultiWriter(f, sum), noiseFile(byte(i)), packageSize/files)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		m.Files[name] = hex.EncodeToString(sum.Sum(nil))
	}
	archive := filepath.Join(dir, "app-v"+version+".tgz")
	f, err := os.Create(archive)
	require.NoError(t, err)
	root, err := os.OpenRoot(src)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, release.WriteArchive(f, m, root.FS()))
	require.NoError(t, f.Close())
	return archive
}

// sendFile uploads a file as a multipart form, streaming.
func sendFile(url, path string) error {
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	go func() {
		err := func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			part, err := form.CreateFormFile("file", "x.tgz")
			if err != nil {
				return err
			}
			if _, err := io.CopyBuffer(part, struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
				return err
			}
			return form.Close()
		}()
		w.CloseWithError(err)
	}()
	res, err := http.Post(url, form.FormDataContentType(), bufio.NewReaderSize(r, 256<<10))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		return fmt.Errorf("status %d: %s", res.StatusCode, b)
	}
	return nil
}

func fetchFile(url string) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 256<<10))
	if err == nil && (res.StatusCode != 200 || n < packageSize) {
		err = fmt.Errorf("status %d, %d bytes", res.StatusCode, n)
	}
	return err
}

// bare is a handler that only copies bytes to and from a file while hashing.
func bare(dir string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{file}", func(w http.ResponseWriter, r *http.Request) {
		form, err := r.MultipartReader()
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		part, err := form.NextPart()
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		f, err := os.Create(filepath.Join(dir, r.PathValue("file")))
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		defer f.Close()
		if _, err := io.Copy(io.MultiWriter(f, sha256.New()), part); err != nil {
			http.Error(w, err.Error(), 500)
		}
	})
	mux.HandleFunc("GET /{file}", func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(dir, r.PathValue("file")))
		if err != nil {
			http.Error(w, err.Error(), 404)
			return
		}
		defer f.Close()
		_, _ = io.Copy(io.MultiWriter(w, sha256.New()), f)
	})
	return mux
}

// TestBenchPackages compares uploads and downloads of a package with the bare handler, in turns, and takes the medians.
func TestBenchPackages(t *testing.T) {
	dir := t.TempDir()
	archive := bigPackage(t, dir, "0")
	plain := httptest.NewServer(bare(t.TempDir()))
	defer plain.Close()
	s := newServer(t, options{})
	timed := func(f func() error) time.Duration {
		start := time.Now()
		require.NoError(t, f())
		return time.Since(start)
	}
	var up, down, bareUp, bareDown []time.Duration
	const rounds = 5
	for range rounds {
		bareUp = append(bareUp, timed(func() error { return sendFile(plain.URL+"/x", archive) }))
		s.register("ns", `{"name":"app","version":"0","project":"ns"}`)
		up = append(up, timed(func() error { return sendFile(s.url+inv+"/ns/units/app/versions/v0/upload", archive) }))
		bareDown = append(bareDown, timed(func() error { return fetchFile(plain.URL + "/x") }))
		down = append(down, timed(func() error { return fetchFile(s.url + inv + "/ns/units/app/versions/v0/download") }))
		require.Equal(t, 200, s.do(http.MethodDelete, inv+"/ns/hard-delete", "", "").status)
		require.NoError(t, os.RemoveAll(s.files))
	}
	median := func(d []time.Duration) time.Duration { slices.Sort(d); return d[len(d)/2] }
	fmt.Printf("# package of 256 MiB: upload %v, bare %v; download %v, bare %v\n", median(up), median(bareUp), median(down), median(bareDown))
	u, d := float64(median(bareUp))/float64(median(up)), float64(median(bareDown))/float64(median(down))
	ratio("package_upload", u, "0.7", u >= 0.7)
	ratio("package_download", d, "0.7", d >= 0.7)
}

// TestBenchPackageMemory uploads and downloads eight packages at once and reads the peak of the process's memory, the
// client's share included.
func TestBenchPackageMemory(t *testing.T) {
	dir := t.TempDir()
	archive := bigPackage(t, dir, "0")
	s := newServer(t, options{})
	for i := range 8 {
		s.register("ns"+strconv.Itoa(i), `{"name":"app","version":"0","project":"ns"}`)
	}
	runtime.GC()
	require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // starts the peak anew
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			path := s.url + inv + "/ns" + strconv.Itoa(i) + "/units/app/versions/v0/"
			if err := sendFile(path+"upload", archive); err != nil {
				t.Error(err)
			} else if err := fetchFile(path + "download"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	require.True(t, ok)
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(t, err)
	ratio("package_memory_mib", kib/1024, "150", kib/1024 <= 150)
}

// TestBenchManyReleases compares get, next-version and latest with ten and with ten thousand applications and versions,
// on PostgreSQL.
func TestBenchManyReleases(t *testing.T) {
	s := newServer(t, options{database: testenv.Postgres(t)})
	fill := func(ns string, n int) {
		t.Helper()
		for i := range n {
			metadata := fmt.Sprintf(`{"name":"app","version":"%d.%d"}`, i/100, i%100)
			if ns == "wide" || ns == "narrow" {
				metadata = fmt.Sprintf(`{"name":"app%d","version":"1.0"}`, i)
			}
			s.register(ns, metadata)
		}
	}
	for ns, n := range map[string]int{"few": 10, "many": 10_000, "narrow": 10, "wide": 10_000} {
		fill(ns, n)
	}
	p50 := func(path string) time.Duration {
		var d []time.Duration
		for range 400 {
			start := time.Now()
			a := s.get(path)
			d = append(d, time.Since(start))
			require.Equal(t, 200, a.status, path)
		}
		slices.Sort(d)
		return d[len(d)/2]
	}
	for name, path := range map[string]string{"get": "versions/v0.5/", "latest": "versions/latest/", "next": "next-version?prefix=0.", "prefix": "versions/0.@/"} {
		small, large := p50(inv+"/few/units/app/"+path), p50(inv+"/many/units/app/"+path)
		r := float64(large) / float64(small)
		fmt.Printf("# %s: %v with 10 versions, %v with 10,000\n", name, small, large)
		ratio("versions_10000_"+name, r, "3", r <= 3)
	}
	for name, path := range map[string]string{"get": "units/app5/versions/v1.0/", "latest": "units/app5/versions/latest/", "next": "units/app5/next-version?prefix=1."} {
		small, large := p50(inv+"/narrow/"+path), p50(inv+"/wide/"+path)
		r := float64(large) / float64(small)
		fmt.Printf("# %s: %v with 10 applications, %v with 10,000\n", name, small, large)
		ratio("applications_10000_"+name, r, "3", r <= 3)
	}
	// A list grows with its bytes: time for each byte, of the long list to the short one.
	each := func(path string) float64 {
		a := s.get(path)
		return float64(p50(path)) / float64(len(a.body))
	}
	list := each(inv+"/wide/units/") / each(inv+"/narrow/units/")
	ratio("list_per_byte", list, "1", list <= 1)
}
