package composer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const fullManifest = `{
	"name": "acme/log", "description": "Writes logs", "type": "library", "version": "v1.2.3",
	"keywords": ["log", "psr-3"], "homepage": "https://example.com", "license": ["MIT", "GPL-2.0-only"],
	"authors": [{"name": "Ada", "email": "ada@example.com"}], "support": {"issues": "https://example.com/issues"},
	"require": {"php": ">=8.1", "ext-json": "*", "psr/log": "^2.0 || ^3.0", "Acme/Core": "self.version"},
	"require-dev": [], "conflict": {"acme/old": "<1.0"}, "replace": {"acme/log-core": "self.version"},
	"suggest": {"ext-intl": "for dates"}, "autoload": {"psr-4": {"Acme\\Log\\": "src/"}}, "bin": ["bin/log"],
	"extra": {"branch-alias": {"dev-main": "2.x-dev"}, "name": "\ud83d\ude00"}, "abandoned": false,
	"repositories": [{"type": "composer", "url": "https://evil.example"}], "config": {"secure-http": false},
	"scripts": {"post-install-cmd": "id"}, "minimum-stability": "dev",
	"dist": {"type": "zip", "url": "https://evil.example/x.zip"}, "source": {"type": "git", "url": "https://evil.example"},
	"notification-url": "https://evil.example/count", "transport-options": {"http": {}}
}`

func TestReadManifest(t *testing.T) {
	m, err := ReadManifest([]byte(fullManifest))
	require.NoError(t, err)
	require.Equal(t, "acme/log", m.Name)
	require.Equal(t, "Writes logs", m.Description)
	require.Equal(t, "v1.2.3", m.Version)

	require.NoError(t, m.CheckIdentity("acme/log", "1.2.3.0"))
	require.EqualError(t, m.CheckIdentity("acme/other", "1.2.4"),
		`composer.json: name: is "acme/log", but the package is "acme/other"; version: is "v1.2.3", but the version is "1.2.4"`)
	require.Error(t, m.CheckIdentity("acme/log", "nonsense"))
}

// One file per mistake, each with the field and what is said of it.
func TestS20ManifestMistakes(t *testing.T) {
	deep := strings.Repeat("[", MaxManifestDepth) + strings.Repeat("]", MaxManifestDepth)
	var links []string
	for i := range MaxManifestLinks + 1 {
		links = append(links, fmt.Sprintf(`"acme/p%d":"*"`, i))
	}
	for input, want := range map[string]string{
		``:                                      `is not JSON`,
		`nonsense`:                              `is not JSON`,
		`[]`:                                    `must be a JSON object`,
		`{"name":"acme/log"`:                    `is not JSON`,
		`{"name":"acme/log",}`:                  `is not JSON`,
		`{"name":"acme/log"} x`:                 `text after`,
		`{"name":"acme/log"}{}`:                 `text after`,
		`{}`:                                    `name: is missing`,
		`{"name":null}`:                         `name: must not be null`,
		`{"name":7}`:                            `name: must be text`,
		`{"name":"log"}`:                        `form vendor/package`,
		`{"name":"a/b","name":"c/d"}`:           `"name" twice`,
		"\xef\xbb\xbf{}":                        `byte order mark`,
		"{\"name\":\"a/\xff\"}":                 `not valid UTF-8`,
		`{"name":"a/b","description":"\ud800"}`: `surrogate`,
		`{"name":"a/b","description":"\ud800\u0041"}`:                        `surrogate`,
		`{"name":"a/b","description":"\udc00"}`:                              `surrogate`,
		`{"name":"a/b","description":"__unset"}`:                             `description: must not be "__unset"`,
		`{"name":"a/b","extra":{"x":` + deep + `}}`:                          `nests deeper than 32 levels`,
		`{"name":"a/b","version":"one"}`:                                     `version: version "one": expected a digit`,
		`{"name":"a/b","type":"a b"}`:                                        `type: must be letters`,
		`{"name":"a/b","require":{"x":"*"}}`:                                 `require.x: package name "x"`,
		`{"name":"a/b","require":{"c/d":"^^"}}`:                              `require.c/d: constraint "^^"`,
		`{"name":"a/b","require":{"c/d":null}}`:                              `require.c/d: must be a constraint`,
		`{"name":"a/b","require":{"c/d":1}}`:                                 `require: must be an object of constraints`,
		`{"name":"a/b","require":["c/d"]}`:                                   `require: must be an object of constraints`,
		`{"name":"a/b","require":{` + strings.Join(links, ",") + `}}`:        `require: has more than 1000 entries`,
		`{"name":"a/b","bin":"../../x"}`:                                     `bin: "../../x" leads out`,
		`{"name":"a/b","bin":["/etc/x"]}`:                                    `bin: "/etc/x" is an absolute path`,
		`{"name":"a/b","autoload":"src"}`:                                    `autoload: must be an object`,
		`{"name":"a/b","autoload":[1]}`:                                      `autoload: must be an object`,
		`{"name":"a/b","license":{}}`:                                        `license: must be text or a list`,
		`{"name":"a/b","authors":["Ada"]}`:                                   `authors: must be a list of objects`,
		`{"name":"a/b","keywords":"x"}`:                                      `keywords: must be a list of texts`,
		`{"name":"a/b","abandoned":1}`:                                       `abandoned: must be true, false`,
		`{"name":"a/b","x":"` + strings.Repeat("y", MaxManifestBytes) + `"}`: `larger than 1048576 bytes`,
	} {
		_, err := ReadManifest([]byte(input))
		require.ErrorContains(t, err, want, "%.100q", input)
		var manifestError *ManifestError
		require.ErrorAs(t, err, &manifestError)
		require.Less(t, len(err.Error()), 4000)
	}
}

func TestManifestNamesAllMistakesUpToALimit(t *testing.T) {
	_, err := ReadManifest([]byte(`{"name":"x","type":7,"license":7}`))
	var manifestError *ManifestError
	require.ErrorAs(t, err, &manifestError)
	require.Len(t, manifestError.Problems, 3)

	var links []string
	for i := range 100 {
		links = append(links, fmt.Sprintf(`"p%d":"*"`, i))
	}
	_, err = ReadManifest([]byte(`{"name":"a/b","require":{` + strings.Join(links, ",") + `}}`))
	require.ErrorAs(t, err, &manifestError)
	require.Len(t, manifestError.Problems, maxManifestProblems)
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(fullManifest))
	f.Add([]byte(`{"name":"a/b","require":[],"extra":{"x":"\ud83d\ude00"}}`))
	f.Add([]byte(`{"name":"a/b","description":"\\","x":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ReadManifest(data)
		if err != nil {
			return
		}
		if CheckPackageName(m.Name) != nil {
			t.Fatalf("accepted the name %q", m.Name)
		}
		d, err := m.Metadata("1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		text, err := d.MarshalJSON()
		if err != nil || !json.Valid(text) {
			t.Fatalf("metadata is not JSON: %s", text)
		}
		var again Metadata
		if err := again.UnmarshalJSON(text); err != nil || !again.Equal(d) {
			t.Fatalf("metadata changes when it is read again: %s, %v", text, err)
		}
		file := AppendPackageFile(nil, m.Name, []Metadata{d, d})
		packages, err := ReadPackageFile(file)
		if err != nil || len(packages[m.Name]) != 2 || !packages[m.Name][1].Equal(d) {
			t.Fatalf("the package file is wrong: %s, %v", file, err)
		}
	})
}
