package models

// takeUncheckedSQL is the query of TakeUnchecked: parameters are now, before, limit. SQLite has one writer and needs no
// SKIP LOCKED, nor knows it. Scan needs the serialized columns under their own names, so ids are taken and rows read.
func (s *Store) takeUncheckedSQL() string {
	lock := ""
	if s.dialect == PostgreSQL {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	return `UPDATE executions SET checked_at = ? WHERE id IN (SELECT id FROM executions WHERE status IN ('new','queued','running','waiting') AND checked_at < ?
		ORDER BY checked_at LIMIT ?` + lock + `) RETURNING *`
}

// lockEnvironmentSQL serializes all changes of one environment's locks, until the end of the transaction.
const lockEnvironmentSQL = "SELECT pg_advisory_xact_lock(hashtextextended(?, 7))"
