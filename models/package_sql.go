package models

import (
	"context"
	"encoding/json"
)

// lockPackageClock lets one transaction at a time change what consumers see. On SQLite there is one writer anyway.
func (s *Store) lockPackageClock(ctx context.Context) (int64, error) {
	q := "SELECT last FROM package_clock"
	if s.dialect == PostgreSQL {
		q += " FOR UPDATE"
	}
	var last int64
	err := s.writer(ctx).Raw(q).Scan(&last).Error
	return last, err
}

// joint stands between joined texts. It is in no version.
const joint = "\x1f"

// joined is the SQL of all texts of a group as one.
func (s *Store) joined(column string) string {
	if s.dialect == PostgreSQL {
		return "string_agg(" + column + ", chr(31))"
	}
	return "group_concat(" + column + ", char(31))"
}

// pairs is the SQL of a list of pairs of texts that comes as one JSON array of arrays; its columns are a and b.
func (s *Store) pairs() string {
	if s.dialect == PostgreSQL {
		return "SELECT value ->> 0 AS a, value ->> 1 AS b FROM jsonb_array_elements(CAST(? AS jsonb))"
	}
	return "SELECT json_extract(value, '$[0]') AS a, json_extract(value, '$[1]') AS b FROM json_each(?)"
}

// numberList is idList for numbers.
func (s *Store) numberList() string {
	if s.dialect == PostgreSQL {
		return "SELECT CAST(jsonb_array_elements_text(CAST(? AS jsonb)) AS bigint)"
	}
	return "SELECT value FROM json_each(?)"
}

func jsonText(v any) string {
	b, _ := json.Marshal(v) // lists of numbers and texts always marshal
	return string(b)
}
