package composer

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

const smallManifest = `{"name":"acme/log","version":"1.0"}`

// zipOf makes an archive; a name that ends with a slash is a directory.
func zipOf(t testing.TB, entries ...string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for i := 0; i < len(entries); i += 2 {
		entry, err := w.Create(entries[i])
		require.NoError(t, err)
		_, err = io.WriteString(entry, entries[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buffer.Bytes()
}

// zipWith makes an archive of a good manifest and one entry with the given header.
func zipWith(t testing.TB, header *zip.FileHeader, content []byte) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	manifest, err := w.Create("composer.json")
	require.NoError(t, err)
	_, err = io.WriteString(manifest, smallManifest)
	require.NoError(t, err)
	entry, err := w.CreateRaw(header)
	require.NoError(t, err)
	_, err = entry.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buffer.Bytes()
}

func stored(name string, content []byte) *zip.FileHeader {
	return &zip.FileHeader{Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(content),
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content))}
}

func readArchive(data []byte, limits ArchiveLimits) (*Archive, error) {
	return ReadArchive(context.Background(), bytes.NewReader(data), int64(len(data)), limits)
}

func TestReadArchive(t *testing.T) {
	a, err := readArchive(zipOf(t, "composer.json", smallManifest, "src/", "", "src/Log.php", "<?php"), ArchiveLimits{})
	require.NoError(t, err)
	require.Equal(t, "acme/log", a.Manifest.Name)
	require.Empty(t, a.TopDirectory)
	require.Equal(t, 2, a.Files)
	require.EqualValues(t, len(smallManifest)+5, a.Unpacked)

	a, err = readArchive(zipOf(t, ".DS_Store", "x", "log-1.0/", "", "log-1.0/composer.json", smallManifest), ArchiveLimits{})
	require.NoError(t, err)
	require.Equal(t, "log-1.0", a.TopDirectory)
	require.NoError(t, a.Manifest.CheckIdentity("acme/log", "1.0.0"))
}

func TestArchiveWithoutManifestWhereComposerLooks(t *testing.T) {
	for _, entries := range [][]string{
		{},
		{"a.php", ""},
		{"a/b/composer.json", smallManifest},
		{"a/composer.json", smallManifest, "b/x", ""},
		{"a/composer.json", smallManifest, "readme", ""},
		{"Composer.json", smallManifest},
		{"composer.json/", ""},
	} {
		_, err := readArchive(zipOf(t, entries...), ArchiveLimits{})
		require.ErrorIs(t, err, ErrNoManifest, "%q", entries)
	}
	_, err := readArchive(zipOf(t, "composer.json", `{"name":7}`), ArchiveLimits{})
	var manifestError *ManifestError
	require.ErrorAs(t, err, &manifestError)
	_, err = readArchive(zipOf(t, "composer.json", strings.Repeat(" ", MaxManifestBytes+1)), ArchiveLimits{Ratio: 10_000})
	require.ErrorAs(t, err, &manifestError)
}

func TestS15ArchiveThatIsNoZip(t *testing.T) {
	good := zipOf(t, "composer.json", smallManifest, "a", strings.Repeat("text", 100))
	for name, data := range map[string][]byte{
		"empty":              {},
		"text":               []byte("no zip at all, but longer than an end record of one"),
		"cut":                good[:len(good)-1],
		"end record only":    good[len(good)-directoryEndLength:],
		"trailing bytes":     append(bytes.Clone(good), 'x'),
		"leading bytes":      append([]byte("#!/bin/sh\n"), good...),
		"damaged directory":  corrupted(good, bytes.LastIndex(good, []byte("PK\x01\x02")), 0),
		"damaged local head": corrupted(good, 0, 0),
		"damaged content":    corrupted(good, 45, 0xff),
		"two disks":          corrupted(good, len(good)-18, 1),
		"wrong count":        corrupted(good, len(good)-12, 9),
		"zip64":              corrupted(corrupted(corrupted(corrupted(good, len(good)-14, 0xff), len(good)-13, 0xff), len(good)-12, 0xff), len(good)-11, 0xff),
	} {
		_, err := readArchive(data, ArchiveLimits{})
		require.ErrorIs(t, err, ErrNotZip, name)
	}
}

