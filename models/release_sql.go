package models

// The metadata of a release is JSON text, because its members have an order that must be kept. Searches look into it.

// providesInterface is the condition that a release provides the interface of one argument.
func (s *Store) providesInterface() string {
	if s.dialect == PostgreSQL {
		return "EXISTS (SELECT 1 FROM jsonb_array_elements(CAST(releases.metadata AS jsonb) -> 'provides') p WHERE p ->> 'name' = ?)"
	}
	return "EXISTS (SELECT 1 FROM json_each(releases.metadata, '$.provides') p WHERE json_extract(p.value, '$.name') = ?)"
}

// hasMetadata is the condition that a release's own metadata has the key of the first argument with the value of the
// second.
func (s *Store) hasMetadata() string {
	if s.dialect == PostgreSQL {
		return "EXISTS (SELECT 1 FROM jsonb_each_text(CAST(releases.metadata AS jsonb) -> 'metadata') m WHERE m.key = ? AND m.value = ?)"
	}
	return "EXISTS (SELECT 1 FROM json_each(releases.metadata, '$.metadata') m WHERE m.key = ? AND m.value = ?)"
}
