package models

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"slipway/internal/state"
	"slipway/internal/testenv"
)

// directBuild records an execution of the shop's build that nothing has to be decided about.
func (h *shop) directBuild() *Execution {
	h.t.Helper()
	e, _, err := h.s.CreateExecution(h.t.Context(), NewExecution{Kind: KindBuild, ProjectID: h.project.ID, EnvironmentID: h.env.ID, SubjectID: h.build.ID, SubjectName: h.build.Name,
		Definition: h.build.Definition()})
	require.NoError(h.t, err)
	return e
}

// R2: whoever claims a row first has it; the same run may ask again, and finds what its earlier attempt left.
func TestR2DirectClaim(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		e := h.directBuild()
		got, err := s.DirectClaim(ctx, e.ID, "run")
		require.NoError(t, err)
		require.True(t, got.Claimed && got.First)
		require.Equal(t, StatusRunning, got.Status)
		require.Equal(t, e.Definition, got.Definition)
		require.Zero(t, got.NextLine)
		require.False(t, got.Decided)
		claimed := *got.ClaimedAt

		require.NoError(t, s.PutLogs(ctx, e.ID, 0, 3, []byte("{}\n{}\n{}\n")))
		require.NoError(t, s.PutDecision(ctx, e.ID, "version", "1.0"))
		c.move(time.Second)
		again, err := s.DirectClaim(ctx, e.ID, "run")
		require.NoError(t, err)
		require.False(t, again.First)
		require.Equal(t, claimed, *again.ClaimedAt, "the wait in the queue is over with the first claim")
		require.EqualValues(t, 3, again.NextLine)
		require.True(t, again.Decided)

		_, err = s.DirectClaim(ctx, e.ID, "another")
		require.ErrorIs(t, err, ErrConflict)
		require.ErrorIs(t, s.AbandonExecution(ctx, e.ID, "nobody answered"), ErrFinal, "it has been claimed")
		_, err = s.FinishExecution(ctx, e.ID, StatusFailed, "over")
		require.NoError(t, err)
		_, err = s.DirectClaim(ctx, e.ID, "run")
		require.ErrorIs(t, err, ErrConflict)
		_, err = s.DirectClaim(ctx, NewID(), "run")
		require.ErrorIs(t, err, ErrConflict)

		abandoned := h.directBuild()
		require.NoError(t, s.AbandonExecution(ctx, abandoned.ID, "nobody answered"))
		_, err = s.DirectClaim(ctx, abandoned.ID, "run")
		require.ErrorIs(t, err, ErrConflict, "the caller was told that nothing was started")
	})
}

// whole is the end of an attempt at two scripts, the second of which was seen running.
func (h *shop) whole(e *Execution) AttemptEnd {
	h.t.Helper()
	ctx := h.t.Context()
	long := ExecutionScript{ExecutionID: e.ID, Key: "test", Step: "test", Release: "shop/web-v1", Repeatable: true, Result: []byte("sealed 2"), StartedAt: h.s.Now()}
	begun, err := h.s.BeginScript(ctx, long)
	require.NoError(h.t, err)
	long.StartedAt = begun.StartedAt
	short := ExecutionScript{ExecutionID: e.ID, Key: "build, the \"first\" {1,2}", Step: "build", Release: "shop/web-v1", Repeatable: true, Result: []byte{0, 255, 1}, StartedAt: h.s.Now()}
	return AttemptEnd{ExecutionID: e.ID, EnvironmentID: h.env.ID, By: "ann",
		Deployments: func(context.Context, *Store) ([]DeploymentWrite, error) {
			stage := &state.Stage{Version: "1", Status: &state.Status{Code: state.OK, UpdatedAt: h.s.Now(), UpdatedBy: "ann"}}
			return []DeploymentWrite{{Root: "shop/web", Path: []string{"shop/web"}, Deployment: &state.Deployment{Release: "shop/web", Stages: map[string]*state.Stage{state.StageBuild: stage}}}}, nil
		},
		Scripts: []EndedScript{{ExecutionScript: short}, {ExecutionScript: long, Begun: true}},
		Result:  &Result{Releases: []ReleaseResult{{Release: "shop/web-v1", Pushed: true}}},
		Log:     &LogChunk{FirstLine: 0, Count: 1, Data: []byte("{\"message\":\"hello\"}\n")},
		Status:  StatusOK, Reason: ""}
}

