package releases_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gcblob "gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"slipway/internal/blob"
	"slipway/internal/release"
	"slipway/inventory"
	"slipway/models"
	"slipway/policies"
)

// packageOf makes the archive of a release with some files, whose checksums it adds to the metadata.
func packageOf(t testing.TB, metadata string, files map[string]string) []byte {
	t.Helper()
	m, err := release.Decode([]byte(metadata))
	require.NoError(t, err)
	for name, content := range files {
		sum := md5.Sum([]byte(content))
		m.Files[name] = hex.EncodeToString(sum[:])
	}
	document, err := json.Marshal(m)
	require.NoError(t, err)
	entries := []entry{{name: m.Folder() + "/release.json", content: string(document)}}
	for name, content := range files {
		entries = append(entries, entry{name: m.Folder() + "/" + name, content: content})
	}
	return archiveOf(t, entries...)
}

type entry struct {
	name, content string
	kind          byte
	link          string
}

func archiveOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: e.kind, Name: e.name, Linkname: e.link, Mode: 0o644, Size: int64(len(e.content))}))
		_, err := w.Write([]byte(e.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

// filesIn lists the files below a folder, however deep.
func filesIn(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return nil
	})
	require.NoError(t, err)
	return out
}

const app1 = `{"name":"app","version":"0.0.1","project":"ns"}`

const appPath = inv + "/ns/units/app/versions/v0.0.1"

func TestUploadAndDownload(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		s.register("ns", app1)
		archive := packageOf(t, app1, map[string]string{"deploy.sh": "#!/bin/sh\n", "files/a.txt": "a"})
		check(t, s.upload(appPath+"/upload", "", archive), 200, "", "")
		check(t, s.upload(appPath+"/upload", "", archive), 409, textType, "Resource already exists")

		a := s.get(appPath + "/download")
		require.Equal(t, 200, a.status)
		require.Equal(t, archive, []byte(a.body))
		require.Equal(t, "application/gzip", a.header.Get("Content-Type"))
		require.Equal(t, `attachment; filename="app-v0.0.1.tgz"`, a.header.Get("Content-Disposition"))
		require.Equal(t, fmt.Sprint(len(archive)), a.header.Get("Content-Length"))
		sum := sha256.Sum256(archive)
		tag := `"` + hex.EncodeToString(sum[:]) + `"`
		require.Equal(t, tag, a.header.Get("ETag"))
		require.Equal(t, `attachment; filename="app-latest.tgz"`, s.get(inv+"/ns/units/app/versions/latest/download").header.Get("Content-Disposition"))

		a = s.do(http.MethodGet, appPath+"/download", "", "", "Range", "bytes=5-9")
		require.Equal(t, 206, a.status)
		require.Equal(t, archive[5:10], []byte(a.body))
		require.Equal(t, fmt.Sprintf("bytes 5-9/%d", len(archive)), a.header.Get("Content-Range"))
		a = s.do(http.MethodGet, appPath+"/download", "", "", "Range", "bytes=0-9")
		require.Equal(t, archive[:10], []byte(a.body))
		require.Equal(t, 416, s.do(http.MethodGet, appPath+"/download", "", "", "Range", "bytes=99999999-").status)
		a = s.do(http.MethodGet, appPath+"/download", "", "", "If-None-Match", tag)
		require.Equal(t, 304, a.status)
		require.Empty(t, a.body)
		a = s.do(http.MethodHead, appPath+"/download", "", "")
		require.Equal(t, 200, a.status)
		require.Empty(t, a.body)
		require.Equal(t, tag, a.header.Get("ETag"))
		require.Equal(t, fmt.Sprint(len(archive)), a.header.Get("Content-Length"))
		// Two whole ones and the beginning of one; HEAD is none.
		require.Contains(t, s.get(appPath+"/?full=true").body, `"downloads":3,`)
	})
}