func corrupted(data []byte, at int, value byte) []byte {
	data = bytes.Clone(data)
	data[at] = value
	return data
}

func TestS15ArchivePaths(t *testing.T) {
	for _, name := range []string{"../evil", "a/../../evil", "a/..", "..", "/etc/passwd", `..\evil`, `a\b`, "C:/x", "c:x", "a//b",
		"./a", "a/./b", "a\x00b", "a\nb", "a\xff", strings.Repeat("a", 256), strings.Repeat("a/", 600) + "a", ".", "//"} {
		_, err := readArchive(zipWith(t, stored(name, nil), nil), ArchiveLimits{})
		require.ErrorIs(t, err, ErrUnsafeEntry, "%.60q", name)
	}
	_, err := readArchive(zipWith(t, stored("a..b/...c/.d", nil), nil), ArchiveLimits{})
	require.NoError(t, err, "dots that lead nowhere are allowed")
}

func TestS15ArchivePathsTwice(t *testing.T) {
	for _, entries := range [][]string{
		{"composer.json", smallManifest, "composer.json", smallManifest},
		{"composer.json", smallManifest, "a", "", "a/b", ""},
		{"composer.json", smallManifest, "a/b", "", "a", ""},
		{"composer.json", smallManifest, "a/b/c", "", "a/", "", "a", ""},
		{"composer.json", smallManifest, "a/", "", "a/", ""},
		{"composer.json", smallManifest, "a/", "", "a", ""},
	} {
		_, err := readArchive(zipOf(t, entries...), ArchiveLimits{})
		require.ErrorIs(t, err, ErrUnsafeEntry, "%q", entries)
	}
	_, err := readArchive(zipOf(t, "composer.json", smallManifest, "a/b/c", "", "a/", "", "a/b/", "", "A", ""), ArchiveLimits{})
	require.NoError(t, err)
}

func TestS15ArchiveLinksAndDevices(t *testing.T) {
	for _, mode := range []fs.FileMode{fs.ModeSymlink, fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice, fs.ModeNamedPipe,
		fs.ModeSocket, fs.ModeDir} {
		header := stored("link", []byte("/etc/passwd"))
		header.SetMode(mode | 0o777)
		_, err := readArchive(zipWith(t, header, []byte("/etc/passwd")), ArchiveLimits{})
		require.ErrorIs(t, err, ErrUnsafeEntry, mode)
		// The same attributes from a system whose attributes Go does not read, but others do.
		header.CreatorVersion = 5<<8 | 20
		if mode != fs.ModeDir {
			_, err = readArchive(zipWith(t, header, []byte("/etc/passwd")), ArchiveLimits{})
			require.ErrorIs(t, err, ErrUnsafeEntry, mode)
		}
	}
	header := stored("bin/log", []byte("#!"))
	header.SetMode(0o755)
	_, err := readArchive(zipWith(t, header, []byte("#!")), ArchiveLimits{})
	require.NoError(t, err)
}

func TestArchiveEntriesThatCannotBeUnpacked(t *testing.T) {
	encrypted := stored("a", []byte("x"))
	encrypted.Flags = 1
	_, err := readArchive(zipWith(t, encrypted, []byte("x")), ArchiveLimits{})
	require.ErrorIs(t, err, ErrUnsafeEntry)
	require.ErrorContains(t, err, "encrypted")

	method := stored("a", []byte("x"))
	method.Method = 12
	_, err = readArchive(zipWith(t, method, []byte("x")), ArchiveLimits{})
	require.ErrorContains(t, err, "method 12")

	// The writer refuses to make this one, so it is renamed afterwards.
	full := bytes.ReplaceAll(zipWith(t, stored("dir_", []byte("x")), []byte("x")), []byte("dir_"), []byte("dir/"))
	_, err = readArchive(full, ArchiveLimits{})
	require.ErrorContains(t, err, "has content")

	wrong := stored("a", []byte("x"))
	wrong.CRC32++
	_, err = readArchive(zipWith(t, wrong, []byte("x")), ArchiveLimits{})
	require.ErrorIs(t, err, ErrNotZip)
}

