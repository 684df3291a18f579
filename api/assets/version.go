package assets

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"slipway/assets"
	"slipway/internal/problem"
)

// There is one version of the surface. Every date from its release on asks for it.
const (
	servedDate    = "2024-10-15"
	servedVersion = servedDate + "~beta"
)

var versionPattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

// checkVersion holds the parameter version to its rules: a date, not in the future, and not before the first release.
func checkVersion(text string, now time.Time) error {
	t, err := time.Parse(time.DateOnly, text)
	switch {
	case !versionPattern.MatchString(text) || err != nil:
		return assets.BadParameter("version", "invalid-version", "expected a date such as 2024-10-15")
	case t.After(now.UTC()):
		return assets.BadParameter("version", "invalid-version", "expected a date that is not in the future")
	case text < servedDate:
		p := assets.BadParameter("version", "unknown-version", "there was no version yet: the first is of "+servedDate).(*problem.Error)
		p.Kind = problem.NotFound
		return p
	}
	return nil
}

// requestedVersion is the version that a request names, as far as it is one that can stand in a header.
func requestedVersion(r *http.Request) string {
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != "version" {
			continue
		}
		if v, err := url.QueryUnescape(value); err == nil && versionPattern.MatchString(v) {
			return v
		}
	}
	return ""
}
