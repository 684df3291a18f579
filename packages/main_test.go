package packages_test

import (
	"os"
	"testing"

	"slipway/internal/childprocess"
	_ "slipway/internal/testenv" // ends the servers of the tests
)

// The test binary plays the parts of the slipway binary.
func TestMain(m *testing.M) {
	childprocess.Run()
	os.Exit(m.Run())
}
