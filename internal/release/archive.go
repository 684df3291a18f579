package release

import (
	"archive/tar"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	// The standard library's gzip is about ten times slower on content that does not compress.
	"github.com/klauspost/compress/gzip"
)

// MetadataFile is the file in a package that holds the metadata.
const MetadataFile = "release.json"

// Limits bound what reading an archive may cost.
type Limits struct {
	Entries  int   // number of files
	Bytes    int64 // sum of the unpacked files, in bytes
	Metadata int64 // release.json, in bytes
}

// DefaultLimits suit packages of applications: 100,000 files, 8 GiB unpacked, 16 MiB of metadata.
var DefaultLimits = Limits{Entries: 100_000, Bytes: 8 << 30, Metadata: 16 << 20}

// Folder is the folder that every path in the release's archive starts with: "name-v1.0".
func (m *Metadata) Folder() string { return m.Name + "-v" + m.Version }

// ArchiveName is the file name of the release's archive: "name-v1.0.tgz".
func (m *Metadata) ArchiveName() string { return m.Folder() + ".tgz" }

// Checksum reads r to its end and returns its MD5 in hex, the form of Metadata.Files.
func Checksum(r io.Reader) (string, error) {
	sum := md5.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// WriteArchive writes the package of a release: a gzipped tar with release.json and every file of m.Files, in the order
// of their paths, read from files. Owner and times are left out, so that the same content gives the same bytes; modes
// are kept. A file that does not match its checksum in m.Files is an error, because the package would be refused by
// everyone who reads it.
func WriteArchive(w io.Writer, m *Metadata, files fs.FS) error {
	compressed := gzip.NewWriter(w)
	archive := tar.NewWriter(compressed)
	document, err := m.Indented()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(header(m, MetadataFile, 0o644, int64(len(document)))); err != nil {
		return err
	}
	if _, err := archive.Write(document); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if err := writeFile(archive, m, files, name); err != nil {
			return fmt.Errorf("package file %s: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

func writeFile(archive *tar.Writer, m *Metadata, files fs.FS, name string) error {
	if !SafePath(name) {
		return errors.New("the path leaves the package")
	}
	file, err := files.Open(path.Clean(name))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("only regular files can be packaged")
	}
	if err := archive.WriteHeader(header(m, name, info.Mode().Perm(), info.Size())); err != nil {
		return err
	}
	sum := md5.New()
	if _, err := io.Copy(io.MultiWriter(archive, sum), file); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != m.Files[name] {
		return errors.New("the file changed after its checksum was taken")
	}
	return nil
}

func header(m *Metadata, name string, mode fs.FileMode, size int64) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeReg, Name: m.Folder() + "/" + name, Mode: int64(mode), Size: size, ModTime: time.Unix(0, 0),
	}
}

// CheckArchive reads an archive to its end and returns its metadata. The error is an *InvalidError with the reason if
// it is not a sound package of that release: see Unpack, which checks the same.
func CheckArchive(r io.Reader, id ID, limits Limits) (*Metadata, error) {
	return readArchive(r, id, limits, func(string, fs.FileMode) (io.WriteCloser, error) { return discard{}, nil })
}

// UnpackDir is Unpack into a folder that nobody else can change meanwhile.
func UnpackDir(r io.Reader, id ID, limits Limits, dir string) (*Metadata, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return Unpack(r, id, limits, root)
}

// Unpack checks an archive and writes its files, release.json included, below root without the archive's own folder.
// The archive has to be a gzipped tar of regular files whose paths stay in the folder "name-v1.0", with a release.json
// for that release, and exactly the files that it lists, each with its checksum. What has been written before a fault
// was found stays: throw the folder away on an error. Modes are kept, except for set-uid and the like.
func Unpack(r io.Reader, id ID, limits Limits, root *os.Root) (*Metadata, error) {
	return readArchive(r, id, limits, func(name string, mode fs.FileMode) (io.WriteCloser, error) {
		if parent := path.Dir(name); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return nil, err
			}
		}
		return root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm())
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// create gives the writer for one file of an archive.
type create func(name string, mode fs.FileMode) (io.WriteCloser, error)

func readArchive(r io.Reader, id ID, limits Limits, open create) (*Metadata, error) {
	compressed, err := gzip.NewReader(r)
	if err != nil {
		return nil, unreadable(err)
	}
	defer compressed.Close()
	// The limit also counts the headers of the tar, which could otherwise be a bomb of their own.
	budget := &limitedReader{r: compressed, left: limits.Bytes + int64(limits.Entries+2)*2048, err: tooLarge(limits)}
	archive := tar.NewReader(budget)
	sums := map[string]string{}
	var document []byte
	folder, left := "", limits.Bytes
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
		name, err := entryName(h)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue // a folder: harmless, and made when a file needs it
		}
		top, rest, ok := strings.Cut(name, "/")
		if folder == "" {
			folder = top
		}
		if !ok || top != folder {
			return nil, invalidf("The package has '%s' outside of its folder '%s'", h.Name, folder)
		}
		if _, twice := sums[rest]; twice || rest == MetadataFile && document != nil {
			return nil, invalidf("The package has the file '%s' twice", rest)
		}
		if len(sums) >= limits.Entries {
			return nil, invalidf("The package has more than %d files", limits.Entries)
		}
		if left -= h.Size; h.Size < 0 || left < 0 {
			return nil, tooLarge(limits)
		}
		if rest == MetadataFile {
			if h.Size > limits.Metadata {
				return nil, invalidf("The %s of the package is over the limit of %d bytes", MetadataFile, limits.Metadata)
			}
			if document, err = io.ReadAll(archive); err != nil {
				return nil, unreadable(err)
			}
			if err := store(open, rest, h, strings.NewReader(string(document)), nil); err != nil {
				return nil, err
			}
			continue
		}
		sum := md5.New()
		if err := store(open, rest, h, archive, sum); err != nil {
			return nil, err
		}
		sums[rest] = hex.EncodeToString(sum.Sum(nil))
	}
	// What follows the end of the tar is read too: it is part of the budget, and gzip checks its own sum only at its end.
	if _, err := io.Copy(io.Discard, budget); err != nil {
		return nil, unreadable(err)
	}
	if document == nil {
		return nil, invalidf("The package holds no %s", MetadataFile)
	}
	return checkContent(document, id, folder, sums)
}

