package temporaldev

import (
	"testing"

	"go.uber.org/goleak"
)

// R17: starting and stopping leaves no goroutine, a killed and restarted child neither.
func TestR17NoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := start(t, Options{})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	goleak.VerifyNone(t, before)
}
