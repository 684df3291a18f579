package rsql

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	sqlitedriver "github.com/glebarez/sqlite"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// TestLimitsFitTheDatabases runs the largest filters that the parser lets through, inside a subquery as a store may do:
// SQLite limits the depth of an expression and of its parser, and both the number of parameters.
func TestLimitsFitTheDatabases(t *testing.T) {
	fields := testFields(t)
	deep := func(head, tail, comparison string) string {
		return strings.Repeat(head, MaxDepth) + comparison + strings.Repeat(tail, MaxDepth)
	}
	list := func(field, value string, count int) string {
		return field + "=out=(" + strings.Repeat(value+",", count-1) + value + ")"
	}
	filters := map[string]string{
		"comparisons":         strings.Repeat("tags.e!=*a*,name!=b;", MaxComparisons/2-1) + "name==a;name==b",
		"texts":               list("name", "a", MaxListValues),
		"elements":            list("features", "a", MaxListValues),
		"members":             list("tags.e", "a", MaxListValues),
		"days":                list("created_at", "2024-01-01", MaxListValues),
		"numbers":             list("risk_score", "12345678901", MaxListValues),
		"left nesting":        deep("(", ";name==a,name==b)", "distribution_digests!=*a*"),
		"right nesting":       deep("name==a,name==b;(", ")", "tags.e=out=(a,b,'')"),
		"nesting of all":      deep("name==a,tags.e!=*b;(", ";name==b,q==c)", "features=out=(a,'')"),
		"nesting after chain": strings.Repeat("name==a;", 100) + deep("name==a,name==b;(", ")", list("created_at", "2024-01-01", 400)),
		"long value":          "name==*" + strings.Repeat("a*", (MaxBytes-8)/2),
		"long literal":        "name==" + strings.Repeat("%", MaxBytes-6),
	}
	// Trees that branch as much as the number of comparisons allows, at several depths, down to the deepest.
	for branching := 1; branching <= MaxDepth; branching++ {
		filters[fmt.Sprintf("branching to depth %d", branching)] = branchingFilter(branching)
	}
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			text := strings.Repeat("a", 1000)
			db.insert(t, []asset{{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e", name: &text, tags: map[string]string{"e": text}}})
			for name, filter := range filters {
				node, err := Parse(filter)
				require.NoError(t, err, name)
				start := time.Now()
				c := compiled(t, fields, node, db.dialect)
				wrapped := c
				wrapped.parts = append([]string(nil), c.parts...)
				wrapped.parts[0] = "(1 = 1 AND (n IN (SELECT a.n FROM assets a WHERE a.n = assets.n AND (1 = 1 AND (" + wrapped.parts[0]
				wrapped.parts[len(wrapped.parts)-1] += ")))))"
				db.where(t, wrapped)
				require.Less(t, time.Since(start), 2*time.Second, name)
			}
		})
	}
}

// branchingFilter is a tree of depth MaxDepth in which the groups split in two along the first levels, as far as
// MaxComparisons allows, and every level has an "and" and an "or".
func branchingFilter(levels int) string {
	budget := MaxComparisons
	comparison := func() string {
		budget--
		return []string{"tags.e=out=(a,b,'')", "features!=*a*", "name!=b"}[budget%3]
	}
	var tree func(depth int) string
	tree = func(depth int) string {
		if depth == 0 || budget < 4*depth {
			return comparison()
		}
		left := comparison()
		if MaxDepth-depth < levels && budget > 8*depth {
			half := budget / 2
			budget -= half
			left = "(" + tree(depth-1) + ")"
			budget += half
		}
		return left + "," + comparison() + ";(" + tree(depth-1) + ")"
	}
	return tree(MaxDepth)
}

// TestHostilePatternsAreNotSlow gives LIKE the patterns that make a backtracking matcher take exponential time.
func TestHostilePatternsAreNotSlow(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			text := strings.Repeat("a", 300)
			db.insert(t, []asset{{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e", name: &text}})
			node, err := Parse("name==" + strings.Repeat("*a", 250) + "*b")
			require.NoError(t, err)
			start := time.Now()
			require.Empty(t, db.where(t, compiled(t, testFields(t), node, db.dialect)))
			require.Less(t, time.Since(start), time.Second)
		})
	}
}

// TestThroughGORM runs conditions through GORM, which reads SQL itself: "?" are its parameters, "@" its names.
func TestThroughGORM(t *testing.T) {
	fields := testFields(t)
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			match, other := "it's @name ?", "b"
			created := time.Date(2024, 1, 1, 8, 0, 0, 0, time.UTC)
			db.insert(t, []asset{
				{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e", name: &match, created: &created, labels: []string{"a?"},
					features: []string{"@f"}, tags: map[string]string{"env": "@prod"}},
				{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0f", name: &other},
			})
			gormDB := openGORM(t, db)
			node, err := Parse(`tags.env==@prod;created_at==2024-01-01;name=="it's @name ?";(labels=in=("a?",b),name==x);` +
				`features==@f;id==0190A3A4-7B1E-7CC0-8C1D-5F6A7B8C9D0E;tags.owner!=x*`)
			require.NoError(t, err)
			text, args := compiled(t, fields, node, db.dialect).Question()
			var found []int
			err = gormDB.Table("assets").Where("n < ?", 100).Where(text, args...).Where("n >= ?", 0).Pluck("n", &found).Error
			require.NoError(t, err)
			require.Equal(t, []int{0}, found)
		})
	}
}

