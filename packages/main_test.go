package packages_test

import (
	"os"
	"testing"

	"slipway/internal/childprocess"
	_ "slipway/internal/testenv" // ends the servers of the tests
)

func TestMain(m *testing.M) {
	// Workers inside the test process start this binary again for their children.
	childprocess.Run()
	os.Exit(m.Run())
}
