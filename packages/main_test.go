package packages_test

import (
	"os"
	"testing"

	"slipway/internal/fetch"
	"slipway/internal/runner"
	_ "slipway/internal/testenv" // ends the servers of the tests
)

// The test binary plays the parts of the slipway binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "supervise":
			os.Exit(runner.SuperviseMain())
		case "fetch":
			os.Exit(fetch.Main())
		case "fetch-dial":
			os.Exit(fetch.DialMain(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}
