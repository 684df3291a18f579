package fetch

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"slipway/internal/runner"
)

// The test binary plays the parts of the slipway binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "supervise":
			os.Exit(runner.SuperviseMain())
		case "fetch":
			os.Exit(Main())
		case "fetch-dial":
			os.Exit(DialMain(os.Args[2:]))
		}
	}
	goleak.VerifyTestMain(m)
}
