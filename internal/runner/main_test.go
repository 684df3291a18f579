package runner

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test binary plays the part of the slipway binary: as a supervisor, and as a worker that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "supervise":
			os.Exit(SuperviseMain())
		case "doomed-worker":
			os.Exit(doomedWorker(os.Args[2:]))
		}
	}
	goleak.VerifyTestMain(m)
}
