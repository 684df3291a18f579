package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Levels of items.
const (
	LevelDebug   = "debug"
	LevelInfo    = "info"
	LevelSuccess = "success"
	LevelWarn    = "warn"
	LevelError   = "error"
)

// Item is one log line in the shape of the state surface and of the escape client's JSON logger.
type Item struct {
	// Timestamp is when the line was printed; in JSON it is RFC 3339 with nanoseconds.
	Timestamp time.Time `json:"timestamp"`
	// Message is the text of the line.
	Message string `json:"message"`
	// Level is one of debug, info, success, warn and error.
	Level string `json:"level"`
	// LogKey names the kind of event, such as build.step; LogValues are its parameters.
	LogKey    string            `json:"log_key"`
	LogValues map[string]string `json:"log_values"`
	// LogSectionChanged, LogSectionIndent and LogSectionUnindent tell a reader when the sections change.
	LogSectionChanged  bool `json:"log_section_changed"`
	LogSectionIndent   bool `json:"log_section_indent"`
	LogSectionUnindent bool `json:"log_section_unindent"`
	// LogSections are the headings above the line, outermost first.
	LogSections []string `json:"log_sections"`
}

// tail is the JSON of an item after its message, from the comma on. It is the same for every line of a stream.
func (i Item) tail() []byte {
	i.Timestamp, i.Message = time.Time{}, ""
	if i.Level == "" {
		i.Level = LevelInfo
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(i) // strings, maps of strings and booleans cannot fail
	whole := bytes.TrimRight(buffer.Bytes(), "\n")
	return whole[bytes.Index(whole, []byte(`,"level":`)):]
}

// appendLine appends the item as a JSON line.
func appendLine(to []byte, at time.Time, message string, tail []byte) []byte {
	to = append(to, `{"timestamp":"`...)
	to = at.UTC().AppendFormat(to, time.RFC3339Nano)
	to = append(to, `","message":`...)
	to = appendString(to, message)
	to = append(to, tail...)
	return append(to, '\n')
}

// appendString appends a JSON string. Markup is left as it is: readers escape for where they show it, and escaping it
// here would make a line six times as long as its limit.
func appendString(to []byte, s string) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	clean := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= ' ' && b != '"' && b != '\\' && b < utf8.RuneSelf {
			i++
			continue
		}
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				to = append(append(to, s[clean:i]...), "\ufffd"...)
			case r == '\u2028' || r == '\u2029': // line ends in JavaScript
				to = append(append(to, s[clean:i]...), `\u202`...)
				to = append(to, hex[r&15])
			default:
				i += size
				continue
			}
			i += size
			clean = i
			continue
		}
		to = append(to, s[clean:i]...)
		switch b {
		case '"', '\\':
			to = append(to, '\\', b)
		case '\n':
			to = append(to, `\n`...)
		case '\t':
			to = append(to, `\t`...)
		default:
			to = append(to, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
		i++
		clean = i
	}
	return append(append(to, s[clean:]...), '"')
}

// Chunk is a run of consecutive log lines of one execution.
type Chunk struct {
	// FirstLine is the number of the first line, counted from 0 in its log; Count is the number of lines.
	FirstLine int64
	Count     int
	// Data holds the lines as JSON, one item per line, each ended by a newline; at most MaxChunk bytes.
	Data []byte
}

// Items decodes the chunk.
func (c Chunk) Items() ([]Item, error) {
	items := make([]Item, 0, c.Count)
	for line := range bytes.Lines(c.Data) {
		var item Item
		if err := json.Unmarshal(line, &item); err != nil {
			return nil, fmt.Errorf("log line %d: %w", c.FirstLine+int64(len(items)), err)
		}
		items = append(items, item)
	}
	return items, nil
}

// After returns the part of the chunk from the given line on: what a reader that has all lines before it still needs.
// It is empty, with a Count of 0, when there is nothing.
func (c Chunk) After(line int64) Chunk {
	for c.Count > 0 && c.FirstLine < line {
		end := bytes.IndexByte(c.Data, '\n')
		if end < 0 {
			end = len(c.Data) - 1
		}
		c.Data, c.FirstLine, c.Count = c.Data[end+1:], c.FirstLine+1, c.Count-1
	}
	return c
}
