package inventory

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"slipway/internal/problem"
)

func TestCopyChecked(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", chunkSize/4) // several chunks more than can wait
	all := func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
	wrong := errors.New("wrong")
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		r     io.Reader
		w     io.Writer
		limit int64
		check func(io.Reader) error
		err   func(error) bool
	}{
		"good":           {strings.NewReader(content), nil, 1 << 30, all, func(err error) bool { return err == nil }},
		"byte by byte":   {iotest.OneByteReader(strings.NewReader(content[:5000])), nil, 1 << 30, all, func(err error) bool { return err == nil }},
		"empty":          {strings.NewReader(""), nil, 1 << 30, all, func(err error) bool { return err == nil }},
		"at the limit":   {strings.NewReader(content), nil, int64(len(content)), all, func(err error) bool { return err == nil }},
		"over the limit": {strings.NewReader(content), nil, int64(len(content)) - 1, all, func(err error) bool { return problem.Is(err, problem.TooLarge) }},
		"wrong at once":  {strings.NewReader(content), nil, 1 << 30, func(io.Reader) error { return wrong }, func(err error) bool { return errors.Is(err, wrong) }},
		"wrong at the end": {strings.NewReader(content), nil, 1 << 30, func(r io.Reader) error { return errors.Join(all(r), wrong) },
			func(err error) bool { return errors.Is(err, wrong) }},
		"goes on behind its end": {strings.NewReader(content), nil, 1 << 30, func(io.Reader) error { return nil }, func(err error) bool { return problem.Is(err, problem.Invalid) }},
		"check panics":           {strings.NewReader(content), nil, 1 << 30, func(io.Reader) error { panic("boom") }, func(err error) bool { return err != nil && strings.Contains(err.Error(), "boom") }},
		"sender breaks off":      {io.MultiReader(strings.NewReader(content), iotest.ErrReader(broken)), nil, 1 << 30, all, func(err error) bool { return errors.Is(err, broken) && problem.Is(err, problem.Invalid) }},
		"sender ends too early":  {io.MultiReader(strings.NewReader(content), iotest.ErrReader(io.ErrUnexpectedEOF)), nil, 1 << 30, all, func(err error) bool { return problem.Is(err, problem.Invalid) }},
		"storage fails":          {strings.NewReader(content), failingWriter{broken}, 1 << 30, all, func(err error) bool { return errors.Is(err, broken) && !problem.Is(err, problem.Invalid) }},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if c.w == nil {
				c.w = &b
			}
			err := copyChecked(c.w, c.r, c.limit, c.check)
			require.True(t, c.err(err), "%v", err)
			if name == "good" {
				require.Equal(t, content, b.String())
			}
		})
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
