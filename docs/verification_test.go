package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A claim whose test is gone is no claim.
func TestNamedTestsExist(t *testing.T) {
	declared := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range function.FindAllStringSubmatch(string(content), -1) {
			declared[match[1]] = true
		}
		return err
	}))
	n := 0
	for page, text := range pages(t) {
		for _, match := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(text, -1) {
			if match[1] == "TestBench" {
				continue // what all of them begin with
			}
			n++
			require.True(t, declared[match[1]], "%s in %s", match[1], page)
		}
	}
	require.Greater(t, n, 100, "the tests were not found")
}
