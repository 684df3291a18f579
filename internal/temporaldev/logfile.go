package temporaldev

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxLogSize is the size in bytes at which the log is put aside before the next start.
const maxLogSize = 10 << 20

// openLog opens the server's log for appending. The one before is kept as temporal.log.1.
func openLog(dir string) (*os.File, error) {
	path := filepath.Join(dir, LogFile)
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("temporal server: put log aside: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("temporal server: open log: %w", err)
	}
	return file, nil
}

// tail returns what the server wrote after offset, at most the last 2 KiB of it, for an error message.
func tail(file *os.File, offset int64) string {
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	if from := info.Size() - 2048; from > offset {
		offset = from
	}
	text, err := io.ReadAll(io.NewSectionReader(file, offset, info.Size()-offset))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
