package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// openRegular opens a regular file. O_NONBLOCK keeps a pipe in its place from blocking forever.
func openRegular(root *os.Root, name string) (*os.File, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func decodeOutputs(name string, r io.Reader) (map[string]any, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxOutputs+1))
	if err != nil {
		return nil, fmt.Errorf("the outputs file %s cannot be read: %w", name, err)
	}
	if len(data) > maxOutputs {
		return nil, fmt.Errorf("the outputs file %s is over the limit of %d bytes", name, maxOutputs)
	}
	outputs := map[string]any{}
	if len(bytes.TrimSpace(data)) == 0 {
		return outputs, nil
	}
	if err := json.Unmarshal(data, &outputs); err != nil || outputs == nil {
		return nil, fmt.Errorf("the outputs file %s is not a JSON object of texts", name)
	}
	return outputs, nil
}
