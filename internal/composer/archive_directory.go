package composer

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The records of the zip format that are read here, APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16.
const (
	localHeaderSignature     = 0x04034b50
	localHeaderLength        = 30
	directoryHeaderSignature = 0x02014b50
	directoryHeaderLength    = 46
	directoryEndSignature    = 0x06054b50
	directoryEndLength       = 22
	maxCommentLength         = 0xffff
)

// maxDirectoryBytesPerEntry bounds the directory's size before it is read: a header, a path and some extra fields.
const maxDirectoryBytesPerEntry = 512

// directoryEntry is what archive/zip does not tell of an entry.
type directoryEntry struct {
	name         []byte
	headerOffset int64
	packed       int64
}

// scanDirectory walks the directory at the end of the archive before archive/zip does. archive/zip holds every entry
// in memory, however many there are, and ignores what the end record says about size and number; this refuses
// archives that are read differently by different unpackers, and keeps memory bounded.
//
// Zip64 is refused: within the limits on size and entries nothing needs it.
func scanDirectory(r io.ReaderAt, size int64, maxEntries int) ([]directoryEntry, error) {
	tail := make([]byte, min(size, directoryEndLength+maxCommentLength))
	if err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	end := -1
	for i := len(tail) - directoryEndLength; i >= 0; i-- {
		// The comment must reach to the very end; archive/zip and others search for the last record of which the
		// comment fits.
		if binary.LittleEndian.Uint32(tail[i:]) == directoryEndSignature {
			if i+directoryEndLength+int(binary.LittleEndian.Uint16(tail[i+20:])) != len(tail) {
				return nil, fmt.Errorf("%w: there are bytes after its end", ErrNotZip)
			}
			end = i
			break
		}
	}
	if end < 0 {
		return nil, fmt.Errorf("%w: it has no directory at its end", ErrNotZip)
	}
	record := tail[end:]
	disks := binary.LittleEndian.Uint32(record[4:])
	onThisDisk, entries := binary.LittleEndian.Uint16(record[8:]), binary.LittleEndian.Uint16(record[10:])
	length, offset := int64(binary.LittleEndian.Uint32(record[12:])), int64(binary.LittleEndian.Uint32(record[16:]))
	switch {
	case disks != 0 || onThisDisk != entries:
		return nil, fmt.Errorf("%w: it is split over several files", ErrNotZip)
	case entries == 0xffff || offset == 0xffffffff || length == 0xffffffff:
		return nil, fmt.Errorf("%w: Zip64 is not supported", ErrNotZip)
	case int(entries) > maxEntries:
		return nil, fmt.Errorf("%w: %d entries, at most %d are allowed", ErrTooLarge, entries, maxEntries)
	case length > int64(maxEntries)*maxDirectoryBytesPerEntry:
		return nil, fmt.Errorf("%w: its directory has %d bytes", ErrTooLarge, length)
	case offset+length != size-int64(len(tail))+int64(end):
		return nil, fmt.Errorf("%w: its directory is not where its end record says", ErrNotZip)
	}
	raw := make([]byte, length)
	if err := readFull(r, raw, offset); err != nil {
		return nil, err
	}
	directory := make([]directoryEntry, 0, entries)
	for len(raw) > 0 {
		if len(raw) < directoryHeaderLength || binary.LittleEndian.Uint32(raw) != directoryHeaderSignature {
			return nil, fmt.Errorf("%w: its directory is damaged", ErrNotZip)
		}
		nameLength := int(binary.LittleEndian.Uint16(raw[28:]))
		total := directoryHeaderLength + nameLength + int(binary.LittleEndian.Uint16(raw[30:])) +
			int(binary.LittleEndian.Uint16(raw[32:]))
		if total > len(raw) || len(directory) == int(entries) {
			return nil, fmt.Errorf("%w: its directory is damaged", ErrNotZip)
		}
		directory = append(directory, directoryEntry{
			name:         raw[directoryHeaderLength : directoryHeaderLength+nameLength],
			packed:       int64(binary.LittleEndian.Uint32(raw[20:])),
			headerOffset: int64(binary.LittleEndian.Uint32(raw[42:])),
		})
		raw = raw[total:]
	}
	if len(directory) != int(entries) {
		return nil, fmt.Errorf("%w: its directory has %d entries, its end record says %d", ErrNotZip, len(directory), entries)
	}
	return directory, nil
}

