// Package examples holds the samples that come with Slipway, as files and inside the binary.
package examples

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed shop
var files embed.FS

// Shop is the sample with two applications: greeter, and storefront which depends on it. See shop/README.md.
func Shop() fs.FS {
	shop, err := fs.Sub(files, "shop")
	if err != nil {
		panic(err) // only for a malformed name
	}
	return shop
}

// Write writes the files of a sample into the folder dir, which is made when it is missing. Files that begin with "#!" are
// executable: embedding loses that.
func Write(sample fs.FS, dir string) error {
	return fs.WalkDir(sample, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(path, 0o755)
		}
		content, err := fs.ReadFile(sample, name)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if bytes.HasPrefix(content, []byte("#!")) {
			mode = 0o755
		}
		if err := os.WriteFile(path, content, mode); err != nil {
			return fmt.Errorf("write sample: %w", err)
		}
		return nil
	})
}
