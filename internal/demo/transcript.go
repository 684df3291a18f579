package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// transcript prints what happens, one line at a time, and at the end a table of it all. Several followers of logs print at
// the same time.
type transcript struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
	rows  []row
}

// row is a line of the closing table.
type row struct {
	what, status string
	took         time.Duration
	where        string
}

func newTranscript(out io.Writer) *transcript { return &transcript{out: out, began: time.Now()} }

// say prints a line with the time since the start.
func (t *transcript) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%6.1fs  %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// note adds a row to the closing table.
func (t *transcript) note(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// step announces what is done, does it, and says how it ended. do returns a remark for the reader.
func (t *transcript) step(title string, do func() (string, error)) error {
	t.say("%s", title)
	t.note(row{what: title})
	t.mu.Lock()
	place := len(t.rows) - 1 // above the rows of its parts
	t.mu.Unlock()
	began := time.Now()
	remark, err := do()
	result := row{what: title, status: "ok", took: time.Since(began), where: remark}
	switch {
	case err != nil:
		result.status, result.where = "failed", ""
		t.say("  FAILED after %s: %v", seconds(result.took), err)
	case remark == "":
		t.say("  ok, %s", seconds(result.took))
	default:
		t.say("  ok, %s: %s", seconds(result.took), remark)
	}
	t.mu.Lock()
	t.rows[place] = result
	t.mu.Unlock()
	return err
}

// end prints the table and the verdict.
func (t *transcript) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	width := 0
	for _, r := range t.rows {
		width = max(width, len(r.what))
	}
	fmt.Fprintf(t.out, "\n%-*s  %-8s  %7s  %s\n", width, "STEP", "STATUS", "TIME", "WHERE")
	for _, r := range t.rows {
		line := fmt.Sprintf("%-*s  %-8s  %7s  %s", width, r.what, r.status, seconds(r.took), r.where)
		fmt.Fprintln(t.out, strings.TrimRight(line, " "))
	}
	if err != nil {
		fmt.Fprintf(t.out, "\nThe demo failed after %s.\n", seconds(time.Since(t.began)))
		return
	}
	fmt.Fprintf(t.out, "\nFrom source to production and back in %s.\n", seconds(time.Since(t.began)))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
