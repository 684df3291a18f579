package composer

import (
	"errors"
	"path"
	"strings"
	"unicode/utf8"
)

// maxEntryName and maxEntrySegment are what file systems allow.
const (
	maxEntryName    = 1024
	maxEntrySegment = 255
)

// checkEntryName reports what makes a path in an archive unsafe to unpack, on any system; the text follows the path.
func checkEntryName(name string) error {
	switch {
	case name == "":
		return errors.New("is an empty path")
	case len(name) > maxEntryName:
		return errors.New("is too long")
	case !utf8.ValidString(name):
		return errors.New("is not valid UTF-8")
	case strings.HasPrefix(name, "/"):
		return errors.New("is an absolute path")
	case strings.Contains(name, `\`):
		return errors.New("has a backslash, which is a separator on Windows")
	case len(name) > 1 && name[1] == ':' && isLetter(name[0]):
		return errors.New("names a drive of Windows")
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return errors.New("has a control character")
		}
	}
	for segment := range strings.SplitSeq(name, "/") {
		switch {
		case segment == "..":
			return errors.New("leads out of the archive")
		case segment == "" || segment == ".":
			return errors.New("has an empty part")
		case len(segment) > maxEntrySegment:
			return errors.New("has a part that is too long")
		}
	}
	return nil
}

// pathSet finds paths that are in an archive twice, or as a file and as a directory: which one an unpacker keeps is
// anybody's guess, so what was checked might not be what is installed.
type pathSet struct {
	files       map[string]bool
	directories map[string]bool // named by an entry, or by being above one
	named       map[string]bool // named by an entry
}

func newPathSet() *pathSet {
	return &pathSet{files: map[string]bool{}, directories: map[string]bool{}, named: map[string]bool{}}
}

// add reports whether the path goes with all before it.
func (s *pathSet) add(name string, isDirectory bool) bool {
	if s.files[name] || s.named[name] || !isDirectory && s.directories[name] {
		return false
	}
	if isDirectory {
		s.named[name], s.directories[name] = true, true
	} else {
		s.files[name] = true
	}
	for above := path.Dir(name); above != "." && !s.directories[above]; above = path.Dir(above) {
		if s.files[above] {
			return false
		}
		s.directories[above] = true
	}
	return true
}