func TestS15ArchiveLimits(t *testing.T) {
	data := zipOf(t, "composer.json", smallManifest, "a", strings.Repeat("0123456789", 100))
	size := int64(len(data))
	unpacked := int64(len(smallManifest)) + 1000
	_, err := readArchive(data, ArchiveLimits{Bytes: size, Unpacked: unpacked, Entries: 2})
	require.NoError(t, err)
	for _, limits := range []ArchiveLimits{{Bytes: size - 1}, {Unpacked: unpacked - 1}, {Entries: 1}} {
		_, err = readArchive(data, limits)
		require.ErrorIs(t, err, ErrTooLarge, "%+v", limits)
	}
}

func TestS15DecompressionBomb(t *testing.T) {
	zeros := strings.Repeat("\x00", 4<<20)
	_, err := readArchive(zipOf(t, "composer.json", smallManifest, "zeros", zeros), ArchiveLimits{})
	require.ErrorIs(t, err, ErrBomb)

	// The directory claims less than there is.
	data := zipOf(t, "composer.json", smallManifest, "zeros", zeros)
	at := bytes.LastIndex(data, []byte("PK\x01\x02")) + 24
	binary.LittleEndian.PutUint32(data[at:], 10)
	_, err = readArchive(data, ArchiveLimits{})
	require.Error(t, err)

	// Noise of the same size is no bomb.
	noise := make([]byte, 2<<20)
	_, _ = rand.Read(noise)
	_, err = readArchive(zipOf(t, "composer.json", smallManifest, "noise", string(noise)), ArchiveLimits{})
	require.NoError(t, err)
}

// The known trick for terabytes in a small file: many entries in the directory share the same content.
func TestS15OverlappingEntries(t *testing.T) {
	content := []byte(strings.Repeat("x", 100))
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	entry, err := w.CreateRaw(stored("composer.json", []byte(smallManifest)))
	require.NoError(t, err)
	_, _ = entry.Write([]byte(smallManifest))
	// The content of "a" holds the local header and content of "b".
	inner := localHeader("b", content)
	entry, err = w.CreateRaw(stored("a", append(inner, content...)))
	require.NoError(t, err)
	_, _ = entry.Write(append(inner, content...))
	entry, err = w.CreateRaw(stored("b", content))
	require.NoError(t, err)
	_, _ = entry.Write(content)
	require.NoError(t, w.Close())
	data := buffer.Bytes()
	_, err = readArchive(data, ArchiveLimits{})
	require.NoError(t, err, "not yet overlapping")

	// Let the directory's "b" point into "a".
	at := bytes.LastIndex(data, []byte("PK\x01\x02"))
	inside := bytes.Index(data, inner)
	binary.LittleEndian.PutUint32(data[at+42:], uint32(inside))
	_, err = readArchive(data, ArchiveLimits{})
	require.ErrorIs(t, err, ErrBomb)
}

func localHeader(name string, content []byte) []byte {
	header := make([]byte, localHeaderLength, localHeaderLength+len(name))
	binary.LittleEndian.PutUint32(header, localHeaderSignature)
	binary.LittleEndian.PutUint32(header[14:], crc32.ChecksumIEEE(content))
	binary.LittleEndian.PutUint32(header[18:], uint32(len(content)))
	binary.LittleEndian.PutUint32(header[22:], uint32(len(content)))
	binary.LittleEndian.PutUint16(header[26:], uint16(len(name)))
	return append(header, name...)
}

// Unpackers that go by the local headers, or by extra fields, must not see anything else than what is checked.
func TestS15ContradictingHeaders(t *testing.T) {
	content := []byte("0123456789")
	good := zipWith(t, stored("harmless.php", content), content)
	_, err := readArchive(good, ArchiveLimits{})
	require.NoError(t, err)
	local := bytes.LastIndex(good, []byte("PK\x03\x04"))
	for what, change := range map[string]struct {
		at    int
		value byte
	}{"name": {local + 30, 'H'}, "name length": {local + 26, 5}, "method": {local + 8, 8}, "size": {local + 18, 5}} {
		_, err := readArchive(corrupted(good, change.at, change.value), ArchiveLimits{})
		require.ErrorIs(t, err, ErrNotZip, what)
	}

	other := stored("harmless.php", content)
	other.Extra = append([]byte{0x75, 0x70, 12, 0, 1, 0, 0, 0, 0}, "../evil"...)
	_, err = readArchive(zipWith(t, other, content), ArchiveLimits{})
	require.ErrorIs(t, err, ErrNotZip)
	same := stored("a.php", content)
	same.Extra = append([]byte{0x01, 0x99, 1, 0, 0, 0x75, 0x70, 10, 0, 1, 0, 0, 0, 0}, "a.php"...)
	_, err = readArchive(zipWith(t, same, content), ArchiveLimits{})
	require.NoError(t, err)
}

func TestReadArchiveStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	data := zipOf(t, "composer.json", smallManifest)
	_, err := ReadArchive(ctx, bytes.NewReader(data), int64(len(data)), ArchiveLimits{})
	require.ErrorIs(t, err, context.Canceled)
}

type failingReaderAt struct {
	data   []byte
	failAt int64
}

var errDisk = errors.New("disk on fire")

func (r failingReaderAt) ReadAt(p []byte, offset int64) (int, error) {
	if offset <= r.failAt && r.failAt < offset+int64(len(p)) {
		return 0, errDisk
	}
	return bytes.NewReader(r.data).ReadAt(p, offset)
}

// A reader that fails is not the uploader's fault.
func TestReadArchiveReportsAFailingReader(t *testing.T) {
	noise := make([]byte, 200<<10) // more than the end record's search reads
	_, _ = rand.Read(noise)
	data := zipOf(t, "composer.json", smallManifest, "noise", string(noise))
	for _, at := range []int64{int64(len(data)) - 1, 100 << 10} {
		_, err := ReadArchive(context.Background(), failingReaderAt{data, at}, int64(len(data)), ArchiveLimits{})
		require.ErrorIs(t, err, errDisk)
		require.NotErrorIs(t, err, ErrNotZip)
	}
}

func TestCopyDigest(t *testing.T) {
	data := make([]byte, 100_000)
	_, _ = rand.Read(data)
	weak, strong := sha1.Sum(data), sha256.Sum256(data)
	want := Digest{Size: 100_000, SHA1: hex.EncodeToString(weak[:]), SHA256: hex.EncodeToString(strong[:])}
	var out bytes.Buffer
	got, err := CopyDigest(&out, iotest.OneByteReader(bytes.NewReader(data)), 100_000)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, data, out.Bytes())

	out.Reset()
	_, err = CopyDigest(&out, bytes.NewReader(data), 99_999)
	require.ErrorIs(t, err, ErrTooLarge)
	require.Equal(t, 99_999, out.Len())

	_, err = CopyDigest(io.Discard, io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errDisk)), 1<<20)
	require.ErrorIs(t, err, errDisk)
	_, err = CopyDigest(io.Discard, io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errDisk)), 100_000)
	require.ErrorIs(t, err, errDisk)
}

func FuzzArchive(f *testing.F) {
	f.Add(zipOf(f, "composer.json", smallManifest))
	f.Add(zipOf(f, "top/", "", "top/composer.json", smallManifest, "top/a", strings.Repeat("b", 100)))
	f.Add(zipWith(f, stored("../a", nil), nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := ArchiveLimits{Bytes: 1 << 20, Unpacked: 1 << 20, Entries: 100, Ratio: 100}
		a, err := readArchive(data, limits)
		if err != nil {
			known := errors.As(err, new(*ManifestError))
			for _, kind := range []error{ErrNotZip, ErrUnsafeEntry, ErrBomb, ErrTooLarge, ErrNoManifest} {
				known = known || errors.Is(err, kind)
			}
			if !known {
				t.Fatalf("an archive in memory must not fail with: %v", err)
			}
			return
		}
		if a.Manifest == nil || a.Unpacked > limits.Unpacked || a.Files == 0 {
			t.Fatalf("accepted %+v", a)
		}
	})
}

func BenchmarkReadArchive(b *testing.B) {
	entries := []string{"composer.json", smallManifest}
	for i := range 500 {
		entries = append(entries, fmt.Sprintf("src/File%d.php", i), strings.Repeat(fmt.Sprintf("<?php // %d\n", i), 50))
	}
	data := zipOf(b, entries...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := readArchive(data, ArchiveLimits{}); err != nil {
			b.Fatal(err)
		}
	}
}
