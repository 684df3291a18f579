package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

var small = Limits{Entries: 10, Bytes: 1 << 20, Metadata: 1 << 16}

func sampleRelease(t *testing.T) (*Metadata, fs.FS) {
	t.Helper()
	files := fstest.MapFS{
		"run.sh":      {Data: []byte("#!/bin/sh\necho hi\n"), Mode: 0o755},
		"sub/a.txt":   {Data: []byte("text"), Mode: 0o640},
		"unlisted.md": {Data: []byte("no"), Mode: 0o644},
	}
	m := &Metadata{APIVersion: APIVersion, Name: "app", Version: "1.0", Project: "ns", Files: map[string]string{}}
	for _, name := range []string{"run.sh", "sub/a.txt"} {
		sum, err := Checksum(bytes.NewReader(files[name].Data))
		require.NoError(t, err)
		m.Files[name] = sum
	}
	m.Normalise()
	return m, files
}

func TestArchiveRoundTrip(t *testing.T) {
	m, files := sampleRelease(t)
	var first, second bytes.Buffer
	require.NoError(t, WriteArchive(&first, m, files))
	require.NoError(t, WriteArchive(&second, m, files))
	require.Equal(t, sha256.Sum256(first.Bytes()), sha256.Sum256(second.Bytes()), "the same content gives the same bytes")

	checked, err := CheckArchive(bytes.NewReader(first.Bytes()), m.ID(), small)
	require.NoError(t, err)
	require.Equal(t, m.Files, checked.Files)

	dir := t.TempDir()
	_, err = UnpackDir(bytes.NewReader(first.Bytes()), m.ID(), small, dir)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, "sub/a.txt"))
	require.NoError(t, err)
	require.Equal(t, "text", string(data))
	info, err := os.Stat(filepath.Join(dir, "run.sh"))
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&0o100, "the mode is kept")
	require.FileExists(t, filepath.Join(dir, "release.json"))
	require.NoFileExists(t, filepath.Join(dir, "unlisted.md"))
}

func TestWriteArchiveRefusesAFileThatChanged(t *testing.T) {
	m, files := sampleRelease(t)
	m.Files["run.sh"] = "00000000000000000000000000000000"
	require.EqualError(t, WriteArchive(io.Discard, m, files), "package file run.sh: the file changed after its checksum was taken")
	m, files = sampleRelease(t)
	m.Files["gone"] = "0"
	require.ErrorIs(t, WriteArchive(io.Discard, m, files), fs.ErrNotExist)
}

type entry struct {
	header tar.Header
	body   string
}

func pack(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	for _, e := range entries {
		if e.header.Typeflag == 0 {
			e.header.Typeflag = tar.TypeReg
		}
		if e.header.Size == 0 {
			e.header.Size = int64(len(e.body))
		}
		e.header.Mode = 0o644
		require.NoError(t, archive.WriteHeader(&e.header))
		_, err := io.WriteString(archive, e.body)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, compressed.Close())
	return out.Bytes()
}

func file(name, body string) entry { return entry{tar.Header{Name: name}, body} }

