package e2e

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
)

// blocked holds a lock in the database, so that a worker stops at a known place.
type blocked struct {
	s    *stack
	conn *pgx.Conn
}

// block takes a lock by a query, in a transaction that stays open.
func (s *stack) block(query string, args ...any) *blocked {
	s.t.Helper()
	conn, err := pgx.Connect(s.ctx(), s.database)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close(s.ctx()) })
	_, err = conn.Exec(s.ctx(), "BEGIN")
	require.NoError(s.t, err)
	_, err = conn.Exec(s.ctx(), query, args...)
	require.NoError(s.t, err)
	return &blocked{s, conn}
}

// waited waits until somebody waits for the lock.
func (b *blocked) waited() {
	b.s.t.Helper()
	await(b.s.t, "the worker waits for the lock", func() (bool, string) {
		var n int
		err := b.conn.QueryRow(b.s.ctx(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid))",
			int32(b.conn.PgConn().PID())).Scan(&n)
		require.NoError(b.s.t, err)
		return n > 0, ""
	})
}

// forget ends the connections that wait: what a killed worker had asked for must not happen after its death. Without it,
// it does.
func (b *blocked) forget() {
	b.s.t.Helper()
	_, err := b.conn.Exec(b.s.ctx(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid))",
		int32(b.conn.PgConn().PID()))
	require.NoError(b.s.t, err)
}

func (b *blocked) release() {
	b.s.t.Helper()
	_, err := b.conn.Exec(b.s.ctx(), "ROLLBACK")
	require.NoError(b.s.t, err)
}

// R1: a worker is killed before a deployment starts, while the end of its script is being recorded, and after that. In each
// phase the execution ends right and its script has run once.
func TestR1KilledInEachPhase(t *testing.T) {
	t.Parallel()
	const scripts = "SELECT 1 FROM execution_scripts WHERE execution_id = $1 FOR UPDATE"
	for _, c := range []struct {
		name string
		// lock is taken once the script waits at its gate, with the execution's id; "" for the lock that the claim needs.
		lock   string
		forget bool
		want   models.Status
		reason string
		runs   int
	}{
		{name: "before it starts", forget: true, want: models.StatusOK, runs: 1},
		{name: "the script has ended, which nobody wrote down", lock: scripts, forget: true, want: models.StatusFailed, reason: "interrupted", runs: 1},
		{name: "the script has ended, which was written down after the worker's death", lock: scripts, want: models.StatusOK, runs: 1},
		{name: "the result is known and not reported", lock: "SELECT 1 FROM executions WHERE id = $1 FOR UPDATE", forget: true, want: models.StatusOK, runs: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, stackOptions{processes: true})
			s.startAPI("api", s.address())
			worker := s.startWorker("worker-1")
			p := s.project("phase")
			p.release()
			g := newGate(t)
			ran := p.dir + "/ran"
			p.job("web", "", "echo $step >>"+ran, "echo pid $$", g.wait())
			var ref client.Ref
			var b *blocked
			if c.lock == "" {
				environment := s.environmentID("phase", "dev")
				b = s.block("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", environment)
				ref = p.deploy("web")
			} else {
				ref = p.deploy("web")
				s.line(ref, "pid ")
				b = s.block(c.lock, ref.ID)
				g.open(1)
			}
			b.waited()
			worker.kill()
			if c.forget {
				b.forget()
			}
			b.release()
			s.startWorker("worker-2")
			if c.lock == "" {
				g.open(1)
			}
			e := s.reaches(ref, c.want)
			require.Contains(t, e.Reason, c.reason)
			require.Len(t, fileLines(t, ran), c.runs, fmt.Sprint(e.Reason))
			require.Empty(t, processesOf(t, ref.ID))
			queue, err := s.store.LockQueue(t.Context(), s.row(ref).EnvironmentID)
			require.NoError(t, err)
			require.Empty(t, queue)
			code := map[models.Status]string{models.StatusOK: "ok", models.StatusFailed: "failure"}[c.want]
			environment, err := s.client.Environment(t.Context(), "phase", "dev")
			require.NoError(t, err)
			require.Equal(t, code, string(environment.Deployments["web"].Stages["deploy"].Status.Code))
		})
	}
}

func (s *stack) environmentID(project, name string) string {
	s.t.Helper()
	p, err := s.store.ProjectByName(s.ctx(), project)
	require.NoError(s.t, err)
	e, err := s.store.EnvironmentByName(s.ctx(), p.ID, name)
	require.NoError(s.t, err)
	return e.ID
}
