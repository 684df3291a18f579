package expr

import (
	"fmt"
	"io"
	"io/fs"
)

// stat looks at a path below the scope's folder. os.Root keeps "..", absolute paths and links from leaving it: then the
// path counts as missing.
func stat(scope *Scope, path string) (fs.FileInfo, bool) {
	if scope.Root == nil {
		return nil, false
	}
	info, err := scope.Root.Stat(path)
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
	file, err := scope.Root.Open(texts[0])
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