// TestS15BadArchives: zip slip, links, devices, absolute paths, bombs and wrong content are refused with the reason, and
// leave nothing outside of their folder.
func TestS15BadArchives(t *testing.T) {
	good := `{"name":"app","version":"1.0","project":"ns","files":{"a":"0cc175b9c0f1b6a831c399e269772661"}}`
	meta := file("app-v1.0/release.json", good)
	a := file("app-v1.0/a", "a")
	bomb := strings.Repeat("\x00", 2<<20)
	many := []entry{meta, a}
	for i := range 20 {
		many = append(many, file("app-v1.0/"+strings.Repeat("x", i+1), ""))
	}
	for name, test := range map[string]struct {
		archive []byte
		want    string
	}{
		"parent":         {pack(t, meta, file("app-v1.0/../../evil", "x")), "The package has a path that leaves its folder: 'app-v1.0/../../evil'"},
		"inner parent":   {pack(t, meta, file("app-v1.0/b/../a", "a")), "The package has a path that leaves its folder: 'app-v1.0/b/../a'"},
		"absolute":       {pack(t, meta, file("/etc/evil", "x")), "The package has a path that leaves its folder: '/etc/evil'"},
		"backslash":      {pack(t, meta, file(`app-v1.0/..\evil`, "x")), `The package has a path that leaves its folder: 'app-v1.0/..\evil'`},
		"outside":        {pack(t, meta, file("other/a", "a")), "The package has 'other/a' outside of its folder 'app-v1.0'"},
		"no folder":      {pack(t, file("release.json", good)), "The package has 'release.json' outside of its folder 'release.json'"},
		"symbolic link":  {pack(t, meta, entry{tar.Header{Name: "app-v1.0/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}), "The package has a link: 'app-v1.0/a'. Only regular files are allowed."},
		"hard link":      {pack(t, meta, entry{tar.Header{Name: "app-v1.0/a", Typeflag: tar.TypeLink, Linkname: "app-v1.0/release.json"}, ""}), "The package has a link: 'app-v1.0/a'. Only regular files are allowed."},
		"device":         {pack(t, meta, entry{tar.Header{Name: "app-v1.0/a", Typeflag: tar.TypeChar}, ""}), "The package has a device or another special file: 'app-v1.0/a'. Only regular files are allowed."},
		"fifo":           {pack(t, meta, entry{tar.Header{Name: "app-v1.0/a", Typeflag: tar.TypeFifo}, ""}), "The package has a device or another special file: 'app-v1.0/a'. Only regular files are allowed."},
		"bomb":           {pack(t, meta, file("app-v1.0/a", bomb)), "The package is over the limit of 1048576 bytes unpacked"},
		"bomb at end":    {append(pack(t, meta, a), gzipped(t, bomb)...), "The package is over the limit of 1048576 bytes unpacked"},
		"large metadata": {pack(t, file("app-v1.0/release.json", good+strings.Repeat(" ", 1<<17)), a), "The release.json of the package is over the limit of 65536 bytes"},
		"many":           {pack(t, many...), "The package has more than 10 files"},
		"twice":          {pack(t, meta, a, a), "The package has the file 'a' twice"},
		"metadata twice": {pack(t, meta, meta, a), "The package has the file 'release.json' twice"},
		"wrong name":     {pack(t, file("b-v1.0/release.json", `{"name":"other","version":"1.0"}`)), "The package is for the release '_/other-v1.0' and not for 'ns/app-v1.0'"},
		"wrong version":  {pack(t, file("app-v1.0/release.json", `{"name":"app","version":"2.0"}`)), "The package is for the release '_/app-v2.0' and not for 'ns/app-v1.0'"},
		"wrong project":  {pack(t, file("app-v1.0/release.json", `{"name":"app","version":"1.0","project":"other"}`)), "The package is for the release 'other/app-v1.0' and not for 'ns/app-v1.0'"},
		"wrong folder":   {pack(t, file("b-v1.0/release.json", good), file("b-v1.0/a", "a")), "The folder of the package is 'b-v1.0', expected 'app-v1.0'"},
		"no metadata":    {pack(t, a), "The package holds no release.json"},
		"empty":          {pack(t), "The package holds no release.json"},
		"bad metadata":   {pack(t, file("app-v1.0/release.json", "{")), "The release.json of the package is not right: Couldn't unmarshal JSON release metadata: unexpected end of JSON input"},
		"lacking":        {pack(t, meta), "The package lacks the file 'a', which its release.json lists"},
		"unlisted":       {pack(t, meta, a, file("app-v1.0/b", "b")), "The package has the file 'b', which its release.json does not list"},
		"checksum":       {pack(t, meta, file("app-v1.0/a", "b")), "The file 'a' of the package does not match its checksum"},
		"not gzip":       {[]byte("hello, I am not an archive"), "The package is not a gzipped tar archive: gzip: invalid header"},
		"nothing":        {nil, "The package is not a gzipped tar archive: EOF"},
		"not tar":        {gzipped(t, strings.Repeat("not a tar", 200)), "The package is not a gzipped tar archive: archive/tar: invalid tar header"},
		"cut":            {pack(t, meta, a)[:60], "The package is not a gzipped tar archive: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			id := ID{Project: "ns", Name: "app", Version: "1.0"}
			_, err := CheckArchive(bytes.NewReader(test.archive), id, small)
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, test.want, err.Error())

			parent := t.TempDir()
			dir := filepath.Join(parent, "in")
			require.NoError(t, os.Mkdir(dir, 0o755))
			_, err = UnpackDir(bytes.NewReader(test.archive), id, small, dir)
			require.EqualError(t, err, test.want)
			outside, err := os.ReadDir(parent)
			require.NoError(t, err)
			require.Len(t, outside, 1)
		})
	}
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestCorruptArchives(t *testing.T) {
	m, files := sampleRelease(t)
	var out bytes.Buffer
	require.NoError(t, WriteArchive(&out, m, files))
	for at := range out.Len() {
		data := bytes.Clone(out.Bytes())
		data[at] ^= 0x55
		if _, err := CheckArchive(bytes.NewReader(data), m.ID(), small); err != nil {
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid, "byte %d", at)
		} else {
			require.Less(t, at, 10, "only bytes of the header that say nothing may change")
		}
	}
}

func TestArchiveWithFolderEntriesIsAccepted(t *testing.T) {
	data := pack(t, entry{tar.Header{Name: "app-v1.0/", Typeflag: tar.TypeDir}, ""},
		file("app-v1.0/release.json", `{"name":"app","version":"1.0"}`))
	_, err := CheckArchive(bytes.NewReader(data), ID{Project: "ns", Name: "app", Version: "1.0"}, small)
	require.NoError(t, err)
}

func TestBrokenConnectionIsNotABadArchive(t *testing.T) {
	m, files := sampleRelease(t)
	var out bytes.Buffer
	require.NoError(t, WriteArchive(&out, m, files))
	broken := errors.New("connection reset")
	_, err := CheckArchive(io.MultiReader(bytes.NewReader(out.Bytes()[:40]), failing{broken}), m.ID(), small)
	require.ErrorIs(t, err, broken)
	var invalid *InvalidError
	require.False(t, errors.As(err, &invalid))
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzArchive(f *testing.F) {
	m := &Metadata{APIVersion: APIVersion, Name: "app", Version: "1.0", Files: map[string]string{}}
	m.Normalise()
	var out bytes.Buffer
	if err := WriteArchive(&out, m, fstest.MapFS{}); err != nil {
		f.Fatal(err)
	}
	plain, err := gzip.NewReader(&out)
	if err != nil {
		f.Fatal(err)
	}
	seed, err := io.ReadAll(plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.NoCompression)
		_, _ = w.Write(data)
		_ = w.Close()
		got, err := CheckArchive(&packed, m.ID(), small)
		if err != nil {
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid)
			return
		}
		require.Equal(t, "app", got.Name)
	})
}
