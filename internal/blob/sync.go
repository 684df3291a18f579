package blob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A renamed file is whole after a power failure only if its content was on the disk before the rename, and it is there
// at all only if its folder was written too. The driver of folders does neither.

// fsync forces a file or a folder to the disk. Tests watch it.
var fsync = (*os.File).Sync

// syncFile forces what was written to a folder's file to the disk.
func (w *Writer) syncFile() error {
	if w.file == nil {
		return nil
	}
	return fsync(w.file)
}

// temporary is the path of the file that a folder's driver writes and renames; "" on other storage.
func (w *Writer) temporary() string {
	if w.file == nil {
		return ""
	}
	return w.file.Name()
}

// syncFolders forces the name of a file to the disk, and the names of the depth folders that it is in, which may be new.
func syncFolders(path string, depth int) error {
	if path == "" {
		return nil
	}
	for range depth {
		path = filepath.Dir(path)
		if err := syncFolder(path); err != nil {
			return err
		}
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile, the file with it: whoever reads it will see
	}
	if err != nil {
		return err
	}
	return errors.Join(fsync(folder), folder.Close())
}
