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

// createExecutionSQL draws the next number of a subject and records the execution in one round trip, which every trigger
// waits for. SQLite cannot change data in a WITH; there a transaction costs no round trips.
const createExecutionSQL = `WITH n AS (INSERT INTO execution_counters (subject_id, last) VALUES (@subject, 1)
		ON CONFLICT (subject_id) DO UPDATE SET last = execution_counters.last + 1 RETURNING last)
	INSERT INTO executions (id, kind, project_id, environment_id, subject_id, subject_name, number, status, reason, run_id, task_queue, parent_id, parent_phase, parent_step,
		root_id, retry_of, trigger, idempotency_key, definition, sequence, cancel_requested_by, created_at, checked_at, logs_archived)
	SELECT @id, @kind, @project, @environment, @subject, @name, n.last, 'new', '', '', @queue, @parent, @phase, @step, @root, @retry, @trigger, @key, @definition, 0, '', @now, @now, false FROM n
	RETURNING number`
