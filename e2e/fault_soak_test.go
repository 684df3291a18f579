//go:build soak

package e2e

import "testing"

// R4: TestR4FaultsAtEachPlace with one fault in each run, so that none hides what another does.
func TestSoakR4FaultsAtEachPlace(t *testing.T) {
	for _, sqlite := range []bool{true, false} {
		t.Run(databaseName(sqlite), func(t *testing.T) { newEveryJob(t, sqlite).each(1) })
	}
}
