package rsql

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSameResultEverywhere holds random filters over random rows on SQLite and PostgreSQL against the evaluator.
func TestSameResultEverywhere(t *testing.T) {
	const rows, filters = 150, 2500
	for name, open := range databases {
		// The same seed for both, so that both see the same rows and filters.
		random := newRandom(5)
		assets := randomAssets(random, rows)
		texts := make([]string, filters)
		for i := range texts {
			texts[i] = randomFilter(random, assets, 3)
		}
		t.Run(name, func(t *testing.T) {
			db := open(t)
			db.insert(t, assets)
			fields := testFields(t)
			some, all, none := 0, 0, 0
			for _, text := range texts {
				node, err := Parse(text)
				require.NoError(t, err, "%q", text)
				condition, err := fields.Compile(node, db.dialect)
				require.NoError(t, err, "%q", text)
				want := []int{}
				for n, a := range assets {
					if evaluate(node, a) {
						want = append(want, n)
					}
				}
				switch len(want) {
				case 0:
					none++
				case rows:
					all++
				default:
					some++
				}
				got := db.where(t, condition)
				if !slices.Equal(want, got) {
					query, args := condition.Question()
					t.Fatalf("%q\nwant rows %v\n got rows %v\n%s\n%q", text, want, got, query, args)
				}
			}
			t.Logf("%d filters matched some rows, %d all, %d none", some, all, none)
			require.Greater(t, some, filters/2, "the random filters no longer tell rows apart")
		})
	}
}

// TestNotEqualIsTheComplement asks both databases for each comparison and its complement.
func TestNotEqualIsTheComplement(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			random := newRandom(7)
			assets := randomAssets(random, 60)
			db := open(t)
			db.insert(t, assets)
			fields := testFields(t)
			for range 300 {
				node, err := Parse(randomComparison(random, assets))
				require.NoError(t, err)
				c := node.(*Comparison)
				if !c.Operator.Negative() {
					continue
				}
				found := db.where(t, compiled(t, fields, c, db.dialect))
				positive := *c
				positive.Operator = c.Operator.Complement()
				found = append(found, db.where(t, compiled(t, fields, &positive, db.dialect))...)
				slices.Sort(found)
				want := make([]int, len(assets))
				for n := range want {
					want[n] = n
				}
				require.Equal(t, want, found, "%s", c)
			}
		})
	}
}

func compiled(t testing.TB, fields *Fields, node Node, d Dialect) Condition {
	t.Helper()
	condition, err := fields.Compile(node, d)
	require.NoError(t, err, "%s", node)
	return condition
}

func randomFilter(random *rand.Rand, assets []asset, depth int) string {
	if depth == 0 || random.IntN(3) == 0 {
		return randomComparison(random, assets)
	}
	var parts []string
	for range 1 + random.IntN(3) {
		part := randomFilter(random, assets, depth-1)
		if random.IntN(2) == 0 {
			part = "(" + part + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, []string{";", ",", " and ", " OR "}[random.IntN(4)])
}

func randomComparison(random *rand.Rand, assets []asset) string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	field := pick("q", "id", "name", "registry", "image", "created_at", "built_at", "size_bytes", "risk_score", "locked",
		"labels", "features", "distribution_digests", "tags.key", "tags.key", "tags", "notes.key", "notes")
	equality := pick("==", "==", "!=", "=in=", "=out=")
	var value func() string
	// empty is a value that is refused by operators of order only.
	empty := func(otherwise string) string {
		if (equality == "==" || equality == "!=" || strings.HasSuffix(equality, "n=") || equality == "=out=") && random.IntN(4) == 0 {
			return "''"
		}
		return otherwise
	}
	switch field {
	case "q":
		text := quote(random, hostile[random.IntN(len(hostile))])
		return "q==" + pick(text, text[:1]+"*"+text[1:len(text)-1]+"**"+text[:1])
	case "tags", "notes":
		return field + pick("==", "!=") + pick(`""`, `''`)
	case "id":
		value = func() string {
			id := assets[random.IntN(len(assets))].id
			return quote(random, pick(id, strings.ToUpper(id), ""))
		}
	case "created_at", "built_at":
		equality = pick(equality, "<", "<=", ">", ">=", "=lt=", "=ge=")
		value = func() string {
			moment := randomTimes[random.IntN(len(randomTimes))]
			if moment.Year() > 1 && moment.Year() < 9999 {
				moment = moment.In(time.FixedZone("", 3600*(random.IntN(5)-2)))
			}
			return empty(quote(random, pick(moment.Format(time.RFC3339Nano), moment.UTC().Format(time.DateOnly))))
		}
	case "size_bytes", "risk_score":
		equality = pick(equality, "<", "<=", ">", ">=", "=gt=", "=le=")
		value = func() string {
			return pick("0", "1", "-1", "7", "+7", "007", "9223372036854775807", "9007199254740992")
		}
	case "locked":
		equality = pick("==", "!=")
		value = func() string { return pick("true", "false", "''") }
	default:
		field = strings.Replace(field, "key", hostileKeys[random.IntN(len(hostileKeys))], 1)
		value = func() string {
			text := hostile[random.IntN(len(hostile))]
			return pick(quote(random, text), quote(random, text), randomPattern(random, text), `""`)
		}
	}
	if strings.Trim(equality, "inout=") == "" && equality != "==" {
		values := []string{value()}
		for range random.IntN(3) {
			values = append(values, value())
		}
		return field + equality + "(" + strings.Join(values, ",") + ")"
	}
	return field + equality + value()
}

// quote writes a text that means itself.
func quote(random *rand.Rand, text string) string {
	with := []string{`"`, `'`}[random.IntN(2)]
	return with + strings.NewReplacer(`\`, `\\`, with, `\`+with, `*`, `\*`).Replace(text) + with
}

// randomPattern puts asterisks around or into a text.
func randomPattern(random *rand.Rand, text string) string {
	quoted := quote(random, text)
	mark, inner := quoted[:1], quoted[1:len(quoted)-1]
	switch random.IntN(4) {
	case 0:
		return mark + "*" + inner + "*" + mark
	case 1:
		return mark + "*" + inner + mark
	case 2:
		return mark + inner + "*" + mark
	}
	var b strings.Builder
	for _, piece := range []string{inner, hostile[random.IntN(6)]} {
		b.WriteString(piece + strings.Repeat("*", random.IntN(3)))
	}
	return mark + b.String() + mark
}
