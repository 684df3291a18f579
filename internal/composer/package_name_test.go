package composer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPackageNames(t *testing.T) {
	for _, name := range []string{"acme/log", "a/b", "acme-corp/log.writer", "1/2", "a_b/c-d", "acme/a--b", "com10/x",
		"psr/log-implementation", "acme/json"} {
		require.NoError(t, CheckPackageName(name))
	}
	for name, want := range map[string]string{
		"":                              "form vendor/package",
		"acme":                          "form vendor/package",
		"acme/":                         "letters and digits",
		"/log":                          "the vendor",
		"acme/log/x":                    "letters and digits",
		"Acme/log":                      `lower case: "acme/log"`,
		"acme/-log":                     "letters and digits",
		"acme/log-":                     "letters and digits",
		"acme/a---b":                    "letters and digits",
		"acme/a-_b":                     "letters and digits",
		"acme/a_-b":                     "letters and digits",
		"ac--me/log":                    "the vendor",
		"acme/../x":                     "letters and digits",
		"acme/..":                       "letters and digits",
		"acme/l\u00f6g":                 "letters and digits",
		"acme/log\n":                    "letters and digits",
		"acme/nul":                      "reserved",
		"com1/log":                      "reserved",
		"acme/log.json":                 ".json",
		"a/" + strings.Repeat("b", 300): "longer than 255 bytes",
	} {
		require.ErrorContains(t, CheckPackageName(name), want, "%q", name)
	}
}

func TestPlatformPackages(t *testing.T) {
	for _, name := range []string{"php", "PHP", "php-64bit", "ext-json", "lib-icu", "hhvm", "composer-plugin-api", "composer"} {
		require.True(t, IsPlatformPackage(name), name)
	}
	for _, name := range []string{"acme/php", "phpunit", "ext-", "ext-a/b", "ext", "composer-x"} {
		require.False(t, IsPlatformPackage(name), name)
	}
}
