package runner

import (
	"os/exec"
	"testing"
)

// BenchmarkTrue compares a script that does nothing with the same started directly.
func BenchmarkTrue(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("supervised", func(b *testing.B) {
		s := startSupervisor(b, Options{})
		c := Command{Argv: []string{"/bin/true"}, Dir: b.TempDir()}
		for b.Loop() {
			exit, err := s.Run(b.Context(), c, Combined(writerFunc(func(p []byte) (int, error) { return len(p), nil })))
			if err != nil || !exit.OK() {
				b.Fatal(err, exit)
			}
		}
	})
}
