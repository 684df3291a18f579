package e2e

import (
	"fmt"
	"os"
	"testing"

	"slipway/internal/fetch"
	"slipway/internal/runner"
)

func TestMain(m *testing.M) {
	// Workers inside the test process start this binary again for their children, as the slipway command does.
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
	code := m.Run()
	if err := removeBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}
