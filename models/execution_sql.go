package models

import (
	"context"
	"errors"
)

// latest is the later of two times. The clocks of two machines differ, and nothing that people read may end before it
// began. Neither may be NULL: the databases disagree about what is later then.
func (s *Store) latest(a, b string) string {
	if s.dialect == PostgreSQL {
		return "GREATEST(" + a + ", " + b + ")"
	}
	return "MAX(" + a + ", " + b + ")"
}

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

// endingSQL is what the end of an execution sets; the parameters are its status, the reason and the time.
func (s *Store) endingSQL() string {
	return `status = ?, reason = ?, finished_at = ` + s.latest("?", "COALESCE(started_at, claimed_at, created_at)") +
		`, started_at = COALESCE(started_at, CASE WHEN claimed_at IS NOT NULL THEN ` + s.latest("claimed_at", "created_at") + ` END)`
}

// takeStartsSQL is the query of TakeStarts: parameters are now, before, limit.
func (s *Store) takeStartsSQL() string {
	lock := ""
	if s.dialect == PostgreSQL {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	return `UPDATE pipeline_starts SET checked_at = ? WHERE (execution_id, pipeline_id) IN (SELECT execution_id, pipeline_id FROM pipeline_starts WHERE checked_at <= ?
		ORDER BY checked_at, execution_id LIMIT ?` + lock + `) RETURNING *`
}

// lockEnvironmentSQL serializes all changes of one environment's locks, or of one limit's places, until the end of the
// transaction.
const lockEnvironmentSQL = "SELECT pg_advisory_xact_lock(hashtextextended(?, 7))"

// createExecutionSQL draws the next number of a subject and records the execution in one round trip, which every trigger
// waits for. SQLite cannot change data in a WITH; there a transaction costs no round trips.
//
// Nothing is recorded where bounded holds: where a quota bounds it, what there is has to be counted behind a lock, which takes
// a statement of its own to see what others have added before.
func createExecutionSQL(bounded string) string {
	return `WITH n AS (INSERT INTO execution_counters (subject_id, last) SELECT @subject, 1 WHERE NOT ` + bounded + onCounterSQL + `)` + insertExecutionSQL + `
	RETURNING number`
}

// onCounterSQL is the end of the statement that draws a number. A counter below 0 belongs to what is gone.
const onCounterSQL = `
	ON CONFLICT (subject_id) DO UPDATE SET last = execution_counters.last + 1 WHERE execution_counters.last >= 0 RETURNING last`

// drawNumberSQL draws a number, and says besides whether there are quotas on executions. That is not asked for in a statement
// of its own, since a trigger waits for each.
const drawNumberSQL = "INSERT INTO execution_counters (subject_id, last) VALUES (@subject, 1)" + onCounterSQL + ", " + anyBoundSQL + " AS bounded"

const insertExecutionSQL = `
	INSERT INTO executions (id, kind, project_id, environment_id, organization_id, subject_id, subject_name, number, status, reason, run_id, task_queue, parent_id, parent_phase, parent_step,
		root_id, retry_of, trigger, idempotency_key, definition, commit, sequence, cancel_requested_by, created_at, checked_at, logs_archived)
	SELECT @id, @kind, @project, @environment, @organization, @subject, @name, n.last, 'new', '', '', @queue, @parent, @phase, @step, @root, @retry, @trigger, @key, @definition, @commit, 0, '', @now, @now, false FROM n`

// createAuditedSQL does the same and writes the line of the audit log that goes with it. @detail is a JSON object without
// its last brace: the number is known here alone.
func createAuditedSQL(bounded string) string {
	return `WITH n AS (INSERT INTO execution_counters (subject_id, last) SELECT @subject, 1 WHERE NOT ` + bounded + onCounterSQL + `),
	e AS (` + insertExecutionSQL + ` RETURNING number),
	a AS (INSERT INTO audit_log (id, at, actor_kind, actor_id, actor_name, action, resource_kind, resource_id, resource_name, project_id, result, detail)
		SELECT @line, @now, @actor_kind, @actor_id, @actor_name, @action, @resource_kind, @resource_id, @resource_name, @audit_project, @result,
			@detail || ',"number":' || e.number || '}' FROM e)
	SELECT number FROM e`
}

// errRowBusy makes Store.Tx run a transaction again that found a row in use.
var errRowBusy = errors.New("another transaction has the row")

// lockExecution locks the row of an execution, or gives errRowBusy where another transaction has it. It does not wait: an
// execution that ends at this moment holds its row and waits for the queue, which the caller holds.
func (s *Store) lockExecution(ctx context.Context, id string) error {
	if s.dialect != PostgreSQL {
		return nil
	}
	var rows []string
	if err := s.writer(ctx).Raw("SELECT id FROM executions WHERE id = ? FOR UPDATE SKIP LOCKED", id).Scan(&rows).Error; err != nil {
		return err
	}
	if len(rows) == 0 {
		return errRowBusy
	}
	return nil
}

// shareRow keeps a row from being deleted until the end of the transaction, takeRow waits for all who share it and keeps
// others from doing so. In SQLite the transaction itself does that.
func (s *Store) shareRow(ctx context.Context, table, id string) error {
	return s.lockRows(ctx, table, "id", id, " FOR KEY SHARE")
}

func (s *Store) takeRow(ctx context.Context, table, id string) error {
	return s.lockRows(ctx, table, "id", id, " FOR UPDATE")
}

// takeRows is takeRow for all rows of a table that belong to something.
func (s *Store) takeRows(ctx context.Context, table, column, id string) error {
	err := s.lockRows(ctx, table, column, id, " ORDER BY id FOR UPDATE")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *Store) lockRows(ctx context.Context, table, column, id, how string) error {
	if s.dialect != PostgreSQL {
		how = ""
	}
	var found []string
	if err := s.writer(ctx).Raw("SELECT id FROM "+table+" WHERE "+column+" = ?"+how, id).Scan(&found).Error; err != nil {
		return err
	}
	if len(found) == 0 {
		return ErrNotFound
	}
	return nil
}

// hasStringMemberSQL is a condition on a column that holds JSON as bytes: it has a member with a text. It may hold for others,
// in which the same stands elsewhere.
func (s *Store) hasStringMemberSQL(column, member string) string {
	text := `'"` + member + `":"'`
	if s.dialect == PostgreSQL {
		return "POSITION(" + text + "::bytea IN " + column + ") > 0"
	}
	return "INSTR(" + column + ", CAST(" + text + " AS BLOB)) > 0"
}
