package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// knownHosts is the file that remembers ssh host keys between fetches. The child processes work on copies, since they
// run as other users; what they learn is added here.
type knownHosts struct {
	path string
	mu   sync.Mutex
}

func (k *knownHosts) read() (string, error) {
	if k.path == "" {
		return "", nil
	}
	data, err := os.ReadFile(k.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the known hosts: %w", err)
	}
	return string(data), nil
}

// add appends lines that are not there yet. Other processes may do the same at the same time.
func (k *knownHosts) add(lines []string) error {
	if k.path == "" || len(lines) == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(k.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	known, err := os.ReadFile(k.path)
	if err != nil {
		return err
	}
	for _, line := range newLines(string(known), lines) {
		if _, err := file.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// newLines are the lines that the text does not have. A name that already has a key of the same type keeps it: of two
// fetches that meet a new host at the same time the first counts.
func newLines(text string, lines []string) []string {
	var fresh []string
	have := strings.Split(text, "\n")
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		if !slices.ContainsFunc(have, func(old string) bool {
			o := strings.Fields(old)
			return len(o) >= 3 && o[0] == fields[0] && o[1] == fields[1]
		}) {
			fresh, have = append(fresh, line), append(have, line)
		}
	}
	return fresh
}