// requireWhole checks that all of whole was recorded.
func (h *shop) requireWhole(e *Execution, attempts ...int) *Execution {
	h.t.Helper()
	ctx := h.t.Context()
	scripts, err := h.s.ScriptsOf(ctx, e.ID)
	require.NoError(h.t, err)
	require.Len(h.t, scripts, 2)
	for i, r := range scripts {
		require.True(h.t, r.Finished)
		require.NotNil(h.t, r.FinishedAt)
		if len(attempts) > 0 {
			require.Equal(h.t, attempts[i], r.Attempt, r.Key)
		}
		require.Equal(h.t, map[string][]byte{"build": {0, 255, 1}, "test": []byte("sealed 2")}[r.Step], r.Result)
		require.True(h.t, r.Repeatable)
		require.Equal(h.t, "shop/web-v1", r.Release)
	}
	d, err := h.s.DeploymentState(ctx, h.env.ID, "shop/web")
	require.NoError(h.t, err)
	require.Equal(h.t, state.OK, d.Stages[state.StageBuild].Status.Code)
	history, err := h.s.ListDeploymentHistory(ctx, h.env.ID, "shop/web", "", 0)
	require.NoError(h.t, err)
	require.NotEmpty(h.t, history)
	require.Equal(h.t, "ann", history[0].ChangedBy)
	require.Equal(h.t, state.StageBuild, history[0].Stage)
	lines, err := h.s.LogChunks(ctx, e.ID, 0, 10)
	require.NoError(h.t, err)
	require.Len(h.t, lines, 1)
	require.Equal(h.t, "{\"message\":\"hello\"}\n", string(lines[0].Data))
	got, err := h.s.ExecutionByID(ctx, e.ID)
	require.NoError(h.t, err)
	require.Equal(h.t, "shop/web-v1", got.ResultOf().Releases[0].Release)
	return got
}

// The end of an attempt is recorded whole, and ends the execution.
func TestEndAttempt(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		e := h.directBuild()
		_, err := s.DirectClaim(ctx, e.ID, "run")
		require.NoError(t, err)
		// What is nested in a root goes when the root is written.
		nested := &state.Deployment{Release: "shop/db", Stages: map[string]*state.Stage{state.StageDeploy: {Version: "3"}}}
		require.NoError(t, s.PutDeployment(ctx, h.env.ID, "shop/web", []string{"shop/web", "shop/db"}, state.StageDeploy, nested, "ann"))
		end := h.whole(e)
		c.move(time.Second)
		ended, next, err := s.EndAttempt(ctx, end)
		require.NoError(t, err)
		require.True(t, ended)
		require.Empty(t, next)
		got := h.requireWhole(e, 1, 1)
		require.Equal(t, StatusOK, got.Status)
		require.Equal(t, s.Now(), got.FinishedAt.UTC())
		require.NotNil(t, got.StartedAt)
		d, err := s.DeploymentState(ctx, h.env.ID, "shop/web")
		require.NoError(t, err)
		require.Nil(t, d.Stages[state.StageDeploy], "the root replaces everything below it")

		// The second execution of the same build: everything is there and is changed, not added.
		second := h.directBuild()
		_, err = s.DirectClaim(ctx, second.ID, "run")
		require.NoError(t, err)
		ended, _, err = s.EndAttempt(ctx, h.whole(second))
		require.NoError(t, err)
		require.True(t, ended)
		h.requireWhole(second, 1, 1)
	})
}

// In PostgreSQL the end of a plain build is one statement; one that holds a lock, or whose state is not at rest, is not, and
// then the statement has written nothing.
func TestEndAttemptInOneStatement(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		plain, locked, unrest := h.directBuild(), h.directBuild(), h.directBuild()
		_, err := s.ClaimExecution(ctx, locked.ID, "run", change("shop/web"))
		require.NoError(t, err)
		nothing := func(e *Execution, end AttemptEnd) {
			alone, err := s.endAttemptAlone(ctx, end)
			require.NoError(t, err)
			require.False(t, alone)
			_, err = s.DeploymentState(ctx, h.env.ID, "shop/web")
			require.ErrorIs(t, err, ErrNotFound)
			got, err := s.ExecutionByID(ctx, e.ID)
			require.NoError(t, err)
			require.False(t, got.Status.Final())
			require.Empty(t, got.Result)
		}
		nothing(locked, h.whole(locked))
		end := h.whole(unrest)
		end.Deployments = func(context.Context, *Store) ([]DeploymentWrite, error) {
			running := &state.Stage{Version: "1", Status: &state.Status{Code: state.RunningMainStep}}
			return []DeploymentWrite{{Root: "shop/web", Path: []string{"shop/web"}, Deployment: &state.Deployment{Stages: map[string]*state.Stage{state.StageBuild: running}}}}, nil
		}
		nothing(unrest, end)
		alone, err := s.endAttemptAlone(ctx, h.whole(plain))
		require.NoError(t, err)
		require.Equal(t, s.Dialect() == PostgreSQL, alone)
	})
}

