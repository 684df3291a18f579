//go:build bench

// Package bench compares Slipway with the bare thing in the same run: a plain Temporal workflow on the same server, with
// the same pollers and the same script runner; a plain Gin handler that runs the same SQL. Every figure ends as a line
// RATIO <name> <value> goal <bound> ok|short. Machines are noisy: the ratios count, absolute times do not.
package bench

import (
	"fmt"
	"os"
	"testing"

	"slipway/internal/childprocess"
	"slipway/internal/testenv"
)

func TestMain(m *testing.M) {
	childprocess.Run()
	_ = testenv.Required // links the kit in for the clean-up of its servers
	os.Exit(m.Run())
}

// atLeast prints a figure that must not fall below its bound.
func atLeast(name string, value, bound float64) { ratio(name, value, bound, value >= bound) }

// atMost prints a figure that must not rise above its bound.
func atMost(name string, value, bound float64) { ratio(name, value, bound, value <= bound) }

func ratio(name string, value, bound float64, ok bool) {
	verdict := "short"
	if ok {
		verdict = "ok"
	}
	fmt.Printf("RATIO %s %.3g goal %.3g %s\n", name, value, bound, verdict)
}

// note prints a figure without a bound.
func note(format string, args ...any) { fmt.Printf("# "+format+"\n", args...) }
