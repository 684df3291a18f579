package rsql

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzLexer: tokens lie in order within the text, and cover everything but blanks.
func FuzzLexer(f *testing.F) {
	for _, seed := range []string{`a=="b\"c";(d=in=(e or 'f'))`, "a<=b AND c!=*d*", " and and ", `'\`, "=x=~"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		if !utf8.ValidString(filter) || strings.Contains(filter, "\x00") {
			t.Skip() // the parser refuses these before the lexer sees them
		}
		l := lexer{runes: []rune(filter)}
		for end := 0; ; {
			token, err := l.scan()
			if err != nil {
				problem := asError(t, err)
				require.True(t, end <= problem.Position && problem.Position < len(l.runes))
				return
			}
			require.LessOrEqual(t, end, token.position)
			require.Empty(t, strings.Trim(string(l.runes[end:token.position]), " \t\r\n"))
			if token.kind == tokenEnd {
				require.Equal(t, len(l.runes), token.position)
				return
			}
			require.Less(t, end, l.next, "no progress")
			for _, star := range token.wildcards {
				require.Equal(t, byte('*'), token.text[star])
			}
			end = l.next
			if token.kind == tokenAnd || token.kind == tokenOr {
				end = token.position + len(token.text) // a word operator also takes the blank after it
			}
		}
	})
}

// FuzzParse: whatever the text, Parse gives a tree whose canonical text gives the same tree, or an error within the text.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a==b;c!=d,e=in=(f,g)", `((a=="*\*'")) or b<1`, "a==(b", "a=foo=b", "é==😀 and ~", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		node, err := Parse(filter)
		if err != nil {
			problem := asError(t, err)
			require.GreaterOrEqual(t, problem.Position, 0)
			require.LessOrEqual(t, problem.Position, len([]rune(filter)))
			require.NotEmpty(t, problem.Detail)
			require.NotEmpty(t, problem.Expected)
			require.True(t, utf8.ValidString(err.Error()))
			return
		}
		canonical := node.String()
		again, err := Parse(canonical)
		if err != nil {
			// Quotes and parentheses can push it over a limit, nothing else.
			require.Equal(t, CodeTooComplex, asError(t, err).Code, "%q", canonical)
			return
		}
		require.Equal(t, symbolic(t, node), symbolic(t, again), "%q", canonical)
		require.Equal(t, canonical, again.String())
	})
}

// FuzzCompile: every filter that compiles is SQL that SQLite runs, and gives what the evaluator gives.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`q==a*b;name!="%_\\"`, "tags.env==prod,tags==''", "labels=out=(a,'');features==*", "created_at==2024-01-01",
		"risk_score>=5 and locked==true", "id!=0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e", "distribution_digests==sha256:*"} {
		f.Add(seed)
	}
	fields := testFields(f)
	db := openSQLite(f)
	assets := randomAssets(newRandom(1), 20)
	db.insert(f, assets)
	f.Fuzz(func(t *testing.T, filter string) {
		node, err := Parse(filter)
		if err != nil {
			t.Skip()
		}
		postgres, postgresErr := fields.Compile(node, PostgreSQL)
		condition, err := fields.Compile(node, SQLite)
		if err != nil {
			require.Equal(t, err, postgresErr)
			problem := asError(t, err)
			require.GreaterOrEqual(t, problem.Position, 0)
			require.NotEmpty(t, problem.Expected)
			return
		}
		require.NoError(t, postgresErr)
		require.Len(t, postgres.parts, len(postgres.args)+1)
		want := []int{}
		for n, a := range assets {
			if evaluate(node, a) {
				want = append(want, n)
			}
		}
		require.Equal(t, want, db.where(t, condition), "%s", node)
	})
}

// FuzzCursor: no text but one that was signed is a cursor.
func FuzzCursor(f *testing.F) {
	cursors := newCursors(f, cursorKey)
	list := testList()
	signed, err := cursors.Encode(list, Cursor{Values: []any{int64(1), "a"}, ID: "x"})
	require.NoError(f, err)
	for _, seed := range []string{signed, "v1.", "v1.AAAA", "v1.MTIzNDU2Nzg5MHxhYmNkZWY="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := cursors.Decode(list, text); err == nil {
			require.Equal(t, signed, text)
		} else {
			asError(t, err)
		}
	})
}

// FuzzParseSort: what is accepted is written back as it was.
func FuzzParseSort(f *testing.F) {
	f.Add("-created_at,name")
	f.Add(",-")
	f.Fuzz(func(t *testing.T, text string) {
		order, err := ParseSort(text, "created_at", "name", "class")
		if err != nil {
			require.LessOrEqual(t, asError(t, err).Position, len([]rune(text)))
			return
		}
		require.Equal(t, text, order.String())
	})
}
