package rsql

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Cursor is a place in a list: right at one row.
type Cursor struct {
	// Values are what the row has in the fields of the list's order, one for each: nil, string, int64, bool or
	// [time.Time]. Times keep their nanoseconds and come back in UTC.
	Values []any
	// ID is the id of the row, which breaks ties.
	ID string
}

// List is what a cursor belongs to. A cursor of one list is refused by every other, so that a client can neither step
// into the rows of another scope nor continue with a changed filter.
type List struct {
	// Scope names whose rows are listed, for example "org/" and an id, and what else decides which rows those are.
	Scope string
	// Filter is the filter as the client sent it, decoded.
	Filter string
	// Sort is the order that is in force, defaults included.
	Sort Sort
}

// Cursors signs and reads cursors. They are readable by the client but cannot be changed or made by it.
type Cursors struct{ keys [][]byte }

// minimumCursorKey is the size in bytes of the shortest key: that of the hash.
const minimumCursorKey = sha256.Size

// maximumCursor is the size in bytes of the longest cursor, far over what a row of sort values needs.
const maximumCursor = 8192

// cursorPrefix names the format: "v1.", then base64url without padding of the signature (32 bytes) and the cursor in JSON.
const cursorPrefix = "v1."

// NewCursors takes the keys of HMAC-SHA256, of 32 bytes or more. The first one signs, each of them is accepted, so that a
// key can be replaced while cursors are in use.
func NewCursors(keys ...[]byte) (*Cursors, error) {
	if len(keys) == 0 {
		return nil, errors.New("cursors need a key")
	}
	c := &Cursors{}
	for _, key := range keys {
		if len(key) < minimumCursorKey {
			return nil, fmt.Errorf("a key for cursors has %d bytes, it needs %d", len(key), minimumCursorKey)
		}
		c.keys = append(c.keys, bytes.Clone(key))
	}
	return c, nil
}

// cursorValue is a value of a cursor in JSON: exactly one member is set, none for nil. JSON numbers would lose digits of
// an int64 in other readers, and the type of a time.
type cursorValue struct {
	Text    *string    `json:"s,omitempty"`
	Integer *int64     `json:"i,string,omitempty"`
	Boolean *bool      `json:"b,omitempty"`
	Time    *time.Time `json:"t,omitempty"`
}

type cursorPayload struct {
	Values []cursorValue `json:"v,omitempty"`
	ID     string        `json:"id"`
}

// Encode writes a cursor for a list. It fails only if the cursor cannot be of that list or holds what a Cursor cannot.
func (c *Cursors) Encode(list List, cursor Cursor) (string, error) {
	if len(cursor.Values) != len(list.Sort) {
		return "", fmt.Errorf("encode cursor: %d values for %d sort fields", len(cursor.Values), len(list.Sort))
	}
	payload := cursorPayload{ID: cursor.ID}
	for i, value := range cursor.Values {
		var v cursorValue
		switch value := value.(type) {
		case nil:
		case string:
			v.Text = &value
		case int64:
			v.Integer = &value
		case bool:
			v.Boolean = &value
		case time.Time:
			utc := value.UTC()
			v.Time = &utc
		default:
			return "", fmt.Errorf("encode cursor: value of %s is a %T", list.Sort[i].Field, value)
		}
		// JSON would replace what is not UTF-8 and the cursor would then point elsewhere.
		if v.Text != nil && !utf8.ValidString(*v.Text) {
			return "", fmt.Errorf("encode cursor: value of %s is not UTF-8", list.Sort[i].Field)
		}
		payload.Values = append(payload.Values, v)
	}
	if !utf8.ValidString(cursor.ID) {
		return "", errors.New("encode cursor: the id is not UTF-8")
	}
	encoded, err := json.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("encode cursor: %w", err)
	}
	text := cursorPrefix + base64.RawURLEncoding.EncodeToString(append(sign(c.keys[0], list, encoded), encoded...))
	if len(text) > maximumCursor {
		return "", fmt.Errorf("encode cursor: %d bytes, the limit is %d", len(text), maximumCursor)
	}
	return text, nil
}

// Decode reads a cursor of a list. The error is an [*Error] with CodeInvalidCursor: the cursor is damaged or belongs to
// another list.
func (c *Cursors) Decode(list List, text string) (Cursor, error) {
	refused := &Error{Code: CodeInvalidCursor, Position: NoPosition,
		Detail: "the cursor is damaged, or belongs to another filter, sort or scope"}
	encoded, found := strings.CutPrefix(text, cursorPrefix)
	if !found || len(text) > maximumCursor {
		return Cursor{}, refused
	}
	// Strict, and no line breaks, which the decoder would skip: one cursor has one spelling.
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(data) < sha256.Size || strings.ContainsAny(encoded, "\r\n") {
		return Cursor{}, refused
	}
	signature, document := data[:sha256.Size], data[sha256.Size:]
	if !slices.ContainsFunc(c.keys, func(key []byte) bool { return hmac.Equal(signature, sign(key, list, document)) }) {
		return Cursor{}, refused
	}
	var payload cursorPayload
	if err := json.Unmarshal(document, &payload); err != nil || len(payload.Values) != len(list.Sort) {
		return Cursor{}, refused
	}
	cursor := Cursor{ID: payload.ID}
	for _, v := range payload.Values {
		var value any
		switch {
		case v.Text != nil:
			value = *v.Text
		case v.Integer != nil:
			value = *v.Integer
		case v.Boolean != nil:
			value = *v.Boolean
		case v.Time != nil:
			value = v.Time.UTC()
		}
		cursor.Values = append(cursor.Values, value)
	}
	return cursor, nil
}

// sign covers the list and the cursor. Each part has its length before it, so that text cannot move from one part to the
// next under the same signature.
func sign(key []byte, list List, document []byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{"rsql cursor " + cursorPrefix, list.Scope, list.Filter, list.Sort.String(), string(document)} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}
