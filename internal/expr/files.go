package expr

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// stat looks at a path below the scope's folder. os.Root keeps "..", absolute paths and links from leaving it: then the
// path counts as missing.
func stat(scope *Scope, path string) (fs.FileInfo, bool) {
	if scope.Dir == "" {
		return nil, false
	}
	root, err := os.OpenRoot(scope.Dir)
	if err != nil {
		return nil, false
	}
	defer root.Close()
	info, err := root.Stat(path)
	return info, err == nil
}

func pathExists(scope *Scope, texts []string) (any, error) {
	_, ok := stat(scope, texts[0])
	return ok, nil
}

func fileExists(scope *Scope, texts []string) (any, error) {
	info, ok := stat(scope, texts[0])
	return ok && info.Mode().IsRegular(), nil
}

func dirExists(scope *Scope, texts []string) (any, error) {
	info, ok := stat(scope, texts[0])
	return ok && info.IsDir(), nil
}

// readFile reads a file below the scope's folder.
func readFile(scope *Scope, texts []string) (any, error) {
	if info, ok := stat(scope, texts[0]); !ok || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("there is no file '%s'", texts[0])
	}
	root, err := os.OpenRoot(scope.Dir)
	if err != nil {
		return nil, errors.New("the folder cannot be read")
	}
	defer root.Close()
	file, err := root.Open(texts[0])
	if err != nil {
		return nil, fmt.Errorf("the file '%s' cannot be read", texts[0])
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxValue+1))
	if err != nil {
		return nil, fmt.Errorf("the file '%s' cannot be read", texts[0])
	}
	if len(data) > maxValue {
		return nil, fmt.Errorf("the file '%s' is over %d bytes", texts[0], maxValue)
	}
	return string(data), nil
}
