package rsql

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// asset is a row of the tests. Nil is NULL.
type asset struct {
	id         string
	name       *string
	registry   *string
	created    *time.Time
	built      *time.Time
	size       *int64
	risk       *int64
	locked     *bool
	labels     []string
	features   []string
	tags       map[string]string // also its notes, which stand in another table
	digests    []string
	searchText *string
}

// testFields is a table with every type and every source.
func testFields(t testing.TB) *Fields {
	column := func(expr string) Source { return Column{Expr: expr} }
	field := func(name string, fieldType Type, postgres, sqlite Source) Field {
		return Field{Name: name, Type: fieldType, PostgreSQL: postgres, SQLite: sqlite}
	}
	both := func(name string, fieldType Type, source Source) Field { return field(name, fieldType, source, source) }
	digests := ChildRows{From: "asset_digests d WHERE d.n = assets.n", Value: "d.digest", Folded: "d.digest"}
	fields, err := NewFields(
		both("q", Search, SearchText{Expr: "search_text"}),
		both("id", UUID, column("id")),
		field("name", Text, Column{Expr: "name", Folded: `lower(name COLLATE "C")`}, Column{Expr: "name", Folded: "lower(name)"}),
		both("registry", Text, column("registry")),
		both("image", Text, column("registry || '/' || name")),
		both("created_at", Timestamp, column("created_at")),
		both("built_at", Timestamp, column("built_at")),
		both("size_bytes", Integer, column("size_bytes")),
		both("risk_score", Integer, column("risk_score")),
		both("locked", Boolean, column("locked")),
		field("labels", Array, TextArray{Expr: "labels"}, JSONArray{Expr: "labels"}),
		both("features", Array, JSONArray{Expr: "features"}),
		both("distribution_digests", Array, digests),
		both("tags", Object, JSONObject{Expr: "tags"}),
		both("notes", Object, ChildObject{From: "asset_notes d WHERE d.n = assets.n", Expr: "d.notes"}),
	)
	require.NoError(t, err)
	return fields
}

// hostile are texts that mean something to one of the layers between a filter and a row.
var hostile = []string{
	"nginx", "NGINX", "Nginx-1", "library/nginx", "docker.io", "localhost:5000", "a", "A", "ab", "AB", "b", "%", "_", "a%b",
	"a_b", "axb", `\`, `a\b`, `\%`, `'`, `"`, `it's`, `"quoted"`, `' OR 1=1 --`, "'; DROP TABLE assets; --", "?", "$1", "@name",
	"*", "a*b", "**", "[1]", "{}", "null", "NULL", "true", "0", "-1", " ", " a ", "\t", "a\nb", "é", "É", "ß", "İ", "ı", "日本語", "😀",
	"\u00a0", "ﬃ", "e\u0301", "\u2028", "<&>", "a.b", "$.a", `a"b`, "sha256:0123abcd", "SHA256:0123ABCD",
}

var hostileKeys = []string{"env", "Env", "owner", "a.b", "a", `a\b`, "org.opencontainers.image.title", "日本", "$", "$.a", "[0]",
	"0", "-1", "?", "%", "a_b", "#", "*", "@x", "é"}

// newRandom gives the same numbers for the same seed in every run.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2026)) }

func randomAssets(random *rand.Rand, count int) []asset {
	text := func() string { return hostile[random.IntN(len(hostile))] }
	optional := func() *string {
		switch random.IntN(6) {
		case 0:
			return nil
		case 1:
			empty := ""
			return &empty
		}
		value := text()
		if random.IntN(3) == 0 {
			value += text()
		}
		return &value
	}
	list := func() []string {
		if random.IntN(4) == 0 {
			return nil
		}
		values := []string{}
		for range random.IntN(4) {
			values = append(values, text())
		}
		return values
	}
	moment := func() *time.Time {
		if random.IntN(4) == 0 {
			return nil
		}
		value := randomTimes[random.IntN(len(randomTimes))].UTC()
		return &value
	}
	number := func(values ...int64) *int64 {
		if random.IntN(4) == 0 {
			return nil
		}
		return &values[random.IntN(len(values))]
	}
	assets := make([]asset, count)
	for i := range assets {
		a := asset{name: optional(), registry: optional(), created: moment(), built: moment(), labels: list(),
			features: list(), digests: list(), searchText: optional(),
			size: number(0, 1, -1, 1<<62, 1<<53+1), risk: number(0, 1, 7, -1<<31, 1<<31-1)}
		id, err := uuid.NewRandomFromReader(randomReader{random})
		if err != nil {
			panic(err)
		}
		a.id = id.String()
		if random.IntN(3) > 0 {
			locked := random.IntN(2) == 0
			a.locked = &locked
		}
		if random.IntN(4) > 0 {
			a.tags = map[string]string{}
			for range random.IntN(4) {
				value := text()
				if random.IntN(4) == 0 {
					value = ""
				}
				a.tags[hostileKeys[random.IntN(len(hostileKeys))]] = value
			}
		}
		if a.searchText != nil {
			folded := Fold(*a.searchText)
			a.searchText = &folded
		}
		for i := range a.digests {
			a.digests[i] = Fold(a.digests[i]) // the table says that the column is folded
		}
		assets[i] = a
	}
	return assets
}

// randomTimes are at the edges of days, seconds and the years that are allowed.
var randomTimes = func() []time.Time {
	day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	return []time.Time{day, day.Add(-time.Microsecond), day.Add(time.Microsecond), day.AddDate(0, 0, 1),
		day.AddDate(0, 0, 1).Add(-time.Microsecond), day.Add(12 * time.Hour), day.Add(500 * time.Millisecond),
		day.Add(510 * time.Millisecond), day.Add(time.Second), day.AddDate(0, 1, 0),
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)}
}()

// randomReader makes bytes of a seeded source.
type randomReader struct{ *rand.Rand }

func (r randomReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// insert writes the assets. Absent JSON is written as NULL and as JSON null in turns.
func (d testDatabase) insert(t testing.TB, assets []asset) {
	placeholders := strings.Repeat("?, ", 12) + "?"
	digest, notes := "INSERT INTO asset_digests VALUES (?, ?)", "INSERT INTO asset_notes VALUES (?, ?)"
	if d.dialect == PostgreSQL {
		placeholders = "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12::jsonb, $13"
		placeholders = strings.Replace(placeholders, "$10", "$10::text[]", 1)
		digest, notes = "INSERT INTO asset_digests VALUES ($1, $2)", "INSERT INTO asset_notes VALUES ($1, $2::jsonb)"
	}
	document := func(n int, value any, absent bool) any {
		if absent && n%2 == 0 {
			return nil
		}
		encoded, err := json.Marshal(value)
		require.NoError(t, err)
		return string(encoded)
	}
	transaction, err := d.Begin()
	require.NoError(t, err)
	for n, a := range assets {
		labels := document(n, a.labels, a.labels == nil)
		if d.dialect == PostgreSQL {
			labels = a.labels
		}
		_, err := transaction.Exec("INSERT INTO assets VALUES ("+placeholders+")", n, a.id, a.name, a.registry, a.created,
			a.built, a.size, a.risk, a.locked, labels, document(n, a.features, a.features == nil),
			document(n, a.tags, a.tags == nil), a.searchText)
		require.NoError(t, err)
		if a.tags != nil {
			_, err := transaction.Exec(notes, n, document(n, a.tags, false))
			require.NoError(t, err)
		}
		for _, text := range a.digests {
			_, err := transaction.Exec(digest, n, text)
			require.NoError(t, err)
		}
	}
	require.NoError(t, transaction.Commit())
}