func store(open create, name string, h *tar.Header, content io.Reader, sum io.Writer) error {
	file, err := open(name, fs.FileMode(h.Mode))
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			return invalidf("The package has '%s' both as a file and as a folder, or twice", name)
		}
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	if sum != nil {
		content = io.TeeReader(content, sum)
	}
	writer := &markedWriter{w: file}
	_, err = io.Copy(writer, content)
	closeErr := file.Close()
	switch {
	case writer.err != nil:
		return fmt.Errorf("unpack %s: %w", name, writer.err) // the disk, not the archive
	case err != nil:
		return unreadable(err)
	case closeErr != nil:
		return fmt.Errorf("unpack %s: %w", name, closeErr)
	}
	return nil
}

// entryName returns the clean path of a regular file, "" for a folder, and refuses everything else.
func entryName(h *tar.Header) (string, error) {
	name := h.Name
	if strings.ContainsAny(name, "\x00\\") || path.IsAbs(name) || slices.Contains(strings.Split(name, "/"), "..") {
		return "", invalidf("The package has a path that leaves its folder: '%s'", name)
	}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		return "", nil
	case tar.TypeSymlink, tar.TypeLink:
		return "", invalidf("The package has a link: '%s'. Only regular files are allowed.", name)
	default:
		return "", invalidf("The package has a device or another special file: '%s'. Only regular files are allowed.", name)
	}
	clean := path.Clean(name)
	if !SafePath(clean) || strings.HasSuffix(name, "/") {
		return "", invalidf("The package has a path that cannot be a file: '%s'", name)
	}
	return clean, nil
}

func checkContent(document []byte, id ID, folder string, sums map[string]string) (*Metadata, error) {
	m, err := Decode(document)
	if err != nil {
		return nil, invalidf("The %s of the package is not right: %s", MetadataFile, err)
	}
	if m.Name != id.Name || m.Version != id.Version ||
		m.Project != id.Project && m.Project != DefaultProject && id.Project != DefaultProject {
		return nil, invalidf("The package is for the release '%s' and not for '%s'", m.ID(), id)
	}
	if folder != m.Folder() {
		return nil, invalidf("The folder of the package is '%s', expected '%s'", folder, m.Folder())
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		sum, ok := sums[path.Clean(name)]
		if !ok {
			return nil, invalidf("The package lacks the file '%s', which its %s lists", name, MetadataFile)
		}
		if !strings.EqualFold(sum, m.Files[name]) {
			return nil, invalidf("The file '%s' of the package does not match its checksum", name)
		}
		delete(sums, path.Clean(name))
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		return nil, invalidf("The package has the file '%s', which its %s does not list", name, MetadataFile)
	}
	return m, nil
}

func tooLarge(limits Limits) error {
	return invalidf("The package is over the limit of %d bytes unpacked", limits.Bytes)
}

// unreadable tells a broken archive from a broken connection: an error of the reader below is passed on as it is.
func unreadable(err error) error {
	var invalid *InvalidError
	switch {
	case errors.As(err, &invalid):
		return invalid
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, tar.ErrHeader),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), isCorrupt(err):
		return invalidf("The package is not a gzipped tar archive: %s", err)
	}
	return fmt.Errorf("read package: %w", err)
}

// limitedReader fails with its own error once more than left bytes are read, where io.LimitReader would pretend an end.
type limitedReader struct {
	r    io.Reader
	left int64
	err  error
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, l.err
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, l.err
	}
	return n, err
}

// markedWriter remembers whether an error of a copy came from its writing side.
type markedWriter struct {
	w   io.Writer
	err error
}

func (m *markedWriter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	if err != nil {
		m.err = err
	}
	return n, err
}