// sameEntries reports whether archive/zip has read the same directory.
func sameEntries(files []*zip.File, directory []directoryEntry) bool {
	return slices.EqualFunc(files, directory, func(f *zip.File, e directoryEntry) bool {
		return f.Name == string(e.name) && f.CompressedSize64 == uint64(e.packed)
	})
}

// hasSpecialType reports whether the upper half of the attributes has the Unix type of a link, device, pipe or socket.
// archive/zip looks at it only if the archive was made on Unix; other unpackers do for more systems.
func hasSpecialType(f *zip.File) bool {
	const none, directory, regular = 0, 0o04, 0o10
	switch f.ExternalAttrs >> 28 {
	case none, directory, regular:
		return false
	}
	return true
}

// checkLayout compares every entry with its local header, and refuses entries that share bytes. Some unpackers go by
// the local headers, so another name there would install something that was never checked; entries that overlap are
// how a small archive claims to hold terabytes. The names must have been checked before: their length bounds a buffer.
func checkLayout(r io.ReaderAt, files []*zip.File, directory []directoryEntry) error {
	type extent struct{ begin, end int64 }
	extents := make([]extent, 0, len(files))
	for i, entry := range directory {
		f := files[i]
		contradicts := func(what string) error {
			return fmt.Errorf("%w: %q has %s in front of its content than in the directory", ErrNotZip,
				shorten(f.Name, 120), what)
		}
		begin, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("%w: %q: %w", ErrNotZip, shorten(f.Name, 120), err)
		}
		extraAt := localHeaderLength + len(entry.name)
		length := begin - entry.headerOffset
		if length < int64(extraAt) || length > int64(extraAt)+0xffff {
			return contradicts("another place")
		}
		header := make([]byte, length)
		if err := readFull(r, header, entry.headerOffset); err != nil {
			return err
		}
		const sizesFollow = 1 << 3 // the sizes stand behind the content, and are 0 here
		flags := binary.LittleEndian.Uint16(header[6:])
		switch {
		case binary.LittleEndian.Uint32(header) != localHeaderSignature,
			int(binary.LittleEndian.Uint16(header[26:])) != len(entry.name),
			!bytes.Equal(header[localHeaderLength:extraAt], entry.name):
			return contradicts("another name")
		case binary.LittleEndian.Uint16(header[8:]) != f.Method:
			return contradicts("another method")
		case flags&sizesFollow == 0 && int64(binary.LittleEndian.Uint32(header[18:])) != entry.packed:
			return contradicts("another size")
		case hasOtherName(header[extraAt:], f.Name), hasOtherName(f.Extra, f.Name):
			return contradicts("another name")
		}
		extents = append(extents, extent{entry.headerOffset, begin + entry.packed})
	}
	slices.SortFunc(extents, func(a, b extent) int { return cmp.Compare(a.begin, b.begin) })
	for i := 1; i < len(extents); i++ {
		if extents[i].begin < extents[i-1].end {
			return fmt.Errorf("%w: entries overlap", ErrBomb)
		}
	}
	return nil
}

// hasOtherName reports whether extra fields hold a Unicode path (APPNOTE.TXT 4.6.9) other than name. Some unpackers
// prefer it to the name.
func hasOtherName(extra []byte, name string) bool {
	const unicodePath, versionAndChecksum = 0x7075, 5
	for len(extra) >= 4 {
		id, length := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		extra = extra[4:]
		if length > len(extra) {
			return id == unicodePath
		}
		if id == unicodePath && (length < versionAndChecksum || string(extra[versionAndChecksum:length]) != name) {
			return true
		}
		extra = extra[length:]
	}
	return false
}

// readFull reads len(buffer) bytes at offset. An archive that is too short for that is no valid one.
func readFull(r io.ReaderAt, buffer []byte, offset int64) error {
	n, err := r.ReadAt(buffer, offset)
	switch {
	case n == len(buffer):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends too early", ErrNotZip)
	}
	return fmt.Errorf("read archive: %w", err)
}