func TestUploadRefusals(t *testing.T) {
	s := newServer(t, options{})
	s.register("ns", app1)
	archive := packageOf(t, app1, nil)
	contentType, good := form(t, "file", "x.tgz", archive)
	for _, c := range []struct {
		name, path, contentType, body string
		status                        int
		answer                        string
	}{
		{"no form", appPath, "application/json", "{}", 400, "request Content-Type isn't multipart/form-data"},
		{"no boundary", appPath, "multipart/form-data", "{}", 400, "no multipart boundary param in Content-Type"},
		{"no v", inv + "/ns/units/app/versions/0.0.1", contentType, string(good), 400, "Invalid version string in release ID 'app-0.0.1': '0.0.1' is not a valid version."},
		{"latest", inv + "/ns/units/app/versions/latest", contentType, string(good), 400, "Can't upload package against unresolved version 'ns/app-latest'"},
		{"pattern", inv + "/ns/units/app/versions/v0.@", contentType, string(good), 400, "Can't upload package against unresolved version 'ns/app-v0.@'"},
		{"unknown version", inv + "/ns/units/app/versions/v9", contentType, string(good), 404, ""},
		{"unknown unit", inv + "/ns/units/other/versions/v9", contentType, string(good), 404, ""},
		{"unknown namespace", inv + "/other/units/app/versions/v9", contentType, string(good), 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(http.MethodPost, c.path+"/upload", "", c.body, "Content-Type", c.contentType)
			require.Equal(t, c.answer, a.body)
			require.Equal(t, c.status, a.status)
		})
	}
	other, body := form(t, "other", "x.tgz", archive)
	check(t, s.do(http.MethodPost, appPath+"/upload", "", string(body), "Content-Type", other), 400, textType, "http: no such file")
	require.Empty(t, filesIn(t, s.files))
}

// S15: archives that are not what they should be.
func TestS15BadArchives(t *testing.T) {
	s := newServer(t, options{})
	s.service.Limits = release.Limits{Entries: 50, Bytes: 1 << 20, Metadata: 64 << 10}
	s.register("ns", app1)
	m, err := release.Decode([]byte(app1))
	require.NoError(t, err)
	doc, err := json.Marshal(m)
	require.NoError(t, err)
	info := entry{name: "app-v0.0.1/release.json", content: string(doc)}
	bomb := entry{name: "app-v0.0.1/zeros", content: strings.Repeat("\x00", 4<<20)}
	many := []entry{info}
	for i := range 100 {
		many = append(many, entry{name: fmt.Sprintf("app-v0.0.1/f%d", i)})
	}
	good := packageOf(t, app1, map[string]string{"a": "1"})
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 0xff
	for name, c := range map[string]struct {
		archive []byte
		reason  string
	}{
		"empty":          {nil, "not a gzipped tar"},
		"text":           {[]byte("hello"), "not a gzipped tar"},
		"cut short":      {good[:len(good)-10], "not a gzipped tar"},
		"flipped byte":   {flipped, ""},
		"junk behind it": {append(bytes.Clone(good), "junk"...), ""},
		"no metadata":    {archiveOf(t, entry{name: "app-v0.0.1/x"}), "release.json"},
		"parent":         {archiveOf(t, info, entry{name: "app-v0.0.1/../../x"}), "leaves its folder"},
		"absolute":       {archiveOf(t, info, entry{name: "/etc/passwd"}), "leaves its folder"},
		"other folder":   {archiveOf(t, info, entry{name: "elsewhere/x"}), "outside of its folder"},
		"symbolic link":  {archiveOf(t, info, entry{name: "app-v0.0.1/l", kind: tar.TypeSymlink, link: "/etc/passwd"}), "link"},
		"hard link":      {archiveOf(t, info, entry{name: "app-v0.0.1/l", kind: tar.TypeLink, link: "app-v0.0.1/release.json"}), "link"},
		"device":         {archiveOf(t, info, entry{name: "app-v0.0.1/d", kind: tar.TypeChar}), "device"},
		"fifo":           {archiveOf(t, info, entry{name: "app-v0.0.1/d", kind: tar.TypeFifo}), "special"},
		"bomb":           {archiveOf(t, info, bomb), "over the limit"},
		"many files":     {archiveOf(t, many...), "more than 50 files"},
		"other release":  {packageOf(t, `{"name":"app","version":"0.0.2","project":"ns"}`, nil), "not for"},
		"other name":     {packageOf(t, `{"name":"other","version":"0.0.1","project":"ns"}`, nil), "not for"},
		"other project":  {packageOf(t, `{"name":"app","version":"0.0.1","project":"else"}`, nil), "not for"},
		"unlisted file":  {archiveOf(t, info, entry{name: "app-v0.0.1/x"}), "does not list"},
		"wrong checksum": {archiveOf(t, entry{name: info.name, content: strings.Replace(string(doc), `"files":{}`, `"files":{"a":"d41d8cd98f00b204e9800998ecf8427e"}`, 1)},
			entry{name: "app-v0.0.1/a", content: "1"}), "does not match its checksum"},
		"other script": {packageOf(t, strings.Replace(app1, "{", `{"stages":{"deploy":{"inline":"x"}},`, 1), nil), "something else than what was registered, in: 'stages'"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.upload(appPath+"/upload", "", c.archive)
			require.Equal(t, 400, a.status, a.body)
			require.Contains(t, a.body, c.reason)
			require.NotEmpty(t, a.body)
			require.Empty(t, filesIn(t, s.files))
			require.Equal(t, 404, s.get(appPath+"/download").status)
		})
	}
	require.Equal(t, 200, s.upload(appPath+"/upload", "", good).status, "nothing of the refused ones is in the way")
}

