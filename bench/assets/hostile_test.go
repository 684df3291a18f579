//go:build bench

package assets

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hostileFilters are as long and as dear as filters may be: 8 KB of what nothing has, terms that cannot be looked up,
// patterns of many pieces.
func hostileFilters() map[string]string {
	chain := func(separator, format string) string {
		var parts []string
		for i := 0; len(parts) < 199; i++ {
			parts = append(parts, fmt.Sprintf(format, i))
			if len(strings.Join(parts, separator)) > 8000 {
				return strings.Join(parts[:len(parts)-1], separator)
			}
		}
		return strings.Join(parts, separator)
	}
	return map[string]string{
		"terms":                   chain(",", "q==no-such-thing-%d"),
		"terms-of-two-letters":    chain(",", "q==%02x"),
		"terms-and":               chain(";", "q==%d"),
		"digits":                  chain(",", "q==abcdef%03d"),
		"patterns-of-repository":  chain(",", "repository==*no*such*thing*%d*"),
		"patterns-of-labels":      chain(",", "labels==*nosuch%d*"),
		"patterns-of-names":       chain(",", "name==*nosuch%d*"),
		"patterns-of-tags":        chain(",", "tags.key%d==*nosuch*"),
		"patterns-of-digests":     chain(",", "manifest_digest==*abc%03dabc*"),
		"patterns-of-image-tags":  chain(",", "image_tag==*nosuch%d*"),
		"image-labels":            chain(",", "image_labels.key%d==*nosuch*"),
		"not-patterns-of-labels":  chain(";", "labels!=*nosuch%d*"),
		"list":                    "repository=in=(" + strings.TrimSuffix(strings.Repeat("nosuch,", 500), ",") + ")",
		"asterisks":               "repository==" + strings.Repeat("*a", 4000) + "*",
		"one-letter-and-another":  "repository==" + strings.Repeat("*a*e", 60) + "*q",
		"sql":                     `q=="' OR 1=1; DROP TABLE assets; --",repository=="%_\\\\%"`,
		"percent-and-underscores": "q=='" + strings.Repeat("%_", 2000) + "'",
	}
}

// hostileBound is in what time each is answered or refused, in milliseconds.
const hostileBound = 3000

// hostile sends them in several ways: each is answered or refused in time, and never with an error of the server's.
func (s *stack) hostile(t *testing.T) {
	filters := hostileFilters()
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		if !strings.Contains("hostile-"+name, os.Getenv("ONLY")) {
			continue
		}
		worst, note := 0.0, ""
		for _, what := range []string{"", "&sort=-name"} {
			start := time.Now()
			req, err := http.NewRequestWithContext(t.Context(), "GET", s.server.URL+s.base()+"?filter="+url.QueryEscape(filters[name])+what, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+s.token)
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			_ = res.Body.Close()
			took := float64(time.Since(start).Microseconds()) / 1000
			require.Contains(t, []int{200, 400}, res.StatusCode, name)
			worst, note = max(worst, took), note+fmt.Sprintf(" %d", res.StatusCode)
		}
		ratio("hostile-"+name+"-ms", worst, hostileBound, true, "the longer of two; answered"+note)
	}
}
