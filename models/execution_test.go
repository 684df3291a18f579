package models

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newExecution records an execution of a made-up build in a made-up environment.
func newExecution(t *testing.T, s *Store, subject string) *Execution {
	t.Helper()
	e, isNew, err := s.CreateExecution(t.Context(), NewExecution{Kind: KindDeployment, ProjectID: "p", EnvironmentID: "env", SubjectID: subject, SubjectName: subject,
		Definition: DeploymentDefinition{Name: subject}})
	require.NoError(t, err)
	require.True(t, isNew)
	return e
}

// change names what an execution changes, for its claim.
func change(names ...string) func(*Execution) ([]string, error) {
	return func(*Execution) ([]string, error) { return names, nil }
}

// R5: numbers are dense and unique however many ask at once, and the same key is one execution.
func TestR5NumbersAreDenseAndUnique(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		const workers, each = 8, 25
		var wg sync.WaitGroup
		numbers := make(chan int64, workers*each)
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					n := NewExecution{Kind: KindBuild, ProjectID: "p", SubjectID: "build", SubjectName: "build", Definition: struct{}{}}
					if i%5 == 0 {
						n.IdempotencyKey = fmt.Sprintf("delivery-%d", i) // every worker sends the same deliveries
					}
					e, isNew, err := s.CreateExecution(t.Context(), n)
					if err != nil {
						t.Errorf("worker %d: %v", w, err)
						return
					}
					if isNew {
						numbers <- e.Number
					}
				}
			})
		}
		wg.Wait()
		close(numbers)
		seen := map[int64]bool{}
		for n := range numbers {
			require.False(t, seen[n], "number %d stands twice", n)
			seen[n] = true
		}
		require.Len(t, seen, workers*each-(workers-1)*each/5)
		for n := range int64(len(seen)) {
			require.True(t, seen[n+1], "number %d is missing", n+1)
		}
	})
}

func TestClaimIsForOneRunOnly(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e := newExecution(t, s, "a")
		c, err := s.ClaimExecution(ctx, e.ID, "run-1", nil)
		require.NoError(t, err)
		require.Equal(t, StatusRunning, c.Execution.Status)
		_, err = s.ClaimExecution(ctx, e.ID, "run-1", nil)
		require.NoError(t, err, "a repeated local activity claims what it has")
		_, err = s.ClaimExecution(ctx, e.ID, "run-2", nil)
		require.ErrorIs(t, err, ErrConflict)
	})
}

// The trigger tells its caller that nothing was started; then nothing may start later.
func TestAbandonedIsNeverClaimedAndClaimedNeverAbandoned(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e := newExecution(t, s, "a")
		require.NoError(t, s.AbandonExecution(ctx, e.ID, "away"))
		_, err := s.ClaimExecution(ctx, e.ID, "run", nil)
		require.ErrorIs(t, err, ErrConflict)

		e = newExecution(t, s, "a")
		_, err = s.ClaimExecution(ctx, e.ID, "run", nil)
		require.NoError(t, err)
		require.ErrorIs(t, s.AbandonExecution(ctx, e.ID, "away"), ErrFinal)
	})
}

func TestAnExecutionEndsOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e := newExecution(t, s, "a")
		_, err := s.ClaimExecution(ctx, e.ID, "run", nil)
		require.NoError(t, err)
		var ends sync.Map
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := s.FinishExecution(ctx, e.ID, StatusFailed, fmt.Sprint(i))
				ends.Store(i, err)
			})
		}
		wg.Wait()
		won := 0
		ends.Range(func(_, v any) bool {
			if v == nil {
				won++
			} else {
				require.ErrorIs(t, v.(error), ErrFinal)
			}
			return true
		})
		require.Equal(t, 1, won)
		require.NoError(t, s.SetExecutionStatus(ctx, e.ID, StatusRunning, 99))
		got, err := s.ExecutionByID(ctx, e.ID)
		require.NoError(t, err)
		require.Equal(t, StatusFailed, got.Status, "a late write changes nothing")
		require.NotNil(t, got.FinishedAt)
	})
}

func TestAnOlderWriteChangesNothing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e := newExecution(t, s, "a")
		_, err := s.ClaimExecution(ctx, e.ID, "run", nil)
		require.NoError(t, err)
		require.NoError(t, s.SetExecutionStatus(ctx, e.ID, StatusWaiting, 5))
		require.NoError(t, s.SetExecutionStatus(ctx, e.ID, StatusRunning, 4))
		got, err := s.ExecutionByID(ctx, e.ID)
		require.NoError(t, err)
		require.Equal(t, StatusWaiting, got.Status)
	})
}

