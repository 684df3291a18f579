package e2e

import (
	"fmt"
	"os"
	"testing"

	"slipway/internal/childprocess"
)

func TestMain(m *testing.M) {
	// Workers inside the test process start this binary again for their children, as the slipway command does.
	childprocess.Run()
	code := m.Run()
	if err := removeBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}
