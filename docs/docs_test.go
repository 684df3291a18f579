// Package docs holds what users read beyond the README. Its tests hold the pages against the code.
package docs

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
)

func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	require.NoError(t, err)
	files = append(files, "../README.md", "../CONTRIBUTING.md")
	texts := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[file] = string(content)
	}
	return texts
}

// row of the table of variables: names, default, explanation.
var row = regexp.MustCompile("(?m)^\\| (`SLIPWAY_[^|]*) \\| ([^|]*) \\|")

func TestEveryVariableIsExplained(t *testing.T) {
	explained := map[string]string{} // to its default
	for _, match := range row.FindAllStringSubmatch(pages(t)["configuration.md"], -1) {
		for _, name := range strings.Split(match[1], ", ") {
			explained[strings.Trim(name, "` ")] = strings.Trim(match[2], "` ")
		}
	}
	known := map[string]bool{}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name == "" {
			continue
		}
		known[name] = true
		require.Contains(t, explained, name)
		if value := field.Tag.Get("envDefault"); value != "" {
			require.Equal(t, value, explained[name], "default of %s", name)
		}
		require.Equal(t, strings.ToLower(strings.TrimPrefix(name, "SLIPWAY_")), field.Tag.Get("yaml"), "name of %s in the file", name)
	}
	for name := range explained {
		require.True(t, known[name], "%s is explained and not read", name)
	}
}

func TestPagesNameOnlyVariablesThatExist(t *testing.T) {
	known := map[string]bool{
		"SLIPWAY_CONFIG": true, "SLIPWAY_IMAGE": true, "SLIPWAY_URL": true, "SLIPWAY_TOKEN": true, "SLIPWAY_CONTEXT": true,
		"SLIPWAY_EXECUTION": true, "SLIPWAY_LOGS_URL": true, "SLIPWAY_RUN_TOKEN": true, // what scripts get
		"SLIPWAY_TEST_POSTGRES_URL": true, "SLIPWAY_TEST_REQUIRE": true, "SLIPWAY_UPDATE_GOLDEN": true,
	}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		known[name] = true
	}
	for page, text := range pages(t) {
		for _, name := range regexp.MustCompile(`SLIPWAY_[A-Z_]*[A-Z]`).FindAllString(text, -1) {
			require.True(t, known[name], "%s in %s", name, page)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	for page, text := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), match[1]))
			require.NoError(t, err, "link in %s", page)
		}
	}
}

// Nobody finds a page that the README does not name.
func TestTheReadmeNamesEveryPage(t *testing.T) {
	all := pages(t)
	for page := range all {
		if !strings.HasPrefix(page, "../") {
			require.Contains(t, all["../README.md"], "](docs/"+page+")")
		}
	}
}

// Whoever watches an installation reads of every metric.
func TestEveryMetricIsExplained(t *testing.T) {
	page := pages(t)["operating.md"]
	metric := regexp.MustCompile(`"(slipway_[a-z_]+_(?:total|seconds|open))"`)
	found := 0
	for _, folder := range []string{"api", "app", "deliveries", "executions", "worker", "activities", "schedules", "packages"} {
		files, err := filepath.Glob("../" + folder + "/*.go")
		require.NoError(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, match := range metric.FindAllStringSubmatch(string(content), -1) {
				found++
				require.Contains(t, page, "`"+match[1])
			}
		}
	}
	require.Greater(t, found, 7)
}

func TestTargetsAndPackagesExist(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	for page, text := range pages(t) {
		for _, match := range regexp.MustCompile("(?m)(?:^    |`)make ([a-z]+)").FindAllStringSubmatch(text, -1) {
			require.Contains(t, string(makefile), "\n"+match[1]+":", "make %s in %s", match[1], page)
		}
		for _, match := range regexp.MustCompile("`(internal/[a-z]+)`").FindAllStringSubmatch(text, -1) {
			require.DirExists(t, filepath.Join("..", match[1]), page)
		}
	}
}