// R1: a connection that broke after the commit makes an attempt end twice. The row and the log say it once.
func TestR1EndAttemptRepeated(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		e := h.directBuild()
		_, err := s.DirectClaim(ctx, e.ID, "run")
		require.NoError(t, err)
		end := h.whole(e)
		_, _, err = s.EndAttempt(ctx, end)
		require.NoError(t, err)
		_, _, err = s.EndAttempt(ctx, end)
		require.ErrorIs(t, err, ErrExists, "the lines are there")
		end.Log = nil
		ended, _, err := s.EndAttempt(ctx, end)
		require.NoError(t, err)
		require.False(t, ended, "it had ended")
		require.Equal(t, StatusOK, h.requireWhole(e).Status)
	})
}

// What somebody else ended stays as it is; what the attempt did is recorded all the same.
func TestEndAttemptOfAnEndedExecution(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		e := h.directBuild()
		_, err := s.FinishExecution(ctx, e.ID, StatusFailed, "its workflow was terminated")
		require.NoError(t, err)
		ended, _, err := s.EndAttempt(ctx, h.whole(e))
		require.NoError(t, err)
		require.False(t, ended)
		got := h.requireWhole(e)
		require.Equal(t, StatusFailed, got.Status)
		require.Equal(t, "its workflow was terminated", got.Reason)
	})
}

// Where the place of the log's lines is taken, nothing is recorded: the caller must put them elsewhere first.
func TestEndAttemptWithLinesOfSomebodyElse(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		e := h.directBuild()
		_, err := s.DirectClaim(ctx, e.ID, "run")
		require.NoError(t, err)
		end := h.whole(e)
		require.NoError(t, s.PutLogs(ctx, e.ID, 0, 1, []byte("{}\n")))
		_, _, err = s.EndAttempt(ctx, end)
		require.ErrorIs(t, err, ErrExists)
		got, err := s.ExecutionByID(ctx, e.ID)
		require.NoError(t, err)
		require.Equal(t, StatusRunning, got.Status)
		_, err = s.DeploymentState(ctx, h.env.ID, "shop/web")
		require.ErrorIs(t, err, ErrNotFound)
	})
}

// R7: an attempt that leaves its execution open, and one that ends it and frees its deployment.
func TestR7EndAttemptFreesTheLock(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		first, second := h.directBuild(), h.directBuild()
		for _, e := range []*Execution{first, second} {
			_, err := s.ClaimExecution(ctx, e.ID, "run", change("shop/web"))
			require.NoError(t, err)
		}
		end := h.whole(first)
		end.Status = ""
		ended, next, err := s.EndAttempt(ctx, end)
		require.NoError(t, err)
		require.False(t, ended)
		require.Empty(t, next)
		require.Equal(t, StatusRunning, h.requireWhole(first).Status)
		ended, next, err = s.EndAttempt(ctx, AttemptEnd{ExecutionID: first.ID, Status: StatusFailed, Reason: "it broke"})
		require.NoError(t, err)
		require.True(t, ended)
		require.Equal(t, []string{second.ID}, next)
		got, err := s.ExecutionByID(ctx, first.ID)
		require.NoError(t, err)
		require.Equal(t, "it broke", got.Reason)
		require.NotEmpty(t, got.Result, "an end without a result leaves the one that is there")
	})
}

// A reason quotes what a script or a repository holds, which need not be text: it is made storable instead of failing the end
// of the attempt again and again.
func TestReasonThatIsNoText(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		const reason, stored = "the link l\xff\x00 leads nowhere", "the link l\uFFFD\uFFFD leads nowhere"
		requireReason := func(e *Execution, want string) {
			t.Helper()
			got, err := s.ExecutionByID(ctx, e.ID)
			require.NoError(t, err)
			require.Equal(t, StatusFailed, got.Status)
			require.Equal(t, want, got.Reason)
		}
		attempted, finished, locked, long := h.directBuild(), h.directBuild(), h.directBuild(), h.directBuild()
		end := h.whole(attempted)
		end.Status, end.Reason = StatusFailed, reason
		ended, _, err := s.EndAttempt(ctx, end)
		require.NoError(t, err)
		require.True(t, ended)
		requireReason(attempted, stored)
		_, err = s.FinishExecution(ctx, finished.ID, StatusFailed, reason)
		require.NoError(t, err)
		requireReason(finished, stored)
		_, err = s.ClaimExecution(ctx, locked.ID, "run", change("shop/web"))
		require.NoError(t, err)
		_, err = s.FinishExecution(ctx, locked.ID, StatusFailed, reason)
		require.NoError(t, err)
		requireReason(locked, stored)
		_, err = s.FinishExecution(ctx, long.ID, StatusFailed, strings.Repeat("\xbf,", 5000))
		require.NoError(t, err)
		requireReason(long, strings.Repeat("\uFFFD,", 1000)+"…") // cut at 4000 bytes of what is stored
	})
}

