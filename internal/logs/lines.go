package logs

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// MaxLine is the number of bytes after which a line is cut in two.
const MaxLine = 16 << 10

// lineSplitter cuts bytes into lines at \n, \r\n and \r. The last is how progress bars overwrite themselves; as lines of
// their own nothing they say is hidden.
type lineSplitter struct {
	partial []byte
	skipLF  bool // the last line ended with \r, so a \n that follows belongs to it
	emit    func(line []byte) error
}

func (s *lineSplitter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if s.skipLF && p[0] == '\n' {
			p = p[1:]
		}
		s.skipLF = false
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			s.partial = append(s.partial, p...)
			return n, s.limit()
		}
		s.partial = append(s.partial, p[:end]...)
		if err := s.limit(); err != nil {
			return n, err
		}
		s.skipLF = p[end] == '\r'
		p = p[end+1:]
		if err := s.end(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// limit passes on pieces of a line that is too long, cut between characters.
func (s *lineSplitter) limit() error {
	for len(s.partial) > MaxLine {
		cut := MaxLine
		for back := range utf8.UTFMax {
			if utf8.RuneStart(s.partial[MaxLine-back]) {
				cut = MaxLine - back
				break
			}
		}
		if err := s.emit(s.partial[:cut]); err != nil {
			return err
		}
		s.partial = append(s.partial[:0], s.partial[cut:]...)
	}
	return nil
}

func (s *lineSplitter) end() error {
	err := s.emit(s.partial)
	s.partial = s.partial[:0]
	return err
}

// Close passes on a last line without an end.
func (s *lineSplitter) Close() error {
	if len(s.partial) == 0 {
		return nil
	}
	return s.end()
}

// harmless makes a line safe to show in a terminal and elsewhere: colours and other control sequences are removed,
// control characters and invalid UTF-8 are replaced by visible signs, and so are marks that reverse the direction of
// text. The second value reports whether anything was removed: what stood on both sides of it is now one text.
func harmless(line []byte) (text string, joined bool) {
	ascii := true
	for _, b := range line {
		if b < ' ' && b != '\t' || b >= 0x7f {
			ascii = false
			break
		}
	}
	if ascii {
		return string(line), false
	}
	var out strings.Builder
	out.Grow(len(line))
	for i := 0; i < len(line); {
		b := line[i]
		if b == 0x1b {
			if n := controlSequence(line[i:]); n > 0 {
				i += n
				joined = true
				continue
			}
		}
		r, size := utf8.DecodeRune(line[i:])
		i += size
		switch {
		case r == utf8.RuneError && size == 1, r >= 0x80 && r < 0xa0, direction(r):
			out.WriteRune(utf8.RuneError)
		case r == 0x7f:
			out.WriteRune('\u2421')
		case r < ' ' && r != '\t':
			out.WriteRune('\u2400' + r) // the sign for the control character
		default:
			out.WriteRune(r)
		}
	}
	return out.String(), joined
}

func direction(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// controlSequence is the length of the terminal control sequence that p begins with, or 0 (ECMA-48: CSI; OSC and the
// other strings up to their terminator).
func controlSequence(p []byte) int {
	if len(p) < 2 {
		return 0
	}
	switch p[1] {
	case '[':
		for i := 2; i < len(p); i++ {
			switch {
			case p[i] >= 0x40 && p[i] <= 0x7e:
				return i + 1
			case p[i] < 0x20 || p[i] > 0x3f:
				return 0
			}
		}
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(p); i++ {
			if p[i] == 0x07 {
				return i + 1
			}
			if p[i] == 0x1b {
				if i+1 < len(p) && p[i+1] == '\\' {
					return i + 2
				}
				return 0
			}
		}
	}
	return 0
}
