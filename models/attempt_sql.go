package models

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"time"

	"slipway/internal/state"
)

// endsAloneSQL says that the end of an execution concerns nothing but its own row: it holds no lock, has no steps and
// starts no pipeline.
const endsAloneSQL = `kind = 'build' AND NOT EXISTS (SELECT 1 FROM deployment_locks l WHERE l.execution_id = executions.id) AND NOT ` + listenedSQL

// endAttemptSQL records what AttemptEnd says of an execution that ends alone, in one statement. As a transaction it takes
// ten round trips for one script and four more for each further one. Everything hangs on e: nothing is written where the
// execution has ended or does not end alone. It writes whole deployments; of a root and what is nested in it the order
// would count.
const endAttemptSQL = `WITH e AS (
		UPDATE executions SET status = @status, reason = @reason, finished_at = GREATEST(@now, COALESCE(started_at, claimed_at, created_at)),
			started_at = COALESCE(started_at, CASE WHEN claimed_at IS NOT NULL THEN GREATEST(claimed_at, created_at) END), result = COALESCE(@result, result)
		WHERE id = @id AND status IN @open AND ` + endsAloneSQL + ` RETURNING id, environment_id),
	d AS (INSERT INTO deployments (environment_id, root, root_stage, path, content, updated_by, updated_at)
		SELECT e.environment_id, x.root, '', x.root, x.content, CAST(@by AS text), CAST(@now AS timestamptz)
		FROM e, unnest(CAST(@roots AS text[]), CAST(@contents AS bytea[])) AS x(root, content)
		ON CONFLICT (environment_id, root, root_stage, path) DO UPDATE
		SET sequence = excluded.sequence, content = excluded.content, updated_by = excluded.updated_by, updated_at = excluded.updated_at),
	n AS (DELETE FROM deployments o USING e WHERE o.environment_id = e.environment_id AND o.root = ANY(CAST(@roots AS text[])) AND o.root_stage <> ''),
	h AS (INSERT INTO deployment_history (id, environment_id, root, root_stage, path, stage, status_at, status, release, version, changed_by, created_at)
		SELECT x.id, e.environment_id, x.root, '', x.root, x.stage, x.status_at, x.status, x.release, x.version, CAST(@changed_by AS text), CAST(@now AS timestamptz)
		FROM e, unnest(CAST(@h_ids AS text[]), CAST(@h_roots AS text[]), CAST(@h_stages AS text[]), CAST(@h_ats AS text[]), CAST(@h_statuses AS text[]), CAST(@h_releases AS text[]),
			CAST(@h_versions AS text[])) AS x(id, root, stage, status_at, status, release, version)
		ON CONFLICT DO NOTHING),
	s AS (INSERT INTO execution_scripts AS o (execution_id, key, attempt, step, release, repeatable, finished, result, started_at, finished_at)
		SELECT e.id, x.key, 1, x.step, x.release, x.repeatable, true, x.result, x.started_at, CAST(@now AS timestamptz)
		FROM e, unnest(CAST(@s_keys AS text[]), CAST(@s_steps AS text[]), CAST(@s_releases AS text[]), CAST(@s_repeatable AS boolean[]), CAST(@s_results AS bytea[]),
			CAST(@s_started AS timestamptz[])) AS x(key, step, release, repeatable, result, started_at)
		ON CONFLICT (execution_id, key) DO UPDATE SET attempt = o.attempt + CASE WHEN o.key = ANY(CAST(@s_begun AS text[])) THEN 0 ELSE 1 END, finished = true,
			result = excluded.result, finished_at = excluded.finished_at,
			started_at = CASE WHEN o.key = ANY(CAST(@s_begun AS text[])) THEN o.started_at ELSE excluded.started_at END),
	l AS (INSERT INTO log_chunks (execution_id, first_line, count, data, created_at)
		SELECT e.id, CAST(@first AS bigint), CAST(@count AS bigint), CAST(@data AS bytea), CAST(@now AS timestamptz) FROM e WHERE CAST(@count AS bigint) > 0)
	SELECT count(*) FROM e`