func TestUploadOverTheLimit(t *testing.T) {
	s := newServer(t, options{})
	s.service.MaxPackage = 100
	s.register("ns", app1)
	a := s.upload(appPath+"/upload", "", packageOf(t, app1, nil))
	require.Equal(t, 413, a.status)
	require.Equal(t, "The package is over the limit of 100 bytes", a.body)
	require.Empty(t, filesIn(t, s.files))
}

// together calls f from n goroutines that start at once, and counts the statuses.
func together(n int, f func(i int) int) map[int]int {
	start := make(chan struct{})
	var mu sync.Mutex
	counts := map[int]int{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			status := f(i)
			mu.Lock()
			defer mu.Unlock()
			counts[status]++
		})
	}
	close(start)
	wg.Wait()
	return counts
}

func TestFiftyRegistrationsAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		counts := together(50, func(int) int {
			a, err := s.try(http.MethodPost, inv+"/ns/register", "", app1)
			if err != nil {
				return 0
			}
			if a.status == 400 && a.body != "Release app-v0.0.1 already exists" {
				return -1
			}
			return a.status
		})
		require.Equal(t, map[int]int{200: 1, 400: 49}, counts)
		check(t, s.get(inv+"/ns/units/app/versions/"), 200, jsonType, `["0.0.1"]`+"\n")
	})
}

// Different releases at once get in each other's way even less: all are there, and the latest is the highest.
func TestFiftyReleasesAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		counts := together(50, func(i int) int {
			a, err := s.try(http.MethodPost, inv+"/ns/register", "", fmt.Sprintf(`{"name":"app","version":"%d","provides":["x"]}`, i))
			if err != nil {
				return 0
			}
			return a.status
		})
		require.Equal(t, map[int]int{200: 50}, counts)
		require.Contains(t, s.get(inv+"/ns/units/app/").body, `"latest_version":"49"`)
		require.Contains(t, s.get(inv+"/__providers?name=x").body, `{"ns/app-v49":`)
	})
}

func TestFiftyUploadsAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{database: database})
		s.register("ns", app1)
		archive := packageOf(t, app1, map[string]string{"a": strings.Repeat("abc", 10_000)})
		contentType, body := form(t, "file", "x.tgz", archive)
		counts := together(50, func(int) int {
			a, err := s.try(http.MethodPost, appPath+"/upload", "", string(body), "Content-Type", contentType)
			if err != nil {
				return 0
			}
			return a.status
		})
		require.Equal(t, map[int]int{200: 1, 409: 49}, counts)
		require.Equal(t, archive, []byte(s.get(appPath+"/download").body))
		require.Len(t, filesIn(t, s.files), 1)
	})
}

// The connection drops in the middle: nothing is visible, nothing leaks, a new upload works.
func TestUploadThatBreaksOff(t *testing.T) {
	s := newServer(t, options{})
	s.register("ns", app1)
	archive := packageOf(t, app1, map[string]string{"a": string(noise(3 << 20))})
	contentType, body := form(t, "file", "x.tgz", archive)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	fmt.Fprintf(conn, "POST %s/upload HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", appPath, contentType, len(body))
	_, err = conn.Write(body[:len(body)/2])
	require.NoError(t, err)
	// The upload is under way once its file is there.
	require.Eventually(t, func() bool { return len(filesIn(t, s.files)) > 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, 404, s.get(appPath+"/download").status)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return len(filesIn(t, s.files)) == 0 }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		keys, err := s.store.AbandonUploads(t.Context(), time.Now().Add(time.Hour), 10)
		return err == nil && len(keys) == 0
	}, 10*time.Second, time.Millisecond, "something is left for the sweeper")
	require.Equal(t, 404, s.get(appPath+"/download").status)
	require.Equal(t, 200, s.upload(appPath+"/upload", "", archive).status)
	require.Equal(t, archive, []byte(s.get(appPath+"/download").body))
}

