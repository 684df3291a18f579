package state

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"slipway/internal/logs"
)

// FuzzReadPush: what comes out of any payload can be stored and handed to git.
func FuzzReadPush(f *testing.F) {
	files, err := filepath.Glob("testdata/webhooks/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no payloads", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("push", b)
		f.Add("repo:push", b)
	}
	f.Add("push", []byte(`{"ref":"refs/heads/--upload-pack=x","after":"-x","commits":[null]}`))
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		h := http.Header{}
		h.Set("X-GitHub-Event", event)
		for _, c := range readPush(h, body).Branches {
			if c.Revision != "" && !isRevision(c.Revision) {
				t.Fatalf("%q is no revision", c.Revision)
			}
			for _, text := range []string{c.Branch, c.Message, c.Author} {
				if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || len(text) > 20000 {
					t.Fatalf("%q cannot be stored", text)
				}
			}
		}
	})
}

// FuzzDecodeLogItems: what is taken keeps within the limits.
func FuzzDecodeLogItems(f *testing.F) {
	f.Add([]byte(`{"timestamp":"2026-11-22T02:50:53.37Z","message":"x","level":"info","log_key":"build.step","log_values":{"a":"b"},"log_sections":["Build"]}`))
	f.Add([]byte(`[{},{"level":"loud"}]`))
	f.Add([]byte(` [`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := decodeLogItems(body, time.Unix(0, 0))
		if err != nil {
			return
		}
		if len(items) > maxLogItems {
			t.Fatal(len(items), "items")
		}
		for _, it := range items {
			if len(it.Message) > maxMessage || it.Level == "" || it.Timestamp.IsZero() || it.Level != logs.LevelInfo && !logLevels[it.Level] {
				t.Fatalf("%+v", it)
			}
		}
	})
}