// R7: two executions never hold one deployment; the queue is in order; a dead holder's lock is freed.
func TestR7LocksAreGrantedInOrderAllOrNone(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		claim := func(e *Execution, names ...string) bool {
			c, err := s.ClaimExecution(ctx, e.ID, "run", change(names...))
			require.NoError(t, err)
			return !c.Waiting
		}
		end := func(e *Execution) []string {
			next, err := s.FinishExecution(ctx, e.ID, StatusOK, "")
			require.NoError(t, err)
			return next
		}
		a, b, c, d := newExecution(t, s, "a"), newExecution(t, s, "b"), newExecution(t, s, "c"), newExecution(t, s, "d")
		require.True(t, claim(a, "x"))
		require.False(t, claim(b, "y", "x"), "x is held")
		require.False(t, claim(c, "y"), "b was there first, although y is free: all or none, in order")
		require.True(t, claim(d, "z"))
		require.False(t, claim(b, "y", "x"), "asking again changes nothing")
		q, err := s.LockQueue(ctx, "env")
		require.NoError(t, err)
		require.Len(t, q, 5)
		require.Equal(t, []string{b.ID}, end(a))
		require.Equal(t, []string{c.ID}, end(b))
		unseen, err := s.LocksUnseen(ctx, s.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, []string{c.ID}, unseen)
		require.NoError(t, s.LockSeen(ctx, c.ID))
		unseen, err = s.LocksUnseen(ctx, s.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, unseen)
		require.Empty(t, end(c))
		require.Empty(t, end(d))
		q, err = s.LockQueue(ctx, "env")
		require.NoError(t, err)
		require.Empty(t, q)
	})
}

// Steps of one phase on one deployment take their turns in the order of the phase, whichever workflow is quicker.
func TestR7TicketsDrawnBeforeTheClaimKeepTheirOrder(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		deploy, smoke := newExecution(t, s, "deploy"), newExecution(t, s, "smoke")
		for _, e := range []*Execution{deploy, smoke} {
			require.NoError(t, s.Tx(ctx, func(tx *Store) error { return tx.QueueForLocks(ctx, e, []string{"x"}) }))
		}
		c, err := s.ClaimExecution(ctx, smoke.ID, "run", change("x"))
		require.NoError(t, err)
		require.True(t, c.Waiting, "the smoke test was quicker and must wait")
		c, err = s.ClaimExecution(ctx, deploy.ID, "run", change("x"))
		require.NoError(t, err)
		require.False(t, c.Waiting)
		next, err := s.FinishExecution(ctx, deploy.ID, StatusOK, "")
		require.NoError(t, err)
		require.Equal(t, []string{smoke.ID}, next)
		// A grant that came before the claim is seen by the claim.
		late := newExecution(t, s, "late")
		require.NoError(t, s.Tx(ctx, func(tx *Store) error { return tx.QueueForLocks(ctx, late, []string{"x"}) }))
		_, err = s.FinishExecution(ctx, smoke.ID, StatusOK, "")
		require.NoError(t, err)
		c, err = s.ClaimExecution(ctx, late.ID, "run", change("x"))
		require.NoError(t, err)
		require.False(t, c.Waiting)
		unseen, err := s.LocksUnseen(ctx, s.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, unseen)
	})
}

func TestR7LocksNeverOverlapUnderLoad(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		var mu sync.Mutex
		held := map[string]string{}
		granted := make(chan string, 100)
		names := []string{"a", "b", "c"}
		want := map[string][]string{}
		start := func(id string) {
			mu.Lock()
			defer mu.Unlock()
			for _, n := range want[id] {
				if other, ok := held[n]; ok && other != id {
					t.Errorf("%s is held by %s and given to %s", n, other, id)
				}
				held[n] = id
			}
			granted <- id
		}
		var es []*Execution
		for i := range 20 {
			e := newExecution(t, s, fmt.Sprint("subject", i%7))
			want[e.ID] = []string{names[i%3], names[(i+i/3)%3]}
			es = append(es, e)
		}
		var wg sync.WaitGroup
		for _, e := range es {
			wg.Go(func() {
				c, err := s.ClaimExecution(ctx, e.ID, "run", change(want[e.ID]...))
				if err != nil {
					t.Error(err)
					return
				}
				if !c.Waiting {
					start(e.ID)
				}
			})
		}
		for range es {
			id := <-granted
			mu.Lock()
			for _, n := range want[id] {
				delete(held, n)
			}
			mu.Unlock()
			next, err := s.FinishExecution(ctx, id, StatusOK, "")
			require.NoError(t, err)
			for _, n := range next {
				start(n)
			}
		}
		wg.Wait()
	})
}

