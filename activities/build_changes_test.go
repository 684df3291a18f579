package activities

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

func TestFilePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"escape.yml", []string{"escape.yml", "a/b/escape.yml", "escape.yml/x"}, []string{"escape.yaml", "xescape.yml"}},
		{"*.go", []string{"main.go", "a/b/main.go"}, []string{"main.god", "go"}},
		{"docs", []string{"docs/a.md", "x/docs/a.md", "docs"}, []string{"docs2/a", "mydocs"}},
		{"docs/", []string{"docs/a.md"}, []string{"docs2/a"}},
		{"/docs", []string{"docs/a.md"}, []string{"x/docs/a.md"}},
		{"./src/app", []string{"src/app/main.go", "src/app"}, []string{"src/apple/main.go", "x/src/app/y"}},
		{"src/*.c", []string{"src/a.c"}, []string{"src/x/a.c", "a.c"}},
		{"src/**/*.c", []string{"src/a.c", "src/x/a.c", "src/x/y/a.c"}, []string{"src/a.h", "a.c"}},
		{"**/test/*", []string{"test/a", "x/y/test/a", "test/a/b"}, []string{"test", "x/tests/a"}},
		{"**", []string{"a", "a/b"}, nil},
		{"a/**", []string{"a/b", "a/b/c", "a"}, []string{"b/a"}},
		{"file?.[ch]", []string{"file1.c", "x/file2.h"}, []string{"file.c", "file12.c", "file1.o"}},
		{"", nil, []string{"a", ""}},
		{"[", nil, []string{"[", "a"}},
		{"with space/ü*", []string{"with space/über/x"}, []string{"with space/u"}},
	} {
		for _, f := range c.yes {
			require.True(t, matchesFile(c.pattern, f), "%q means %q", c.pattern, f)
		}
		for _, f := range c.no {
			require.False(t, matchesFile(c.pattern, f), "%q does not mean %q", c.pattern, f)
		}
	}
	// S19: no pattern takes for ever.
	require.False(t, matchesFile(strings.Repeat("**/a/", 80)+"b", strings.Repeat("a/", 500)+"c"))
}

func TestStepsWithSomethingToDo(t *testing.T) {
	on := func(build, ignore []string) models.BuildStep {
		return models.BuildStep{BuildOnFileChanges: build, IgnoreFileChanges: ignore}
	}
	had := baseline{since: "c0ffee", steps: []models.BuildStep{on([]string{"src/"}, nil), on([]string{"web/"}, nil), on(nil, []string{"docs"}), on(nil, []string{"docs", "*.go"}),
		on([]string{"src"}, []string{"*.go"}), on([]string{"src"}, []string{}), {PlanLocation: "lib/escape.yml", BuildOnFileChanges: []string{"lib"}, RunBuild: true}}}
	c := changes{baseline: had, known: true, files: []string{"docs/a.md", "src/main.go"}}
	require.True(t, c.concern(on(nil, nil)))
	require.True(t, c.concern(on([]string{"src/"}, nil)))
	require.False(t, c.concern(on([]string{"web/"}, nil)))
	require.True(t, c.concern(on(nil, []string{"docs"})))
	require.False(t, c.concern(on(nil, []string{"docs", "*.go"})))
	require.False(t, c.concern(on([]string{"src"}, []string{"*.go"})), "ignored wins")
	require.False(t, changes{baseline: had, known: true}.concern(on([]string{"src"}, nil)), "nothing has changed at all")
	require.True(t, changes{known: true}.concern(on(nil, nil)), "a step that names no files builds whatever happens")
	require.True(t, changes{baseline: had}.concern(on([]string{"web"}, nil)), "what is not known counts as changed")
	// A step that the last good build did not have has never run well, whatever its files did since.
	lib := models.BuildStep{PlanLocation: "lib/escape.yml", BuildOnFileChanges: []string{"lib"}, RunBuild: true}
	require.False(t, c.concern(lib))
	require.True(t, c.concern(models.BuildStep{PlanLocation: "new/escape.yml", BuildOnFileChanges: []string{"lib"}, RunBuild: true}), "it is new")
	lib.RunTests = true
	require.True(t, c.concern(lib), "it does more than it did")
	require.True(t, changes{baseline: baseline{since: "c0ffee"}, known: true}.concern(on([]string{"src"}, nil)), "the build has no step that it had")
}

func FuzzFilePatterns(f *testing.F) {
	f.Add("src/**/*.c", "src/a/b.c")
	f.Fuzz(func(_ *testing.T, pattern, file string) { matchesFile(pattern, file) })
}
