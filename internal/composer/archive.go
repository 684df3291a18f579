package composer

import (
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// The kinds of errors of ReadArchive, for errors.Is. What stands behind them in the text is for the uploader.
var (
	// ErrNotZip is for a file that is no zip archive, or a damaged or contradictory one.
	ErrNotZip = errors.New("not a valid zip archive")
	// ErrUnsafeEntry is for an entry that must not be unpacked: a path that leads out, a link, a device, a path twice.
	ErrUnsafeEntry = errors.New("archive has an unsafe entry")
	// ErrBomb is for content that unpacks to far more than its size.
	ErrBomb = errors.New("archive is a decompression bomb")
	// ErrNoManifest is for an archive without a composer.json where Composer looks for it.
	ErrNoManifest = errors.New("archive has no composer.json at its root or in its single top directory")
)

// ArchiveLimits bounds what an archive may hold. A field of 0 means the default of DefaultArchiveLimits.
type ArchiveLimits struct {
	// Bytes is the size of the archive itself.
	Bytes int64
	// Unpacked is the sum of the sizes of all files in it, in bytes.
	Unpacked int64
	// Entries is the number of files and directories.
	Entries int
	// Ratio is how many times larger than the archive its content may be. It is not applied to content of less than
	// 1 MiB.
	Ratio int64
}

// DefaultArchiveLimits are the limits of archives where nothing else is configured.
var DefaultArchiveLimits = ArchiveLimits{Bytes: 128 << 20, Unpacked: 512 << 20, Entries: 50_000, Ratio: 100}

// ratioFloor is the unpacked size from which the ratio counts: small texts compress a thousandfold and harm nobody.
const ratioFloor = 1 << 20

func (l ArchiveLimits) withDefaults() ArchiveLimits {
	d := DefaultArchiveLimits
	if l.Bytes == 0 {
		l.Bytes = d.Bytes
	}
	if l.Unpacked == 0 {
		l.Unpacked = d.Unpacked
	}
	if l.Entries == 0 {
		l.Entries = d.Entries
	}
	if l.Ratio == 0 {
		l.Ratio = d.Ratio
	}
	return l
}

// Archive is what is known of a zip archive that has been checked.
type Archive struct {
	// Manifest is its composer.json.
	Manifest *Manifest
	// TopDirectory is the single directory everything is in, which Composer strips; "" if there is none.
	TopDirectory string
	// Files is the number of files.
	Files int
	// Unpacked is the sum of their sizes in bytes.
	Unpacked int64
}

// ReadArchive checks a zip archive of size bytes and reads its composer.json. It unpacks every entry to nowhere, so
// that sizes and checksums are the real ones and not those the archive claims; a cancelled context stops that. Memory
// is bounded by the limit on entries.
//
// Errors are of the kinds ErrNotZip, ErrUnsafeEntry, ErrBomb, ErrTooLarge and ErrNoManifest, a *ManifestError, the
// context's, or those of r.
func ReadArchive(ctx context.Context, r io.ReaderAt, size int64, limits ArchiveLimits) (*Archive, error) {
	limits = limits.withDefaults()
	if size > limits.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, size, limits.Bytes)
	}
	directory, err := scanDirectory(r, size, limits.Entries)
	if err != nil {
		return nil, err
	}
	reader, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // paths are checked below, with a better message
		return nil, fmt.Errorf("%w: %w", ErrNotZip, err)
	}
	if !sameEntries(reader.File, directory) {
		return nil, fmt.Errorf("%w: its directory can be read in two ways", ErrNotZip)
	}
	a := &Archive{}
	if err := a.checkEntries(reader.File, limits); err != nil {
		return nil, err
	}
	if err := checkLayout(r, reader.File, directory); err != nil {
		return nil, err
	}
	if err := a.unpack(ctx, reader.File, size, limits); err != nil {
		return nil, err
	}
	return a, a.readManifest(reader.File)
}

