package logs

import (
	"io"
	"sync"
	"sync/atomic"
)

// Replacement is what stands for a secret in a log.
const Replacement = "***"

// Secrets is the set of values that must not appear in a log. It may grow while streams are open; what they have not
// passed on yet is searched again. It is safe for concurrent use, and a nil set is an empty one.
//
// A value is found as it is, in base64 (standard and URL alphabet, at any position, also broken into lines), escaped
// for URLs, JSON, HTML and shells. Of a value with several lines each longer line counts by itself. White space around a
// value is not part of it. Values shorter than four bytes are ignored; of those over 32 KiB only the plain forms are found.
type Secrets struct {
	mu      sync.Mutex
	values  map[string]bool
	plain   []string
	encoded []string
	current atomic.Pointer[automaton]
}

// NewSecrets makes a set of the given values.
func NewSecrets(values ...string) *Secrets {
	s := &Secrets{values: map[string]bool{}}
	s.Add(values...)
	return s
}

// Add adds values to the set.
func (s *Secrets) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	grown := false
	for _, value := range values {
		if s.values[value] {
			continue
		}
		s.values[value] = true
		plain, encoded := variants(value)
		s.plain = append(s.plain, plain...)
		s.encoded = append(s.encoded, encoded...)
		grown = grown || len(plain) > 0
	}
	if grown {
		s.current.Store(build(s.plain, s.encoded))
	}
}

func (s *Secrets) automaton() *automaton {
	if s == nil {
		return nil
	}
	return s.current.Load()
}

// Mask returns text with every secret replaced.
func (s *Secrets) Mask(text string) string {
	a := s.automaton()
	if a == nil || text == "" {
		return text
	}
	m := scanner{pending: []byte(text)}
	m.scan(a)
	if len(m.found) == 0 {
		return text
	}
	return string(m.cut(nil, len(m.pending)))
}

// Masker passes bytes on with every secret replaced, also one that comes in several writes. It holds back what may be
// the beginning of a secret until more comes.
type Masker struct {
	secrets *Secrets
	next    io.Writer
	used    *automaton
	scanner scanner
	out     []byte
}

// Masker returns a stream that masks with this set and writes to next.
func (s *Secrets) Masker(next io.Writer) *Masker {
	return &Masker{secrets: s, next: next}
}

// Write takes bytes and passes on what is decided. Errors are those of the next writer.
func (m *Masker) Write(p []byte) (int, error) {
	a := m.secrets.automaton()
	if a == nil {
		return m.next.Write(p)
	}
	if a != m.used {
		m.used = a
		m.scanner.restart()
	}
	m.scanner.pending = append(m.scanner.pending, p...)
	m.scanner.scan(a)
	return len(p), m.pass(m.scanner.decided(a))
}

// HoldsLine reports whether a complete line is held back because base64 text may go on in the next one.
func (m *Masker) HoldsLine() bool {
	return m.used != nil && m.scanner.heldLine(m.used) > 0
}

// ReleaseLine passes on a line that is held back for base64 text alone. Whoever shows logs live calls it when nothing
// followed for a while: a tool that breaks lines prints them together.
func (m *Masker) ReleaseLine() error {
	if m.used == nil {
		return nil
	}
	end := m.scanner.heldLine(m.used)
	if end == 0 {
		return nil
	}
	err := m.pass(end)
	m.scanner.restart()
	m.scanner.scan(m.used)
	return err
}

// Close passes on what was held back; nothing can complete it now. It does not close the next writer.
func (m *Masker) Close() error {
	m.scanner.state = 0
	return m.pass(len(m.scanner.pending))
}

func (m *Masker) pass(end int) error {
	if end == 0 {
		return nil
	}
	m.out = m.scanner.cut(m.out[:0], end)
	_, err := m.next.Write(m.out)
	return err
}

// span is a place in the pending bytes.
type span struct{ start, end int }

// scanner searches bytes that have not been passed on.
type scanner struct {
	pending []byte
	scanned int
	state   int32
	found   []span // in order, not overlapping
}

func (s *scanner) restart() { s.scanned, s.state, s.found = 0, 0, nil }

// scan searches what has not been searched.
func (s *scanner) scan(a *automaton) {
	text, state := s.pending, s.state
	root, children := &a.tables[0], int32(len(a.tables))
	for i := s.scanned; i < len(text); i++ {
		if state == 0 {
			for root[text[i]] == 0 {
				if i++; i == len(text) {
					s.state, s.scanned = 0, i
					return
				}
			}
		}
		if c := text[i]; state < children && c != '\n' && c != '\r' {
			state = a.tables[state][c]
		} else {
			state = a.step(state, c)
		}
		if a.outgoing[state] {
			// A line break after the end of a base64 pattern keeps its state; the pattern is not found again by that.
			if c := text[i]; c == '\n' || c == '\r' {
				if a.key[state] != c {
					continue
				}
			}
			s.add(a, state, i+1)
		}
	}
	s.state, s.scanned = state, len(text)
}

// add notes a find that ends before end, joined with those it overlaps.
func (s *scanner) add(a *automaton, state int32, end int) {
	start := end
	if n := int(a.plain[state]); n > 0 {
		start = max(0, end-n)
	}
	if n := int(a.encoded[state]); n > 0 {
		start = min(start, s.back(end, n))
	}
	for n := len(s.found); n > 0 && s.found[n-1].end > start; n = len(s.found) {
		start = min(start, s.found[n-1].start)
		s.found = s.found[:n-1]
	}
	s.found = append(s.found, span{start, end})
}

// back is the place n bytes before end, line breaks not counted.
func (s *scanner) back(end, n int) int {
	for n > 0 && end > 0 {
		end--
		if c := s.pending[end]; c != '\n' && c != '\r' {
			n--
		}
	}
	return end
}

// held is where the beginning of a possible secret stands.
func (s *scanner) held(a *automaton) int {
	depth := int(a.depth[s.state])
	if depth == 0 {
		return len(s.pending)
	}
	if a.breaks[s.state] {
		return s.back(len(s.pending), depth)
	}
	return max(0, len(s.pending)-depth)
}

// decided is how much can be passed on: up to a possible secret, and up to a found one that might still grow.
func (s *scanner) decided(a *automaton) int {
	end := s.held(a)
	if n := len(s.found); n > 0 && s.found[n-1].end > end {
		end = min(end, s.found[n-1].start)
	}
	return end
}

// heldLine is the end of the last complete line that is held back for base64 text, or 0.
func (s *scanner) heldLine(a *automaton) int {
	if !a.breaks[s.state] {
		return 0
	}
	for i := len(s.pending); i > s.held(a); i-- {
		if s.pending[i-1] == '\n' && a.wrapped[s.state] == s.state {
			return i
		}
	}
	return 0
}

// cut removes the bytes before end from the pending ones and appends them to out, with finds replaced.
func (s *scanner) cut(out []byte, end int) []byte {
	at, kept := 0, s.found[:0]
	for _, f := range s.found {
		if f.start >= end {
			kept = append(kept, span{f.start - end, f.end - end})
			continue
		}
		out = append(out, s.pending[at:f.start]...)
		out = append(out, Replacement...)
		at = f.end
		end = max(end, f.end)
	}
	s.found = kept
	out = append(out, s.pending[at:end]...)
	s.pending = append(s.pending[:0], s.pending[end:]...)
	s.scanned = max(0, s.scanned-end)
	return out
}
