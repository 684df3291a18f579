package logs

import (
	"sync"
	"time"
)

// wrapPause is how long a complete line is held back because base64 text may go on in the next one.
const wrapPause = 500 * time.Millisecond

// Stream turns the bytes of one output into items of a Log. It is an io.WriteCloser and safe for concurrent use.
type Stream struct {
	log  *Log
	tail []byte

	mu      sync.Mutex
	masker  *Masker
	lines   *lineSplitter
	release *time.Timer
	closed  bool
}

// Stream opens an output of the log. Each line becomes an item with the other fields of the template; its time is the
// time at which the line was complete.
func (l *Log) Stream(template Item) *Stream {
	s := &Stream{log: l, tail: l.maskItem(template).tail()}
	s.lines = &lineSplitter{emit: s.line}
	s.masker = l.options.Secrets.Masker(s.lines)
	return s
}

// Write takes bytes. It waits while the sink is behind. An error means that the log can no longer be stored.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.masker.Write(p)
	if s.masker.HoldsLine() {
		if s.release == nil {
			s.release = time.AfterFunc(wrapPause, s.releaseLine)
		} else {
			s.release.Reset(wrapPause)
		}
	}
	return n, err
}

func (s *Stream) releaseLine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		_ = s.masker.ReleaseLine() // a broken log is reported by the next Write
	}
}

// Close passes on what was held back and a last line without an end.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.release != nil {
		s.release.Stop()
	}
	if err := s.masker.Close(); err != nil {
		return err
	}
	return s.lines.Close()
}

func (s *Stream) line(raw []byte) error {
	text, joined := harmless(raw)
	if joined {
		// A colour in the middle of a secret (grep --color) hid it from the search before.
		text = s.log.options.Secrets.Mask(text)
	}
	return s.log.append(text, s.tail)
}
