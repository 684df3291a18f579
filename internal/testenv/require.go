// Package testenv gives tests the real things they run against: a PostgreSQL server, a Temporal server, a browser, git
// repositories. What is not installed is skipped by name; where SLIPWAY_TEST_REQUIRE lists that name (separated by
// commas, as CI does) the test fails instead.
package testenv

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// RequireVariable is the environment variable with the names of what may not be missing: postgres, temporal, chromium, or
// the name of a command.
const RequireVariable = "SLIPWAY_TEST_REQUIRE"

// Unavailable ends the test because the thing called name is missing: as skipped, or as failed where it is required.
func Unavailable(t testing.TB, name, reason string) {
	t.Helper()
	if Required(name) {
		t.Fatalf("%s is required by %s and not available: %s", name, RequireVariable, reason)
	}
	t.Skipf("%s is not available: %s", name, reason)
}

// Required says whether the thing called name may not be missing here.
func Required(name string) bool {
	return slices.ContainsFunc(strings.Split(os.Getenv(RequireVariable), ","), func(entry string) bool {
		return strings.TrimSpace(entry) == name
	})
}

// Command returns the path of an installed command, the first of names that is on PATH. The test is skipped, or fails
// where names[0] is required, when there is none.
func Command(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Unavailable(t, names[0], strings.Join(names, ", ")+": not on PATH")
	return ""
}

// Chromium returns the path of a Chromium or Chrome browser. To start it as root it needs the flag --no-sandbox.
func Chromium(t testing.TB) string {
	t.Helper()
	return Command(t, "chromium", "chromium-browser", "google-chrome", "chrome")
}
