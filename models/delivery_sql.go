package models

// takeDeliveriesSQL is the query of TakeDeliveries. Both branches use the index of open deliveries.
func (s *Store) takeDeliveriesSQL() string {
	lock := ""
	if s.dialect == PostgreSQL {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	return `UPDATE deliveries SET checked_at = @now WHERE id IN (SELECT id FROM deliveries WHERE status IN ('new', 'running')
		AND checked_at < (CASE WHEN started_at IS NULL AND NOT child THEN CAST(@unstarted AS ` + s.timeType() + `) ELSE CAST(@others AS ` + s.timeType() + `) END)
		ORDER BY checked_at LIMIT @limit` + lock + `) RETURNING *`
}

// timeType is what a parameter must be cast to to be compared with a column of times. SQLite compares the text.
func (s *Store) timeType() string {
	if s.dialect == PostgreSQL {
		return "timestamptz"
	}
	return "text"
}

// takeStatusChangesSQL is the query of TakeStatusChanges.
func (s *Store) takeStatusChangesSQL() string {
	lock := ""
	if s.dialect == PostgreSQL {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	return `DELETE FROM status_changes WHERE id IN (SELECT id FROM status_changes ORDER BY id LIMIT ?` + lock + `) RETURNING *`
}