// noise gives bytes that cannot be compressed, the same each time.
func noise(n int) []byte {
	b := make([]byte, 0, n+sha256.Size)
	sum := sha256.Sum256([]byte("noise"))
	for len(b) < n {
		sum = sha256.Sum256(sum[:])
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// failing is storage that fails where it is told to.
type failing struct {
	driver.Bucket
	mu    sync.Mutex
	files map[string][]byte
	// failAt fails writes after so many bytes; failCommit fails when a file is complete.
	failAt     int
	failCommit bool
	failDelete bool
}

var errStorage = errors.New("the disk is on fire")

func (f *failing) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, fs.ErrNotExist) {
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}
func (f *failing) As(any) bool             { return false }
func (f *failing) ErrorAs(error, any) bool { return false }
func (f *failing) Close() error            { return nil }
func (f *failing) NewTypedWriter(ctx context.Context, key, _ string, _ *driver.WriterOptions) (driver.Writer, error) {
	return &failingWriter{ctx: ctx, f: f, key: key}, nil
}
func (f *failing) NewRangeReader(_ context.Context, key string, offset, _ int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.files[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &memoryReader{Reader: bytes.NewReader(b[offset:]), size: int64(len(b))}, nil
}
func (f *failing) Delete(_ context.Context, key string, _ *driver.DeleteOptions) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failDelete {
		return errStorage
	}
	if _, ok := f.files[key]; !ok {
		return fs.ErrNotExist
	}
	delete(f.files, key)
	return nil
}
func (f *failing) ListPaged(_ context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := &driver.ListPage{}
	for key, b := range f.files {
		if strings.HasPrefix(key, o.Prefix) {
			page.Objects = append(page.Objects, &driver.ListObject{Key: key, Size: int64(len(b))})
		}
	}
	return page, nil
}

type memoryReader struct {
	*bytes.Reader
	size int64
}

func (r *memoryReader) Close() error { return nil }
func (r *memoryReader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{Size: r.size}
}
func (r *memoryReader) As(any) bool { return false }

type failingWriter struct {
	ctx context.Context
	f   *failing
	key string
	b   bytes.Buffer
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.f.failAt > 0 && w.b.Len()+len(p) > w.f.failAt {
		return 0, errStorage
	}
	return w.b.Write(p)
}

func (w *failingWriter) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.f.failCommit {
		return errStorage
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.f.files[w.key] = w.b.Bytes()
	return nil
}

// Storage fails in the middle or at the end: 500 without a word, nothing half-written, and a new upload works.
func TestStorageFails(t *testing.T) {
	storage := &failing{files: map[string][]byte{}}
	s := newServer(t, options{blob: blob.New(gcblob.NewBucket(storage))})
	s.register("ns", app1)
	archive := packageOf(t, app1, map[string]string{"a": string(noise(1 << 20))})
	storage.failAt = 300 << 10
	check(t, s.upload(appPath+"/upload", "", archive), 500, "", "")
	storage.failAt, storage.failCommit = 0, true
	check(t, s.upload(appPath+"/upload", "", archive), 500, "", "")
	require.Empty(t, storage.files)
	require.Equal(t, 404, s.get(appPath+"/download").status)
	storage.failCommit = false
	require.Equal(t, 200, s.upload(appPath+"/upload", "", archive).status)
	require.Equal(t, archive, []byte(s.get(appPath+"/download").body))
}

// S19: a sender that falls silent is given up, and takes nothing with it.
func TestS19SilentSenderIsGivenUp(t *testing.T) {
	s := newServer(t, options{stall: 50 * time.Millisecond})
	s.register("ns", app1)
	contentType, body := form(t, "file", "x.tgz", packageOf(t, app1, map[string]string{"a": string(noise(1 << 20))}))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s/upload HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", appPath, contentType, len(body))
	_, err = conn.Write(body[:len(body)/2])
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, 400, res.StatusCode)
	require.Equal(t, "The upload broke off: the package did not arrive completely", string(text))
	require.Empty(t, filesIn(t, s.files))
}

