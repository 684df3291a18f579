package rsql

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var cursorKey = bytes.Repeat([]byte("k"), 32)

func newCursors(t testing.TB, keys ...[]byte) *Cursors {
	cursors, err := NewCursors(keys...)
	require.NoError(t, err)
	return cursors
}

func testList() List {
	return List{Scope: "org/1", Filter: "name==a;class==B", Sort: Sort{{Field: "created_at", Descending: true}, {Field: "name"}}}
}

func TestCursorRoundTrip(t *testing.T) {
	cursors := newCursors(t, cursorKey)
	zone := time.FixedZone("", 7200)
	for _, values := range [][]any{
		nil,
		{nil}, {""}, {"it's | 日本 \x00 <&>"}, {int64(math.MaxInt64)}, {int64(math.MinInt64)}, {true}, {false},
		{time.Date(2024, 1, 31, 23, 59, 59, 123456789, zone)}, {nil, "a", int64(0), time.Time{}, false, nil},
	} {
		list := testList()
		list.Sort = make(Sort, len(values))
		text, err := cursors.Encode(list, Cursor{Values: values, ID: "id 1"})
		require.NoError(t, err)
		require.Regexp(t, `^v1\.[A-Za-z0-9_-]+$`, text)
		cursor, err := cursors.Decode(list, text)
		require.NoError(t, err)
		require.Equal(t, "id 1", cursor.ID)
		require.Len(t, cursor.Values, len(values))
		for i, value := range values {
			if moment, ok := value.(time.Time); ok {
				value = moment.UTC()
			}
			require.Equal(t, value, cursor.Values[i])
		}
	}
}

// TestS4_CursorsBelongToTheirList gives a cursor to every other list.
func TestS4_CursorsBelongToTheirList(t *testing.T) {
	cursors := newCursors(t, cursorKey)
	list := testList()
	text, err := cursors.Encode(list, Cursor{Values: []any{int64(1), "a"}, ID: "x"})
	require.NoError(t, err)
	for name, change := range map[string]func(*List){
		"scope":             func(l *List) { l.Scope = "org/2" },
		"no scope":          func(l *List) { l.Scope = "" },
		"filter":            func(l *List) { l.Filter = "name==a;class==C" },
		"no filter":         func(l *List) { l.Filter = "" },
		"direction":         func(l *List) { l.Sort = Sort{{Field: "created_at"}, {Field: "name"}} },
		"order of fields":   func(l *List) { l.Sort = Sort{{Field: "name"}, {Field: "created_at", Descending: true}} },
		"no sort":           func(l *List) { l.Sort = nil },
		"text moved":        func(l *List) { l.Scope, l.Filter = "org/1n", "ame==a;class==B" },
		"all in the filter": func(l *List) { l.Scope, l.Filter = "", "org/1name==a;class==B" },
	} {
		other := testList()
		change(&other)
		_, err := cursors.Decode(other, text)
		require.Equal(t, CodeInvalidCursor, asError(t, err).Code, name)
	}
	_, err = cursors.Decode(list, text)
	require.NoError(t, err)
}

// TestS4_DamagedCursorsAreRefused changes, cuts and forges cursors.
func TestS4_DamagedCursorsAreRefused(t *testing.T) {
	cursors := newCursors(t, cursorKey)
	list := testList()
	text, err := cursors.Encode(list, Cursor{Values: []any{int64(1), "a"}, ID: "x"})
	require.NoError(t, err)
	refused := func(damaged string) {
		t.Helper()
		_, err := cursors.Decode(list, damaged)
		require.EqualError(t, err, "the cursor is damaged, or belongs to another filter, sort or scope", "%q", damaged)
		require.Equal(t, CodeInvalidCursor, asError(t, err).Code)
	}
	for i := range text {
		refused(text[:i])
		for _, replacement := range []byte{'A', 'B', '_', '=', ' ', 0, 0xff} {
			if text[i] != replacement {
				refused(text[:i] + string(rune(replacement)) + text[i+1:])
			}
		}
		refused(text[:i] + "\n" + text[i:])
	}
	refused(text + "A")
	refused(text + "=")
	refused(strings.Replace(text, "v1.", "v2.", 1))
	refused("v1.MTIzNDU2Nzg5MHxhYmNkZWY=")
	refused("v1." + strings.Repeat("A", 1<<20))
	document, err := json.Marshal(cursorPayload{ID: "y", Values: make([]cursorValue, 2)})
	require.NoError(t, err)
	for _, signature := range [][]byte{make([]byte, 32), sign([]byte("another key"), list, document), sign(cursorKey, List{}, document)} {
		refused("v1." + base64.RawURLEncoding.EncodeToString(append(signature, document...)))
	}
}

func TestCursorKeysCanBeReplaced(t *testing.T) {
	old, fresh := cursorKey, bytes.Repeat([]byte("n"), 40)
	list := testList()
	cursor := Cursor{Values: []any{nil, nil}, ID: "x"}
	before, err := newCursors(t, old).Encode(list, cursor)
	require.NoError(t, err)
	after, err := newCursors(t, fresh, old).Encode(list, cursor)
	require.NoError(t, err)
	for _, text := range []string{before, after} {
		_, err = newCursors(t, fresh, old).Decode(list, text)
		require.NoError(t, err)
	}
	_, err = newCursors(t, fresh).Decode(list, before)
	require.Error(t, err)
	_, err = newCursors(t, old).Decode(list, after)
	require.Error(t, err)
}

func TestCursorMistakesOfTheProgram(t *testing.T) {
	_, err := NewCursors()
	require.Error(t, err)
	_, err = NewCursors(cursorKey, []byte("short"))
	require.ErrorContains(t, err, "a key for cursors has 5 bytes, it needs 32")
	cursors := newCursors(t, cursorKey)
	for _, cursor := range []Cursor{
		{Values: []any{"a"}}, {Values: []any{1, "a"}}, {Values: []any{"a", "b\xff"}}, {Values: []any{"a", "b"}, ID: "\xff"},
		{Values: []any{"a", strings.Repeat("b", maximumCursor)}}, {Values: []any{"a", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		_, err := cursors.Encode(testList(), cursor)
		require.Error(t, err)
		require.NotErrorAs(t, err, new(*Error))
	}
}
