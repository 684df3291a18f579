package footprint

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// resident is how much of files the process holds in memory, in KiB.
func resident(t *testing.T) (kib int) {
	b, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if n, _ := fmt.Sscanf(line, "RssFile: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Skip("the kernel does not say how much of files is resident")
	return 0
}

// The process gives back what it does not need, and what it needs after that is still there, code and constants.
func TestShrink(t *testing.T) {
	before := resident(t)
	Shrink()
	after := resident(t)
	require.Less(t, after, before)
	require.Equal(t, "HELD TOGETHER BY CONSTANTS", strings.ToUpper(fmt.Sprintf("held %s by %s", "together", "constants")))
	Shrink()
}
