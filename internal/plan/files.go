package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"slipway/internal/release"
)

// FileError says that a file cannot be in a package, in a sentence for the person who wrote the plan.
type FileError struct{ Message string }

func (e *FileError) Error() string { return e.Message }

// notPackaged are folders at the top of the plan's folder that a recursive include leaves out: the platform's own, the
// unpacked dependencies, which have packages of their own, and the repository's data.
var notPackaged = []string{".escape", "deps", ".git"}

const maxFiles = 100_000

// CollectFiles sets Metadata.Files to what the package of the release holds now: the scripts, the templates, and what
// the includes and generates match in root, each with its MD5. It is called when compiling, and again before packaging,
// because a build makes files. Globs that match nothing are left out.
func (c *Compiled) CollectFiles(root *os.Root) error {
	return c.collectFiles(root, func(err error) error { return err })
}

// collectFiles is CollectFiles, which goes on where report gives no error for one.
func (c *Compiled) collectFiles(root *os.Root, report func(error) error) error {
	found := map[string]bool{}
	for _, file := range c.required {
		if err := report(add(root, found, file)); err != nil {
			return err
		}
	}
	for _, glob := range c.includes {
		matches, err := fs.Glob(root.FS(), glob)
		if err != nil {
			if err := report(&FileError{fmt.Sprintf("'%s' is not a valid pattern", glob)}); err != nil {
				return err
			}
			continue
		}
		if _, err := root.Lstat(glob); err == nil && len(matches) == 0 {
			matches = []string{glob} // a link that leads outside: told, and not left out silently
		}
		for _, match := range matches {
			if err := report(addTree(root, found, match)); err != nil {
				return err
			}
		}
	}
	delete(found, release.MetadataFile) // the package's own
	sums := make(map[string]string, len(found))
	for file := range found {
		sum, err := checksum(root, file)
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		sums[file] = sum
	}
	c.Metadata.Files = sums
	return nil
}

func checksum(root *os.Root, file string) (string, error) {
	opened, err := root.Open(file)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	return release.Checksum(opened)
}

// add notes one file. Links are followed as long as they stay in the folder.
func add(root *os.Root, found map[string]bool, file string) error {
	info, err := root.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &FileError{fmt.Sprintf("the file '%s' does not exist any more", file)}
	case err != nil:
		return &FileError{fmt.Sprintf("the file '%s' cannot be packaged: it cannot be read or is a link that leaves the plan's folder", file)}
	case !info.Mode().IsRegular():
		return nil // sockets and the like are nothing to ship
	}
	if found[file] = true; len(found) > maxFiles {
		return &FileError{fmt.Sprintf("the package would have more than %d files", maxFiles)}
	}
	return nil
}

// addTree notes a file, or all files below a folder.
func addTree(root *os.Root, found map[string]bool, match string) error {
	info, err := root.Stat(match)
	if err != nil || !info.IsDir() {
		return add(root, found, match)
	}
	return fs.WalkDir(root.FS(), match, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && slices.Contains(notPackaged, name) && path.Dir(name) == "." {
				return fs.SkipDir
			}
			return nil
		}
		return add(root, found, name)
	})
}
