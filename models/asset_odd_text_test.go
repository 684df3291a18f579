package models

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

// oddTexts are what registries may say of an image and no pattern, quote or case rule expects.
var oddTexts = []string{"amd64", "AMD64", "ÄMD64", "ämd64", "a*b", "*", "a%b", "a_b", `a\b`, `\`, `"`, "'", `a'b"c`, "a b", " a", "a ", "and", "or", "(a)", "a;b,c", "=", "!=", "~", "null", "NULL", "日本語", "😀", "ß", "SS", "İ", "ſ", "K", "k",
	"1", "1.0", "true", "{}", "[]", `{"a":1}`, "$1", "?", "$$", "--", "/*", "a/b", "a.b", "a:b", "\u00a0", "e\u0301", "é"}

// oddImages are images whose texts and times are odd, many of them alike but for case, a space or a fraction of a second.
func oddImages(r *rand.Rand, n int) []Image {
	pick := func() string { return oddTexts[r.IntN(len(oddTexts))] }
	list := make([]Image, n)
	for i := range list {
		img := Image{Registry: []string{"docker.io", "Docker.IO", "[::1]:5000", "localhost:5000"}[r.IntN(4)], Repository: []string{"a", "a/b", "a.b/c", "a_b", "a__b", "a-b"}[r.IntN(6)],
			ConfigDigest: fmt.Sprintf("sha256:%016x%048x", r.Uint64(), i), Architecture: pick(), OS: pick(), Class: []string{"", "A", "D"}[r.IntN(3)]}
		if r.IntN(4) > 0 {
			img.ImageLabels = map[string]string{}
			for range 1 + r.IntN(3) {
				img.ImageLabels[[]string{"a", "a.b", "a.b.c", "ä", "A", "a/b", "a%b"}[r.IntN(7)]] = []string{pick(), pick(), ""}[r.IntN(3)]
			}
		}
		for range r.IntN(4) {
			img.ImageTags = append(img.ImageTags, []string{"latest", "LATEST", "v1_0", "v1-0", "v1.0", "_", "1"}[r.IntN(7)])
		}
		for range r.IntN(3) {
			img.Labels = append(img.Labels, []string{"a", "A", "a%b", "a_b", "a~b", "and", "=", "?", "/", "#", "+", "@a:b"}[r.IntN(12)])
		}
		if r.IntN(3) > 0 {
			img.Tags = map[string]string{}
			for range 1 + r.IntN(3) {
				img.Tags[[]string{"a", "A", "a-b", "a_b", "and"}[r.IntN(5)]] = []string{"", "a", "A", "a%b", "a_b", "=", "a=b", "?"}[r.IntN(8)]
			}
		}
		if r.IntN(4) > 0 {
			t := oddTime(r)
			img.BuiltAt = &t
		}
		created := oddTime(r)
		img.CreatedAt = &created
		list[i] = img
	}
	return list
}

func oddTime(r *rand.Rand) time.Time {
	zone := time.FixedZone("", []int{0, 3600, -5 * 3600, 5*3600 + 1800, -14 * 3600}[r.IntN(5)])
	return time.Date(2024, 2, 28+r.IntN(3), r.IntN(24), r.IntN(2)*59, r.IntN(2)*59, []int{0, 1000, 500_000_000, 999_999_000, 123_456_789}[r.IntN(5)], zone)
}

// escaped writes a text for the inside of double quotes: its quotes, backslashes and asterisks mean what they are.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `*`, `\*`).Replace(text)
}

func literal(text string) string { return `"` + escaped(text) + `"` }