// checkEntries checks what the directory says, before anything is unpacked.
func (a *Archive) checkEntries(files []*zip.File, limits ArchiveLimits) error {
	paths := newPathSet()
	var claimed uint64
	for _, f := range files {
		name := strings.TrimSuffix(f.Name, "/")
		if err := checkEntryName(name); err != nil {
			return fmt.Errorf("%w: %q %w", ErrUnsafeEntry, shorten(f.Name, 120), err)
		}
		isDirectory := strings.HasSuffix(f.Name, "/")
		// Anything but a file or a directory is a link, a device, a pipe or a socket. A name without a slash at the
		// end must not claim to be a directory either: unpackers disagree about those.
		if mode := f.Mode().Type(); mode&^fs.ModeDir != 0 || mode.IsDir() != isDirectory || hasSpecialType(f) {
			return fmt.Errorf("%w: %q is neither a regular file nor a directory", ErrUnsafeEntry, shorten(f.Name, 120))
		}
		if f.Flags&1 != 0 {
			return fmt.Errorf("%w: %q is encrypted", ErrUnsafeEntry, shorten(f.Name, 120))
		}
		if f.Method != zip.Store && f.Method != zip.Deflate {
			return fmt.Errorf("%w: %q is compressed by method %d, only deflate is supported", ErrUnsafeEntry,
				shorten(f.Name, 120), f.Method)
		}
		if !paths.add(name, isDirectory) {
			return fmt.Errorf("%w: the path %q is there twice", ErrUnsafeEntry, shorten(f.Name, 120))
		}
		if isDirectory {
			if f.UncompressedSize64 != 0 {
				return fmt.Errorf("%w: the directory %q has content", ErrUnsafeEntry, shorten(f.Name, 120))
			}
			continue
		}
		a.Files++
		if claimed += f.UncompressedSize64; f.UncompressedSize64 > uint64(limits.Unpacked) || claimed > uint64(limits.Unpacked) {
			return fmt.Errorf("%w: more than %d bytes unpacked", ErrTooLarge, limits.Unpacked)
		}
	}
	return nil
}

// unpack reads every file to its end. The sizes in the directory are only claims.
func (a *Archive) unpack(ctx context.Context, files []*zip.File, size int64, limits ArchiveLimits) error {
	allowed := limits.Unpacked
	byRatio := max(ratioFloor, size*limits.Ratio)
	buffer := make([]byte, 64<<10)
	for _, f := range files {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		content, err := f.Open()
		if err != nil {
			return fmt.Errorf("%w: %q: %w", ErrNotZip, shorten(f.Name, 120), err)
		}
		for err == nil {
			if ctx.Err() != nil {
				_ = content.Close()
				return ctx.Err()
			}
			var n int
			n, err = content.Read(buffer)
			a.Unpacked += int64(n)
			if a.Unpacked > byRatio {
				_ = content.Close()
				return fmt.Errorf("%w: the content is more than %d times as large", ErrBomb, limits.Ratio)
			}
			if a.Unpacked > allowed {
				_ = content.Close()
				return fmt.Errorf("%w: more than %d bytes unpacked", ErrTooLarge, allowed)
			}
		}
		_ = content.Close() // reading has told all there is to know
		if !errors.Is(err, io.EOF) {
			return entryError(f, err)
		}
	}
	return nil
}

// entryError tells a damaged archive from a failing reader below it.
func entryError(f *zip.File, err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %q: %w", ErrNotZip, shorten(f.Name, 120), err)
	}
	return fmt.Errorf("read %q of the archive: %w", shorten(f.Name, 120), err)
}

// readManifest finds composer.json where Composer will: at the root, or below the single top directory.
func (a *Archive) readManifest(files []*zip.File) error {
	a.TopDirectory = topDirectory(files)
	path := "composer.json"
	if a.TopDirectory != "" {
		path = a.TopDirectory + "/" + path
	}
	i := slices.IndexFunc(files, func(f *zip.File) bool { return f.Name == path })
	if i < 0 {
		return ErrNoManifest
	}
	if files[i].UncompressedSize64 > MaxManifestBytes {
		return &ManifestError{Problems: []ManifestProblem{{Message: fmt.Sprintf("is larger than %d bytes", MaxManifestBytes)}}}
	}
	content, err := files[i].Open()
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrNotZip, path, err)
	}
	defer content.Close()
	data, err := io.ReadAll(content)
	if err != nil {
		return entryError(files[i], err)
	}
	a.Manifest, err = ReadManifest(data)
	return err
}

// topDirectory returns the directory that everything is in, "" if there is more than one thing at the root or a file.
// Composer overlooks .DS_Store there.
func topDirectory(files []*zip.File) string {
	top := ""
	for _, f := range files {
		first, _, below := strings.Cut(f.Name, "/")
		if first == ".DS_Store" && !below {
			continue
		}
		if !below || top != "" && top != first {
			return ""
		}
		top = first
	}
	return top
}
