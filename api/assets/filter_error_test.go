package assets_test

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryBadFilterSaysWhere sends each filter of the parser's cases that is wrong, and some that are wrong in other ways,
// to lists, groups and searches: 400, with the parameter (or the place in the body), the position and what was expected.
func TestEveryBadFilterSaysWhere(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	s.images(t, s.web, 3)
	filters := []string{"nosuch==1", "q!=a", "q==*", "created_at==x", "id==x", "tags==x", "tags.==x", "image_labels=in=('')", "size_bytes==1", "created_at=in=(2024-01-01,x)", "q==a\x00b",
		strings.Repeat("a", 9000), strings.Repeat("(", 10_000), strings.Repeat("(", 21) + "q==a" + strings.Repeat(")", 21), strings.Repeat("q==a;", 200) + "q==a", "name=in=(" + strings.Repeat("a,", 500) + "a)",
		"image_tag==*a*;" + strings.Repeat("(image_labels.a==*b,manifest_digest!=*c);", 2) + "q==0123456789"}
	text, err := os.ReadFile("../../internal/rsql/testdata/cases.tsv")
	require.NoError(t, err)
	cases := 0
	for row := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		c := strings.Split(row, "\t")
		if expected := c[8]; expected == "error" || expected == "=" && c[2] == "error" {
			var filter string
			require.NoError(t, json.Unmarshal([]byte(c[1]), &filter))
			filters = append(filters, filter)
			cases++
		}
	}
	require.Greater(t, cases, 80)
	bad := func(a answer, filter, at, place string) {
		t.Helper()
		shown := filter[:min(len(filter), 60)]
		require.Equal(t, 400, a.status, "%q: %s", shown, a.body)
		code, source, meta, detail := a.fault(t)
		require.Equal(t, map[string]any{at: place}, source, shown)
		require.NotEmpty(t, code)
		position, ok := meta["position"].(float64)
		require.True(t, ok, "%q: %s", shown, a.body)
		require.LessOrEqual(t, int(position), len([]rune(filter)), shown)
		require.NotEmpty(t, meta["expected"], shown)
		require.Less(t, len(detail), 1500, shown)
	}
	groups := s.groupField(t, "registry")
	for _, filter := range filters {
		for _, path := range []string{s.base(), groups} {
			bad(s.get(t, path+"?filter="+url.QueryEscape(filter)), filter, "parameter", "filter")
			// As it stands in a URL that a person types, as far as one can.
			if !strings.ContainsAny(filter, " \t\r\n&%+#\x00") {
				bad(s.get(t, path+"?filter="+filter), filter, "parameter", "filter")
			}
		}
		if encoded, err := json.Marshal(filter); err == nil && !strings.Contains(filter, "\x00") {
			bad(s.call(t, s.owner, "POST", s.base()+"/searches", search(`"filter":`+string(encoded))), filter, "pointer", "/data/attributes/filter")
		}
	}
	for raw, position := range map[string]int{"q==%zz": 3, "q==%C3%A4%a": 4, "%": 0, "q==100%": 6, "q==a%ff": 4, "%C3%A4%C3": 1} {
		a := s.get(t, s.base()+"?filter="+raw)
		bad(a, raw, "parameter", "filter")
		_, _, meta, _ := a.fault(t)
		require.EqualValues(t, position, meta["position"], raw)
	}
}