// What could not be cleaned up at once is on record, and the sweeper removes it; what is in use it leaves alone.
func TestSweeperRemovesOrphans(t *testing.T) {
	storage := &failing{files: map[string][]byte{}}
	s := newServer(t, options{blob: blob.New(gcblob.NewBucket(storage))})
	s.register("ns", app1)
	archive := packageOf(t, app1, nil)
	contentType, body := form(t, "file", "x.tgz", archive)
	// Several at once, so that the losers have a file each, which cannot be deleted.
	storage.failDelete = true
	counts := together(8, func(int) int {
		a, err := s.try(http.MethodPost, appPath+"/upload", "", string(body), "Content-Type", contentType)
		if err != nil {
			return 0
		}
		return a.status
	})
	require.Equal(t, 1, counts[200])
	ctx := t.Context()
	// A process that died after it had written its file.
	require.NoError(t, s.store.BeginUpload(ctx, "packages/ns/app/dead.tgz"))
	_, err := s.service.Blob.Put(ctx, "packages/ns/app/dead.tgz", strings.NewReader("half"))
	require.NoError(t, err)
	before := len(storage.files)
	require.GreaterOrEqual(t, before, 2)

	n, err := s.service.Sweep(ctx, s.store.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Zero(t, n, "young uploads may still be running")
	future := s.store.Now().Add(time.Hour)
	_, err = s.service.Sweep(ctx, future)
	require.ErrorIs(t, err, errStorage)
	storage.failDelete = false
	n, err = s.service.Sweep(ctx, future)
	require.NoError(t, err)
	require.Equal(t, before-1, n)
	require.Len(t, storage.files, 1)
	require.Equal(t, archive, []byte(s.get(appPath+"/download").body))
	n, err = s.service.Sweep(ctx, future)
	require.NoError(t, err)
	require.Zero(t, n)
}

// An upload that the sweeper has given up cannot complete: its file is gone.
func TestSweptUploadCannotComplete(t *testing.T) {
	s := newServer(t, options{})
	s.register("ns", app1)
	archive := packageOf(t, app1, map[string]string{"a": string(noise(1 << 20))})
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		id := release.ID{Project: "ns", Name: "app", Version: "0.0.1"}
		done <- s.service.Upload(context.WithoutCancel(t.Context()), id, r, policies.Subject{})
	}()
	_, err := w.Write(archive[:1000])
	require.NoError(t, err)
	n, err := s.service.Sweep(t.Context(), s.store.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = w.Write(archive[1000:])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Error(t, <-done)
	require.Equal(t, 404, s.get(appPath+"/download").status)
	require.Empty(t, filesIn(t, s.files))
	require.Equal(t, 200, s.upload(appPath+"/upload", "", archive).status)
}

// The event of facts 1.3.
func TestUploadEvent(t *testing.T) {
	s := newServer(t, options{})
	var events []inventory.UploadEvent
	var uploads []inventory.Upload
	s.service.OnUpload = func(_ context.Context, _ *models.Store, u inventory.Upload) error {
		events, uploads = append(events, u.Event), append(uploads, u)
		return nil
	}
	s.register("ns", `{"name":"dep","version":"1","project":"ns"}`)
	s.register("up", `{"name":"above","version":"1","depends":["ns/dep-v1"]}`)
	s.register("up", `{"name":"above","version":"2","extends":["ns/dep-v0"]}`)
	s.register("up", `{"name":"silent","version":"1","depends":["ns/dep-v1"]}`)
	require.Equal(t, 201, s.do(http.MethodPut, inv+"/ns/hooks/", "", `{"slack":{"url":"http://p"}}`).status)
	require.Equal(t, 201, s.do(http.MethodPut, inv+"/up/units/above/hooks/", "", `{"build":{"url":"http://d"}}`).status)
	require.Equal(t, 200, s.upload(inv+"/ns/units/dep/versions/v1/upload", "", packageOf(t, `{"name":"dep","version":"1","project":"ns"}`, nil)).status)
	require.Len(t, events, 1)
	b, err := json.Marshal(events[0])
	require.NoError(t, err)
	require.Equal(t, `{"event":"NEW_UPLOAD","project":"ns","project_hooks":{"slack":{"url":"http://p"}},"unit":"dep","unit_hooks":{},`+
		`"downstream_hooks":[{"build":{"url":"http://d"}}],"version":"v1","release":"ns/dep-v1","username":""}`, string(b))
	require.Len(t, uploads[0].Dependents, 1)
	require.Equal(t, "above", uploads[0].Dependents[0].Application)
	require.NotEqual(t, uploads[0].NamespaceID, uploads[0].Dependents[0].NamespaceID)

	// What cannot be recorded undoes the upload: nothing of it is left, and it can be tried again.
	s.service.OnUpload = func(context.Context, *models.Store, inventory.Upload) error { return errors.New("the outbox is full") }
	s.register("ns", `{"name":"dep","version":"2","project":"ns"}`)
	second := packageOf(t, `{"name":"dep","version":"2","project":"ns"}`, nil)
	before := filesIn(t, s.files)
	require.Equal(t, 500, s.upload(inv+"/ns/units/dep/versions/v2/upload", "", second).status)
	require.Equal(t, 404, s.get(inv+"/ns/units/dep/versions/v2/download").status)
	require.Equal(t, before, filesIn(t, s.files))
	left, err := s.store.AbandonUploads(t.Context(), time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, left)
	s.service.OnUpload = nil
	require.Equal(t, 200, s.upload(inv+"/ns/units/dep/versions/v2/upload", "", second).status)
}