func openGORM(t *testing.T, db testDatabase) *gorm.DB {
	var dialector gorm.Dialector = sqlitedriver.Dialector{Conn: db.DB}
	if db.dialect == PostgreSQL {
		dialector = postgres.New(postgres.Config{Conn: db.DB})
	}
	opened, err := gorm.Open(dialector, &gorm.Config{})
	require.NoError(t, err)
	return opened
}

// TestSearchFunc gives a search its own tables.
func TestSearchFunc(t *testing.T) {
	search := SearchFunc(func(term string) (string, []any) {
		return `n = ? OR EXISTS (SELECT 1 FROM asset_digests d WHERE d.n = assets.n AND d.digest LIKE ? ESCAPE '\')`,
			[]any{1, ContainsPattern(term)}
	})
	fields, err := NewFields(Field{Name: "q", Type: Search, PostgreSQL: search, SQLite: search},
		Field{Name: "name", Type: Text, PostgreSQL: Column{Expr: "name"}, SQLite: Column{Expr: "name"}})
	require.NoError(t, err)
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			a, b := "a", "b"
			db.insert(t, []asset{{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d00", name: &a, digests: []string{"sha256:aa"}},
				{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d01", name: &b}, {id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d02", name: &a}})
			node, err := Parse("q==SHA256;name==a")
			require.NoError(t, err)
			require.Equal(t, []int{0}, db.where(t, compiled(t, fields, node, db.dialect)))
		})
	}
	// SQL without parameters, which binds more loosely than what stands beside it.
	bare := SearchFunc(func(string) (string, []any) { return "n = 0 OR n = 2", nil })
	fields, err = NewFields(Field{Name: "q", Type: Search, PostgreSQL: bare, SQLite: bare},
		Field{Name: "name", Type: Text, PostgreSQL: Column{Expr: "name"}, SQLite: Column{Expr: "name"}})
	require.NoError(t, err)
	for name, open := range databases {
		t.Run(name+" without parameters", func(t *testing.T) {
			db := open(t)
			a, b := "a", "b"
			db.insert(t, []asset{{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d00", name: &a}, {id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d01", name: &a},
				{id: "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d02", name: &b}})
			for filter, expected := range map[string][]int{"q==x": {0, 2}, "q==x;name==a": {0}, "name==b;q==x": {2}, "q==x,name==a": {0, 1, 2}} {
				node, err := Parse(filter)
				require.NoError(t, err)
				require.Equal(t, expected, db.where(t, compiled(t, fields, node, db.dialect)), filter)
			}
		})
	}
	wrong := SearchFunc(func(string) (string, []any) { return "a = ?", nil })
	fields, err = NewFields(Field{Name: "q", Type: Search, PostgreSQL: wrong, SQLite: wrong})
	require.NoError(t, err)
	node, err := Parse("q==a")
	require.NoError(t, err)
	_, err = fields.Compile(node, SQLite)
	require.ErrorContains(t, err, "1 parameters for 0 values")
}

// TestIndexesServeConditions asks PostgreSQL for plans with sequential scans off: an index is used where it can be.
func TestIndexesServeConditions(t *testing.T) {
	db := openPostgreSQL(t)
	for _, statement := range []string{
		"CREATE INDEX by_label ON assets USING gin (labels)",
		"CREATE INDEX by_feature ON assets USING gin (features jsonb_path_ops)",
		"CREATE INDEX by_tag ON assets USING gin (tags jsonb_path_ops)",
		"CREATE INDEX by_registry ON assets (registry)",
		`CREATE INDEX by_folded_registry ON assets (lower(registry COLLATE "C"))`,
		"CREATE INDEX by_size ON assets (risk_score)",
		"CREATE INDEX by_time ON assets (created_at)",
		"SET enable_seqscan = off",
		"SET plan_cache_mode = force_custom_plan",
	} {
		_, err := db.Exec(statement)
		require.NoError(t, err, statement)
	}
	for filter, index := range map[string]string{
		"labels==a": "by_label", "labels=in=(a,b)": "by_label", "features==a": "by_feature",
		"tags.env==prod": "by_tag", "tags.env=in=(prod,test)": "by_tag", "registry==docker.io": "by_registry",
		"registry=in=(a,b)": "by_registry", "registry==Docker*": "by_folded_registry", "risk_score>5": "by_size",
		"created_at==2024-01-01": "by_time",
	} {
		node, err := Parse(filter)
		require.NoError(t, err)
		text, args := compiled(t, testFields(t), node, PostgreSQL).Numbered(1)
		rows, err := db.Query("EXPLAIN SELECT n FROM assets WHERE "+text, args...)
		require.NoError(t, err)
		require.Contains(t, readLines(t, rows), index, filter)
	}
}

func readLines(t *testing.T, rows *sql.Rows) string {
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		lines = append(lines, line)
	}
	require.NoError(t, rows.Err())
	return strings.Join(lines, "\n")
}