// R1: a script that may have had an effect is never begun again by itself.
func TestR1ScriptsThatMustNotRepeatAreInterrupted(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e := newExecution(t, s, "a")
		deploy := ExecutionScript{ExecutionID: e.ID, Key: "deploy", Step: "deploy"}
		_, err := s.BeginScript(ctx, deploy)
		require.NoError(t, err)
		_, err = s.BeginScript(ctx, deploy)
		require.ErrorIs(t, err, ErrInterrupted)
		require.NoError(t, s.EndScript(ctx, e.ID, "deploy", []byte("sealed")))
		got, err := s.BeginScript(ctx, deploy)
		require.NoError(t, err)
		require.True(t, got.Finished)
		require.Equal(t, []byte("sealed"), got.Result)

		build := ExecutionScript{ExecutionID: e.ID, Key: "build", Step: "build", Repeatable: true}
		for attempt := 1; attempt <= 3; attempt++ {
			got, err := s.BeginScript(ctx, build)
			require.NoError(t, err)
			require.Equal(t, attempt, got.Attempt)
			require.False(t, got.Finished)
		}
	})
}

// R9: one decision, however many decide at the same instant.
func TestR9AHundredDecisionsAreOne(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e := newExecution(t, s, "a")
		c, err := s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, CodeHash: HashCode("code")})
		require.NoError(t, err)
		again, err := s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, CodeHash: HashCode("other")})
		require.NoError(t, err)
		require.Equal(t, c.ID, again.ID, "the place has one confirmation")
		var wg sync.WaitGroup
		wins := make(chan string, 100)
		for i := range 100 {
			wg.Go(func() {
				status := ConfirmationApproved
				if i%2 == 1 {
					status = ConfirmationDisapproved
				}
				err := s.DecideConfirmation(ctx, c.ID, status, "user", fmt.Sprint(i), fmt.Sprint("person ", i))
				if err == nil {
					wins <- fmt.Sprint("person ", i)
				} else if err != ErrConflict {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(wins)
		require.Len(t, wins, 1)
		got, err := s.ConfirmationByCode(ctx, e.ID, "code")
		require.NoError(t, err)
		require.Equal(t, <-wins, got.DecidedByName)
		_, err = s.ConfirmationByCode(ctx, e.ID, "wrong")
		require.ErrorIs(t, err, ErrNotFound)
	})
}

// R15: lines are read from any place, whatever chunks they lie in.
func TestR15LogLinesAreReadFromAnyPlace(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e := newExecution(t, s, "a")
		line := 0
		for chunk := range 30 {
			n := chunk%4 + 1
			var data []byte
			for range n {
				b, err := json.Marshal(map[string]int{"n": line})
				require.NoError(t, err)
				data = append(append(data, b...), '\n')
				line++
			}
			at, err := s.AppendLogs(ctx, e.ID, n, data)
			require.NoError(t, err)
			require.EqualValues(t, line-n, at)
		}
		for from := range int64(line) {
			got, err := s.LogChunks(ctx, e.ID, from, 100)
			require.NoError(t, err)
			require.LessOrEqual(t, got[0].FirstLine, from)
			require.Greater(t, got[0].FirstLine+int64(got[0].Count), from)
		}
		got, err := s.LogChunks(ctx, e.ID, int64(line), 100)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

func TestListsPageDownwards(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := context.Background()
		for range 25 {
			newExecution(t, s, "a")
		}
		var seen []int64
		from := ""
		for {
			page, err := s.ListExecutions(ctx, ExecutionFilter{SubjectID: "a", PageFrom: from, PageSize: 10})
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				seen = append(seen, e.Number)
			}
			from = page[len(page)-1].ID
		}
		require.Len(t, seen, 25)
		for i, n := range seen {
			require.EqualValues(t, 25-i, n)
		}
	})
}

// R10: cancelling a pipeline that is a step of another one ends what runs below it, and leaves its siblings alone.
func TestR10OpenDescendantsAreThoseBelow(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		below := func(name string, parent *Execution) *Execution {
			t.Helper()
			n := NewExecution{Kind: KindPipeline, ProjectID: "p", SubjectID: name, SubjectName: name, Definition: struct{}{}}
			if parent != nil {
				n.ParentID, n.RootID = parent.ID, parent.RootID
			}
			e, _, err := s.CreateExecution(t.Context(), n)
			require.NoError(t, err)
			return e
		}
		top := below("top", nil)
		nested, sibling := below("nested", top), below("sibling", top)
		inner, ended := below("inner", nested), below("ended", nested)
		deep := below("deep", ended)
		below("other", nil)
		_, err := s.FinishExecution(t.Context(), ended.ID, StatusFailed, "over")
		require.NoError(t, err)
		for _, c := range []struct {
			of   *Execution
			want []string
		}{
			{top, []string{nested.ID, sibling.ID, inner.ID, deep.ID}},
			{nested, []string{inner.ID, deep.ID}},
			{sibling, []string{}},
		} {
			ids, err := s.OpenDescendants(t.Context(), c.of.ID, "")
			require.NoError(t, err)
			require.ElementsMatch(t, c.want, ids, c.of.SubjectName)
		}
	})
}