// oddComparison is a comparison of any field with any of its operators.
func oddComparison(r *rand.Rand, images []Image) string {
	img := images[r.IntN(len(images))]
	key := func(m map[string]string, more string) string {
		keys := []string{more}
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		return keys[r.IntN(len(keys))]
	}
	one := func(list []string) string { return append(list, "")[r.IntN(len(list)+1)] }
	field, value := "", ""
	switch r.IntN(12) {
	case 0, 1:
		moments := []*time.Time{img.CreatedAt, img.BuiltAt}
		field = []string{"created_at", "built_at"}[r.IntN(2)]
		if t := moments[r.IntN(2)]; t != nil {
			at := t.In(time.FixedZone("", []int{0, 3600, -7 * 3600}[r.IntN(3)]))
			value = at.Format([]string{time.DateOnly, time.RFC3339, time.RFC3339Nano}[r.IntN(3)])
			if op := []string{"==", "!=", "<", "<=", ">", ">=", "=lt=", "=le=", "=gt=", "=ge=", "=in=", "=out="}[r.IntN(12)]; r.IntN(8) > 0 {
				return field + op + "'" + value + "'"
			}
		}
		return field + []string{"==", "!="}[r.IntN(2)] + "''"
	case 2:
		field, value = "architecture", img.Architecture
	case 3:
		field, value = "os", img.OS
	case 4:
		k := key(img.ImageLabels, "a.b")
		field, value = "image_labels."+k, img.ImageLabels[k]
		if strings.Contains(k, "%") {
			field = "image_labels.a"
		}
	case 5:
		k := key(img.Tags, "a")
		field, value = "tags."+k, img.Tags[k]
	case 6:
		field, value = "labels", one(img.Labels)
	case 7:
		field, value = "image_tag", one(img.ImageTags)
	case 8:
		field, value = "registry", img.Registry
	case 9:
		field, value = "repository", img.Repository
	case 10:
		field, value = "class", img.Class
	case 11:
		if value = one(append(slices.Clone(img.Labels), img.Registry, img.Repository)); value != "" {
			return "q==" + literal(value)
		}
		field, value = "name", "a"
	}
	other := oddTexts[r.IntN(len(oddTexts))]
	switch r.IntN(6) {
	case 0:
		return field + []string{"=in=", "=out="}[r.IntN(2)] + "(" + literal(value) + "," + literal(other) + "," + literal(value) + ")"
	case 1:
		runes := []rune(value)
		if len(runes) > 0 {
			at := r.IntN(len(runes))
			pattern := []string{"*" + escaped(string(runes[at:])), escaped(string(runes[:at+1])) + "*", "*" + escaped(string(runes[at])) + "*"}[r.IntN(3)]
			return field + []string{"==", "!="}[r.IntN(2)] + `"` + pattern + `"`
		}
	case 2:
		return field + []string{"==", "!="}[r.IntN(2)] + literal(strings.ToUpper(value))
	case 3:
		return field + []string{"==", "!="}[r.IntN(2)] + literal(other)
	}
	return field + []string{"==", "!="}[r.IntN(2)] + literal(value)
}

// TestAssetFiltersAgreeOnOddTexts: what no rule of quotes, patterns, case and time zones expects selects the same on both
// databases and in a plain evaluator, in lists of one organization and of several.
func TestAssetFiltersAgreeOnOddTexts(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		for _, seed := range []uint64{1, 2, 3} {
			r := rand.New(rand.NewPCG(seed, 1847))
			one := newOrganization(t, s, fmt.Sprintf("one-%d", seed), OrganizationOrg, nil)
			two := newOrganization(t, s, fmt.Sprintf("two-%d", seed), OrganizationOrg, nil)
			first, second := oddImages(r, 60), oddImages(r, 60)
			images := []map[string]Image{putTestImages(t, s, one.ID, first), putTestImages(t, s, two.ID, second)}
			used := 0
			for range 400 {
				f := oddComparison(r, first)
				for range r.IntN(3) {
					f = "(" + f + [2]string{";", ","}[r.IntN(2)] + oddComparison(r, second) + ")"
				}
				n, err := rsql.Parse(f)
				require.NoError(t, err, f)
				if CheckAssetFilter(n) != nil {
					continue
				}
				used++
				scopes := [][]string{{one.ID}, {one.ID, two.ID}}[r.IntN(2):][:1]
				organizations := scopes[0]
				var want []string
				for _, all := range images[:len(organizations)] {
					for id, img := range all {
						if meets(t, n, id, img) {
							want = append(want, id)
						}
					}
				}
				slices.Sort(want)
				listAgrees(t, s, organizations, n, f, want)
			}
			require.Greater(t, used, 300)
		}
	})
}
