package models

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"slipway/internal/version"
)

// The order of keys is the order of versions.
func TestVersionKeysHaveTheOrderOfVersions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() string {
		parts := make([]string, 1+rng.IntN(4))
		for i := range parts {
			parts[i] = strings.Repeat("0", rng.IntN(2)) + fmt.Sprint(rng.IntN([]int{3, 12, 1_000_000}[rng.IntN(3)]))
			if rng.IntN(20) == 0 {
				parts[i] += strings.Repeat("9", rng.IntN(20))
			}
		}
		return strings.Join(parts, ".")
	}
	for range 20_000 {
		a, b := random(), random()
		require.Equal(t, version.Compare(a, b), cmp.Compare(versionKey(a), versionKey(b)), "%s and %s", a, b)
	}
	long := strings.Repeat("9", version.MaxLength)
	require.Equal(t, 1, cmp.Compare(versionKey(long), versionKey(long[1:])))
}

// What the index answers is what the plain rules say, whatever the versions and prefixes.
func TestQueriesForVersionsAgreeWithTheRules(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := context.Background()
		rng := rand.New(rand.NewPCG(3, 4))
		for round := range 8 {
			name := fmt.Sprintf("app%d", round)
			var known []string
			var app string
			err := s.Tx(ctx, func(tx *Store) error {
				n, _, err := tx.EnsureNamespace(ctx, &Namespace{Name: "ns"})
				if err != nil {
					return err
				}
				for range 25 {
					v := make([]string, 1+rng.IntN(3))
					for i := range v {
						v[i] = fmt.Sprint([]any{rng.IntN(3), rng.IntN(13), "0" + fmt.Sprint(rng.IntN(3))}[rng.IntN(3)])
					}
					text := strings.Join(v, ".")
					if contains(known, text) {
						continue
					}
					r, err := tx.RegisterRelease(ctx, n.ID, NewRelease{Application: name, Version: text, Metadata: "{}"})
					if err != nil {
						return err
					}
					known, app = append(known, text), r.ApplicationID
				}
				return nil
			})
			require.NoError(t, err)
			list, err := s.Versions(ctx, app)
			require.NoError(t, err)
			require.ElementsMatch(t, known, list)
			for _, prefix := range []string{"", "0.", "1.", "0.0.", "0.1.", "00.", "2.01.", "1", "0.1", "0", "x", ".", "12.", "1.@", "0..", strings.Repeat("1", 200)} {
				next, err := s.NextVersion(ctx, app, prefix)
				require.NoError(t, err)
				require.Equal(t, version.Next(known, prefix), next, "prefix %q of %v", prefix, known)
			}
			for _, text := range append([]string{"latest", "0.@", "1.@", "0.0.@", "00.@", "9.@", "1", "0.1", "v2"}, known...) {
				q, err := version.ParseQuery(text)
				require.NoError(t, err)
				r, err := s.ReleaseByQuery(ctx, app, q)
				if want, ok := q.Select(known); ok {
					require.NoError(t, err, text)
					require.Zero(t, version.Compare(want, r.Version), "%s of %v: %s or %s", text, known, want, r.Version)
				} else {
					require.ErrorIs(t, err, ErrNotFound, text)
				}
				if !version.Valid(text) {
					continue
				}
				r, err = s.PreviousRelease(ctx, app, text)
				if want, ok := version.Previous(known, text); ok {
					require.NoError(t, err, text)
					require.Zero(t, version.Compare(want, r.Version), text)
				} else {
					require.ErrorIs(t, err, ErrNotFound, text)
				}
			}
		}
	})
}

func contains(list []string, text string) bool {
	for _, x := range list {
		if x == text {
			return true
		}
	}
	return false
}

// With ten thousand versions the databases must take the one from an index, and never sort or read them all.
func TestManyVersionsAreReadFromTheIndex(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := context.Background()
		app := manyVersions(t, s, "ns", "app", 10_000)
		explain := "EXPLAIN QUERY PLAN "
		if s.Dialect() == PostgreSQL {
			explain = "EXPLAIN "
			require.NoError(t, s.writer(ctx).Exec("ANALYZE").Error)
		}
		// The statements are the real ones, taken down as they run.
		var statement string
		err := s.read.Callback().Query().After("gorm:query").Register("take_down", func(g *gorm.DB) {
			statement = g.Explain(g.Statement.SQL.String(), g.Statement.Vars...)
		})
		require.NoError(t, err)
		for name, run := range map[string]func() (string, error){
			"latest": func() (string, error) {
				return versionOf(s.ReleaseByQuery(ctx, app, version.Query{Kind: version.Latest}))
			},
			"prefix": func() (string, error) {
				return versionOf(s.ReleaseByQuery(ctx, app, version.Query{Kind: version.Prefix, Value: "7."}))
			},
			"exact": func() (string, error) {
				return versionOf(s.ReleaseByQuery(ctx, app, version.Query{Kind: version.Exact, Value: "7.77"}))
			},
			"previous": func() (string, error) { return versionOf(s.PreviousRelease(ctx, app, "7.77")) },
			"next":     func() (string, error) { return s.NextVersion(ctx, app, "7.") },
		} {
			have, err := run()
			require.NoError(t, err, name)
			want := map[string]string{"latest": "99.99", "prefix": "7.99", "exact": "7.77", "previous": "7.76", "next": "7.100"}[name]
			require.Equal(t, want, have, name)
			plan := planOf(t, s, explain+statement)
			t.Logf("%s: %s\n%s", name, statement, plan)
			require.Contains(t, plan, "releases_", name)
			for _, slow := range []string{"seq scan", "sort key", "temp b-tree", "scan releases"} {
				require.NotContains(t, plan, slow, name)
			}
		}
	})
}

func versionOf(r *Release, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return r.Version, nil
}

// planOf is how the database would run a statement, in lower case.
func planOf(t *testing.T, s *Store, statement string) string {
	t.Helper()
	rows, err := s.reader(context.Background()).Raw(statement).Rows()
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var plan strings.Builder
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		require.NoError(t, rows.Scan(cells...))
		for _, c := range cells {
			fmt.Fprint(&plan, *c.(*any), " ")
		}
		plan.WriteString("\n")
	}
	require.NoError(t, rows.Err())
	return strings.ToLower(plan.String())
}

// manyVersions makes an application with n versions, 100 for each major one, and gives its id.
func manyVersions(t testing.TB, s *Store, namespace, name string, n int) string {
	t.Helper()
	ctx := context.Background()
	var app string
	err := s.Tx(ctx, func(tx *Store) error {
		ns, _, err := tx.EnsureNamespace(ctx, &Namespace{Name: namespace})
		if err != nil {
			return err
		}
		r, err := tx.RegisterRelease(ctx, ns.ID, NewRelease{Application: name, Version: "0.0", Metadata: "{}"})
		if err != nil {
			return err
		}
		app = r.ApplicationID
		var rows []Release
		for i := 1; i < n; i++ {
			v := fmt.Sprintf("%d.%d", i/100, i%100)
			rows = append(rows, Release{ID: NewID(), ApplicationID: app, Version: v, SortKey: versionKey(v), Metadata: "{}", RegisteredAt: tx.Now()})
		}
		return tx.writer(ctx).CreateInBatches(rows, 500).Error
	})
	require.NoError(t, err)
	return app
}