// array hands a slice to PostgreSQL as one value: behind a parenthesis GORM would make a list of values of it, even of bytes.
type array[T any] []T

// Value implements driver.Valuer.
func (a array[T]) Value() (driver.Value, error) { return []T(a), nil }

// endAttemptAlone is EndAttempt in one statement, where that can be: in PostgreSQL, for an execution that ends alone. False
// says that nothing was recorded.
func (s *Store) endAttemptAlone(ctx context.Context, a AttemptEnd) (bool, error) {
	if s.dialect != PostgreSQL || s.inTx || a.Status == "" {
		return false, nil
	}
	now := s.Now()
	args := map[string]any{"id": a.ExecutionID, "status": a.Status, "reason": clip(a.Reason, 4000), "now": now, "open": openStatuses, "by": a.By, "changed_by": shorten(a.By, 200),
		"result": nil, "first": 0, "count": 0, "data": nil}
	if a.Result != nil {
		b, err := json.Marshal(a.Result)
		if err != nil {
			return false, err
		}
		args["result"] = array[byte](b)
	}
	if a.Log != nil {
		args["first"], args["count"], args["data"] = a.Log.FirstLine, a.Log.Count, array[byte](a.Log.Data)
	}
	if ok, err := s.deploymentArrays(ctx, a, args); !ok || err != nil {
		return false, err
	}
	scriptArrays(a.Scripts, args)
	var n int64
	err := created(s.writer(ctx).Raw(endAttemptSQL, args).Scan(&n))
	switch {
	case err == nil:
	case isForeignKeyViolation(err):
		return false, ErrNotFound // the environment is gone
	case isRetryable(err):
		return false, nil // nothing was written: the transaction is tried until it passes
	}
	return n == 1, err
}

// deploymentArrays adds the changes of the state. False says that they must be written one after another.
func (s *Store) deploymentArrays(ctx context.Context, a AttemptEnd, args map[string]any) (bool, error) {
	var roots, ids, of, stages, ats, statuses, releases, versions array[string]
	var contents array[[]byte]
	list, err := a.writes(ctx, s)
	if err != nil {
		return false, err
	}
	for _, w := range list {
		path := state.FormatPath(w.Path)
		if len(w.Path) != 1 || path != w.Root || len(path) > maxPath || Progress(w.Deployment) {
			return false, nil
		}
		w.Deployment.Name = w.Root
		content, err := s.sealJSON(w.Deployment, deploymentPlace(a.EnvironmentID, w.Root, "", path))
		if err != nil {
			return false, err
		}
		roots, contents = append(roots, w.Root), append(contents, content)
		row := deployment{EnvironmentID: a.EnvironmentID, Root: w.Root, Path: path, UpdatedBy: a.By, UpdatedAt: args["now"].(time.Time)}
		for _, h := range finishedStages(row, w.Deployment) {
			ids, of, stages, ats = append(ids, h.ID), append(of, h.Root), append(stages, h.Stage), append(ats, h.StatusAt)
			statuses, releases, versions = append(statuses, string(h.Status)), append(releases, h.Release), append(versions, h.Version)
		}
	}
	for name, v := range map[string]any{"roots": roots, "contents": contents, "h_ids": ids, "h_roots": of, "h_stages": stages, "h_ats": ats, "h_statuses": statuses,
		"h_releases": releases, "h_versions": versions} {
		args[name] = v
	}
	return true, nil
}

// scriptArrays adds the scripts that have ended.
func scriptArrays(scripts []EndedScript, args map[string]any) {
	var keys, steps, releases, begun array[string]
	var repeatable array[bool]
	var results array[[]byte]
	var started array[time.Time]
	for _, r := range scripts {
		keys, steps, releases = append(keys, r.Key), append(steps, r.Step), append(releases, r.Release)
		repeatable, results, started = append(repeatable, r.Repeatable), append(results, r.Result), append(started, r.StartedAt)
		if r.Begun {
			begun = append(begun, r.Key)
		}
	}
	for name, v := range map[string]any{"s_keys": keys, "s_steps": steps, "s_releases": releases, "s_repeatable": repeatable, "s_results": results, "s_started": started, "s_begun": begun} {
		args[name] = v
	}
}
