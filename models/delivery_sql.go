package models

import "context"

// insertDeliveriesPostgres is the statement of insertDeliveries. Most deliveries of one event have the same body, so bodies
// go to the server once and rows name them by their place.
const insertDeliveriesPostgres = `INSERT INTO deliveries (id, kind, source, event, project_id, namespace_id, notification_id, hook, execution_id, confirmation_id, redelivery_of,
		target, subject, body, sealed, status, reason, attempts, max_attempts, child, created_at, checked_at)
	SELECT x.id, x.kind, x.source, x.event, x.project_id, x.namespace_id, x.notification_id, x.hook, x.execution_id, x.confirmation_id, x.redelivery_of,
		x.target, x.subject, (CAST($18 AS text[]))[x.body], x.sealed, 'new', '', 0, x.max_attempts, x.child, CAST($19 AS timestamptz), CAST($19 AS timestamptz)
	FROM unnest(CAST($1 AS text[]), CAST($2 AS text[]), CAST($3 AS text[]), CAST($4 AS text[]), CAST($5 AS text[]), CAST($6 AS text[]), CAST($7 AS text[]), CAST($8 AS text[]),
		CAST($9 AS text[]), CAST($10 AS text[]), CAST($11 AS text[]), CAST($12 AS text[]), CAST($13 AS text[]), CAST($14 AS bigint[]), CAST($15 AS bytea[]), CAST($16 AS bigint[]),
		CAST($17 AS boolean[])) AS x(id, kind, source, event, project_id, namespace_id, notification_id, hook, execution_id, confirmation_id, redelivery_of,
		target, subject, body, sealed, max_attempts, child)`

// insertDeliveries writes new deliveries that have no key. On SQLite, which has no round trips to save, it takes a statement
// for every few hundred.
func (s *Store) insertDeliveries(ctx context.Context, rows []*Delivery) error {
	if s.dialect != PostgreSQL {
		return s.writer(ctx).CreateInBatches(rows, 200).Error
	}
	var texts [13]array[string]
	var places, attempts array[int64]
	var sealed array[[]byte]
	var children array[bool]
	var bodies array[string]
	known := map[string]int64{}
	for _, d := range rows {
		for i, v := range []string{d.ID, d.Kind, d.Source, d.Event, d.ProjectID, d.NamespaceID, d.NotificationID, d.Hook, d.ExecutionID, d.ConfirmationID, d.RedeliveryOf, d.Target, d.Subject} {
			texts[i] = append(texts[i], v)
		}
		if known[d.Body] == 0 {
			bodies = append(bodies, d.Body)
			known[d.Body] = int64(len(bodies)) // places begin at 1
		}
		places, attempts = append(places, known[d.Body]), append(attempts, int64(d.MaxAttempts))
		sealed, children = append(sealed, d.Sealed), append(children, d.Child)
	}
	values := make([]any, 0, 19)
	for _, column := range texts {
		values = append(values, column)
	}
	return s.execRaw(ctx, insertDeliveriesPostgres, append(values, places, sealed, attempts, children, bodies, rows[0].CreatedAt))
}

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
