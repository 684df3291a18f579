//go:build bench

package models

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/policies"
)

// manyReleases fills an empty database with n releases of 100 versions for each application, ten applications to a
// namespace, without going through the API: a million would take an hour.
func manyReleases(t *testing.T, s *Store, n int) {
	t.Helper()
	ctx := context.Background()
	organization, err := s.OrganizationByCanonical(ctx, DefaultOrganization)
	require.NoError(t, err)
	exec := func(q string, args ...any) {
		t.Helper()
		require.NoError(t, s.write.Exec(q, args...).Error)
	}
	exec("DROP INDEX release_texts_grams")
	apps := n / 100
	exec(`INSERT INTO namespaces (id, name, organization_id, description, org_url, logo, is_public, hooks, created_by, created_at)
		SELECT 'n' || i, 'ns' || i, ?, '', '', '', false, '', '', now() FROM generate_series(0, ?) i`, organization.ID, (apps-1)/10)
	exec(`CREATE TABLE texts (app int PRIMARY KEY, name text, description text, search text, grams integer[])`)
	words := make([]string, 2000)
	for i := range words {
		// "zq" stands in one application alone, however many there are: a search that finds a hundred times as much takes its time.
		words[i] = strings.ReplaceAll(fmt.Sprintf("w%sord", strconv.FormatInt(int64(i*i*7919+100_000), 36)), "zq", "zr")
	}
	var rows []string
	var args []any
	for i := range apps {
		name := fmt.Sprintf("app%d", i)
		description := fmt.Sprintf("The service that does %s and %s", words[i*31%2000], words[i*17%2000])
		if i < apps/2 {
			description += " legacy"
		}
		if i == 0 {
			description += " xylophone zq"
		}
		text := releaseText(fmt.Sprintf("ns%d", i/10), name, description)
		rows, args = append(rows, "(?, ?, ?, ?, CAST(? AS integer[]))"), append(args, i, name, description, text, arrayOf(searchGrams(text)))
		if len(rows) == 500 || i == apps-1 {
			exec("INSERT INTO texts VALUES "+strings.Join(rows, ","), args...)
			rows, args = nil, nil
		}
	}
	exec(`INSERT INTO applications (id, namespace_id, name, description, logo, latest_version, latest_key, uploaded_by, uploaded_at, hooks, created_at)
		SELECT 'a' || app, 'n' || app / 10, name, description, '', '', '', '', now(), '', now() FROM texts`)
	exec(`CREATE TABLE numbered AS SELECT i, i / 100 AS app, '0190a000-0000-7000-8000-' || lpad(to_hex(i), 12, '0') AS id FROM generate_series(0, ?) i`, n-1)
	exec(`INSERT INTO releases (id, application_id, version, sort_key, description, metadata, downloads, registered_by, registered_at, execution_id, package_key, package_size, package_sha256, uploaded_by)
		SELECT n.id, 'a' || n.app, n.i % 100, n.i % 100, t.description, '{}', 0, '', now(), '', '', 0, '', '' FROM numbered n JOIN texts t USING (app)`)
	exec(`INSERT INTO release_texts (release_id, application_id, namespace_id, text, grams)
		SELECT n.id, 'a' || n.app, 'n' || n.app / 10, t.search, t.grams FROM numbered n JOIN texts t USING (app)`)
	exec(`INSERT INTO release_terms SELECT CASE WHEN i % 100 = 1 THEN ? WHEN app = 1 THEN ? ELSE ? END, id FROM numbered`,
		providesTerm("postgres"), providesTerm("old"), metadataTerm("team", "blue"))
	exec(`CREATE INDEX release_texts_grams ON release_texts USING gin (grams)`)
	exec(`ANALYZE`)
}

// TestBenchSearch compares searches among a million releases with the same ones among ten thousand, on PostgreSQL. N
// gives another number.
func TestBenchSearch(t *testing.T) {
	n := 1_000_000
	if text := os.Getenv("N"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	open := func(n int) *Store {
		s, err := Open(t.Context(), testenv.Postgres(t), Options{SlowQuery: -1})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		require.NoError(t, s.Migrate(t.Context()))
		begin := time.Now()
		manyReleases(t, s, n)
		fmt.Printf("# %d releases made in %v\n", n, time.Since(begin).Round(time.Second))
		return s
	}
	small, large := open(10_000), open(n)
	everything := policies.Visible{All: true}
	for _, c := range []struct {
		name   string
		filter ReleaseFilter
		goal   float64 // of the ratio; 0: the time is only printed
	}{
		{"newest", ReleaseFilter{}, 3},
		{"frequent_text", ReleaseFilter{Text: "service"}, 3},
		{"rare_text", ReleaseFilter{Text: "xylophone"}, 3},
		{"pair", ReleaseFilter{Text: "zq"}, 3},
		{"absent_text", ReleaseFilter{Text: "nothing like it"}, 3},
		{"provider", ReleaseFilter{Provides: "postgres"}, 3},
		{"old_provider", ReleaseFilter{Provides: "old"}, 3},
		{"metadata", ReleaseFilter{Metadata: map[string]string{"team": "blue"}}, 3},
		{"old_namespace", ReleaseFilter{Namespace: "ns0"}, 3},
		{"application", ReleaseFilter{Application: "app3"}, 3},
		{"namespace_and_text", ReleaseFilter{Namespace: "ns0", Text: "service"}, 3},
		{"pair_in_one_of_a_hundred", ReleaseFilter{Text: "k7"}, 0},
		{"one_in_fifty_applications", ReleaseFilter{Text: "w" + strconv.FormatInt(31*31*7919+100_000, 36) + "ord"}, 0},
		{"half_of_all_the_older_one", ReleaseFilter{Text: "legacy"}, 0},
	} {
		c.filter.Visible, c.filter.PageSize = everything, 50
		var times [2][]time.Duration
		var found [2]int
		for range 21 {
			for i, s := range []*Store{small, large} {
				begin := time.Now()
				list, err := s.SearchReleases(t.Context(), c.filter)
				times[i] = append(times[i], time.Since(begin))
				require.NoError(t, err)
				found[i] = len(list)
			}
		}
		for i := range times {
			slices.Sort(times[i])
		}
		a, b := times[0][len(times[0])/2], times[1][len(times[1])/2]
		fmt.Printf("# search %s: %v among %d (%d found), %v among %d (%d found)\n", c.name, a.Round(10*time.Microsecond), 10_000, found[0], b.Round(10*time.Microsecond), n, found[1])
		if c.goal > 0 {
			verdict := "ok"
			if float64(b) > c.goal*float64(a) {
				verdict = "short"
			}
			fmt.Printf("RATIO search_%d_%s %.2f goal %g %s\n", n, c.name, float64(b)/float64(a), c.goal, verdict)
		}
	}
}
