package testenv

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// GoldenVariable makes [Golden] rewrite files instead of comparing; `make golden` sets it.
const GoldenVariable = "SLIPWAY_UPDATE_GOLDEN"

// Golden fails the test when got is not what the file says. Tests that use it have Golden in their names.
func Golden(t testing.TB, file string, got []byte) {
	t.Helper()
	if os.Getenv(GoldenVariable) != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("golden file: %v (make golden writes it)", err)
	}
	if bytes.Equal(want, got) {
		return
	}
	line := firstDifference(want, got)
	t.Fatalf("%s differs from line %d on (make golden rewrites it):\nwant: %s\n got: %s", file, line+1, lineOf(want, line), lineOf(got, line))
}

// firstDifference is the index of the first line that differs.
func firstDifference(a, b []byte) int {
	as, bs := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(as), len(bs)) {
		if !bytes.Equal(as[i], bs[i]) {
			return i
		}
	}
	return min(len(as), len(bs))
}

func lineOf(text []byte, index int) string {
	lines := bytes.Split(text, []byte("\n"))
	if index >= len(lines) {
		return "(the end)"
	}
	return string(lines[index])
}