// endsOf gives the ends of builds that change the same roots, half of them in reverse order.
func (h *shop) endsOf(builds, roots int) []AttemptEnd {
	ends := make([]AttemptEnd, builds)
	for i := range ends {
		e := h.directBuild()
		var list []DeploymentWrite
		for r := range roots {
			root := fmt.Sprintf("shop/r%02d", r)
			stage := &state.Stage{Version: "1", Status: &state.Status{Code: state.OK, UpdatedAt: h.s.Now(), UpdatedBy: e.ID}}
			list = append(list, DeploymentWrite{Root: root, Path: []string{root}, Deployment: &state.Deployment{Release: root, Stages: map[string]*state.Stage{state.StageBuild: stage}}})
		}
		if i%2 == 1 {
			slices.Reverse(list)
		}
		ends[i] = AttemptEnd{ExecutionID: e.ID, EnvironmentID: h.env.ID, By: "ann", Status: StatusOK,
			Deployments: func(context.Context, *Store) ([]DeploymentWrite, error) { return list, nil }}
	}
	return ends
}

// Builds that end at once and change the same deployments in different orders do not wait for each other in a circle, neither
// in the one statement nor in the transaction, and lose no end.
func TestEndAttemptsInReverseOrder(t *testing.T) {
	const builds, roots = 80, 12
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		alone, together := h.endsOf(builds, roots), h.endsOf(builds/4, roots)
		for i := range together { // these write what is nested too, which no single statement does
			inner := together[i].Deployments
			together[i].Deployments = func(ctx context.Context, s *Store) ([]DeploymentWrite, error) {
				list, err := inner(ctx, s)
				return append(list, DeploymentWrite{Root: list[0].Root, RootStage: state.StageBuild, Path: []string{list[0].Root, "shop/db"}, Deployment: &state.Deployment{Release: "shop/db"}}), err
			}
		}
		for _, ends := range [][]AttemptEnd{alone, together} {
			begin, results := make(chan struct{}), make(chan error, len(ends))
			for _, end := range ends {
				go func() {
					<-begin
					ended, _, err := s.EndAttempt(ctx, end)
					if err == nil && !ended {
						err = ErrConflict
					}
					results <- err
				}()
			}
			before := deadlocks(t, s)
			close(begin)
			for range ends {
				require.NoError(t, <-results)
			}
			require.Equal(t, before, deadlocks(t, s))
			for _, end := range ends {
				got, err := s.ExecutionByID(ctx, end.ExecutionID)
				require.NoError(t, err)
				require.Equal(t, StatusOK, got.Status)
			}
		}
	})
}

// deadlocks counts those that PostgreSQL broke in this database.
func deadlocks(t *testing.T, s *Store) (n int64) {
	t.Helper()
	if s.Dialect() == PostgreSQL {
		require.NoError(t, s.writer(t.Context()).Raw("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&n).Error)
	}
	return n
}

// What the database gives up for the sake of another is tried again, not told to whoever ran the scripts: that would run
// all of them again.
func TestEndAttemptTriedAgain(t *testing.T) {
	for name, busy := range map[string]error{"deadlock": &pgconn.PgError{Code: "40P01"}, "serialization": &pgconn.PgError{Code: "40001"}, "busy": errors.New("SQLITE_BUSY")} {
		t.Run(name, func(t *testing.T) {
			for database, address := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "slipway.db"), "postgres": testenv.Postgres(t)} {
				t.Run(database, func(t *testing.T) {
					var fail atomic.Bool
					s, err := Open(t.Context(), address, Options{Faults: &Faults{Before: func() error {
						if fail.CompareAndSwap(true, false) {
							return busy
						}
						return nil
					}}})
					require.NoError(t, err)
					defer s.Close()
					require.NoError(t, s.Migrate(t.Context()))
					h := newShop(t, s)
					e := h.directBuild()
					end, asked := h.whole(e), 0
					writes := end.Deployments
					end.Deployments = func(ctx context.Context, s *Store) ([]DeploymentWrite, error) {
						asked++
						fail.Store(asked == 1) // the statement after this
						return writes(ctx, s)
					}
					ended, _, err := s.EndAttempt(t.Context(), end)
					require.NoError(t, err)
					require.True(t, ended)
					require.Equal(t, 2, asked)
					require.Equal(t, StatusOK, h.requireWhole(e, 1, 1).Status)
				})
			}
		})
	}
}
