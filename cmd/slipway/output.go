package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// table is what people see of a list. Columns are as wide as what is in them. Where that is wider than the terminal, the
// columns of narrow are left out, one after another, and the last column is cut.
type table struct {
	heading []string
	rows    [][]string
	narrow  []string // headings of the columns that can be missed, those first that are missed least
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table for the terminal that w may be; empty is said where it has no rows.
func (t *table) write(w io.Writer, empty string) error { return t.print(w, empty, terminalWidth(w)) }

// print prints the table in lines of limit characters; 0 means no limit.
func (t *table) print(w io.Writer, empty string, limit int) error {
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(w, empty)
		return err
	}
	all := append([][]string{t.heading}, t.rows...)
	widths := make([]int, len(t.heading))
	for _, row := range all {
		for i, cell := range row {
			row[i] = oneLine(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	left := t.fit(widths, limit)
	var b bytes.Buffer
	for _, row := range all {
		line := ""
		for i, cell := range row {
			if left[i] {
				line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			}
		}
		b.WriteString(cut(strings.TrimRight(line, " "), limit) + "\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// lastColumn is how much of the last column should be seen before it is cut, in characters.
const lastColumn = 12

// fit says which columns are shown where lines may have limit characters; 0 means no limit.
func (t *table) fit(widths []int, limit int) []bool {
	shown, need := make([]bool, len(widths)), 0
	for i, width := range widths {
		shown[i] = true
		if i == len(widths)-1 {
			width = min(width, lastColumn)
		}
		need += width + 2
	}
	for _, heading := range t.narrow {
		if i := slices.Index(t.heading, heading); limit > 0 && need-2 > limit && i >= 0 {
			shown[i] = false
			need -= widths[i] + 2
		}
	}
	return shown
}

// oneLine makes a cell of any text: what others wrote must not move the cursor of a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// cut shortens a line to a width in characters; 0 means no limit.
func cut(line string, width int) string {
	if width <= 1 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}

// terminalWidth is how many characters a line may have; 0 where w is no terminal.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

// writeJSON prints a value as JSON, with indents. What the API said, a json.RawMessage, keeps its members and letters as
// they are; a []byte would come out in base64.
func writeJSON(w io.Writer, v any) error {
	document, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if document, err = json.Marshal(v); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, document, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// ago tells a time as people do: how long it is past.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	if d < 5*time.Second { // the server's clock may be a little ahead
		return "just now"
	}
	return span(d.Truncate(time.Second)) + " ago"
}

// span is a length of time in its largest units.
func span(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
