package inventory

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"slipway/internal/problem"
)

// Bytes of one chunk of a package, and how many chunks may wait for the check. Together they are what one upload costs
// in memory.
const (
	chunkSize  = 256 << 10
	chunkQueue = 4
)

// copyChecked copies r to w, at most limit bytes, while check reads the same bytes on another core: unpacking and
// summing takes longer than the copy. A failing check ends the copy early.
func copyChecked(w io.Writer, r io.Reader, limit int64, check func(io.Reader) error) error {
	chunks := make(chan []byte, chunkQueue)
	// One more than can wait, for the copy, and one for the check: taking a free chunk never blocks for long.
	free := make(chan []byte, chunkQueue+2)
	for range cap(free) {
		free <- make([]byte, chunkSize)
	}
	result := make(chan error, 1)
	reader := &chunkReader{chunks: chunks, free: free}
	go func() {
		defer func() {
			// Nobody else recovers in this goroutine, and a package must not end the process.
			if p := recover(); p != nil {
				result <- fmt.Errorf("check the package: panic: %v", p)
			}
		}()
		result <- check(reader)
	}()
	err := copyChunks(w, r, limit, chunks, free, result)
	close(chunks)
	checked := <-result
	switch {
	case err != nil:
		return err
	case checked == nil && !reader.ended:
		return problem.New(problem.Invalid, "The package goes on behind its end")
	}
	return checked
}

func copyChunks(w io.Writer, r io.Reader, limit int64, chunks chan<- []byte, free <-chan []byte, result chan error) error {
	var total int64
	for {
		b := <-free
		n, err := fill(r, b)
		if total += int64(n); total > limit {
			return problem.New(problem.TooLarge, "The package is over the limit of %d bytes", limit)
		}
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			select {
			case chunks <- b[:n]:
			case checked := <-result:
				result <- checked
				return nil // the caller reports what the check found
			}
		}
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return brokenUpload(err)
		}
	}
}

// fill reads until b is full or r ends or fails. io.ReadFull would hide whether r ended well or in the middle.
func fill(r io.Reader, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// brokenUpload is an error of the sender's side, or the refusal of a package that would fill up a quota.
func brokenUpload(err error) error {
	if problem.Is(err, problem.LimitReached) {
		return err
	}
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return problem.New(problem.TooLarge, "The package is over the limit of %d bytes", tooBig.Limit)
	}
	return problem.Wrap(problem.Invalid, err, "The upload broke off: the package did not arrive completely")
}

// chunkReader reads what copyChunks has written, and gives the chunks back.
type chunkReader struct {
	chunks <-chan []byte
	free   chan<- []byte
	all    []byte
	rest   []byte
	ended  bool // the end was read; look at it only after the check
}

func (c *chunkReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.all != nil {
			c.free <- c.all[:cap(c.all)]
			c.all = nil
		}
		b, ok := <-c.chunks
		if !ok {
			c.ended = true
			return 0, io.EOF
		}
		c.all, c.rest = b, b
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
