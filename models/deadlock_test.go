package models

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two pipelines that trigger each other, each with one place, wait for each other for ever: the youngest gives way.
func TestR7PipelinesThatWaitForEachOther(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		ship := h.pipeline
		other := h.newPipeline("other", ship.Limits)
		find := func() *Deadlock {
			d, err := s.FindDeadlock(ctx)
			require.NoError(t, err)
			return d
		}
		ship1, other1 := h.run(ship, nil), h.run(other, nil)
		h.run(other, ship1)
		require.Nil(t, find(), "other #1 will end")
		h.run(ship, nil)
		require.Nil(t, find(), "what is no part of another holds nobody up")
		ship3 := h.run(ship, other1)
		d := find()
		require.Equal(t, ship3.ID, d.ExecutionID)
		require.Equal(t, "it would wait for ever: pipeline 'ship' #3 waits for the place of pipeline 'ship' #1, of which pipeline 'other' #2 is a part; "+
			"pipeline 'other' #2 waits for the place of pipeline 'other' #1, of which pipeline 'ship' #3 is a part", d.Reason)

		// With a second place that nobody in the ring has, both go on in the end.
		_, err := s.SetLimits(ctx, KindPipeline, other.ID, Limits{MaxParallel: 2})
		require.NoError(t, err)
		require.Nil(t, find())
		_, err = s.SetLimits(ctx, KindPipeline, other.ID, Limits{MaxParallel: 1})
		require.NoError(t, err)
		require.Nil(t, find(), "other #2 has its place")

		_, err = s.RequestCancel(ctx, ship1.ID, "ann", nil)
		require.NoError(t, err)
		require.Nil(t, find())
	})
}

// Where somebody has cancelled one of them, they end without help.
func TestR7CancelledPipelinesAreNoDeadlock(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		top := h.triggered(KindPipeline)
		h.claim(top)
		part := h.triggered(KindPipeline) // waits for the place of what it is a part of
		h.claim(part)
		require.NoError(t, s.writer(ctx).Model(&Execution{}).Where("id = ?", part.ID).Update("parent_id", top.ID).Error)
		d, err := s.FindDeadlock(ctx)
		require.NoError(t, err)
		require.Equal(t, part.ID, d.ExecutionID)
		_, err = s.RequestCancel(ctx, top.ID, "ann", nil)
		require.NoError(t, err)
		d, err = s.FindDeadlock(ctx)
		require.NoError(t, err)
		require.Nil(t, d)
	})
}

// Where somebody has cancelled them and they wait for each other in what cleans up after that, nothing ends them but a second
// cancellation: the youngest gives way. A cancellation that comes while they clean up after a failure ends them, and so does one that
// came before their workflows had heard of it.
func TestR7CancelledPipelinesThatCleanUpWaitForEachOther(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		ship := h.pipeline
		other, above, between := h.newPipeline("other", ship.Limits), h.newPipeline("above", Limits{}), h.newPipeline("between", Limits{})
		for _, test := range []struct {
			name     string
			cleans   []string      // those whose only phase cleans up
			before   []string      // cancelled before the parts are begun, or
			after    []string      // after that
			later    time.Duration // when the look is
			deadlock bool
		}{
			{name: "one cleans up", cleans: []string{"ship", "other"}, before: []string{"ship"}, deadlock: true},
			{name: "both clean up", cleans: []string{"ship", "other"}, before: []string{"ship", "other"}, deadlock: true},
			{name: "above the one that cleans up", cleans: []string{"ship"}, before: []string{"above"}, deadlock: true},
			{name: "first the one, then above it", cleans: []string{"ship"}, before: []string{"ship"}, after: []string{"above"}, deadlock: true},
			{name: "a part of what cleans up", cleans: []string{"above"}, before: []string{"above"}, deadlock: true},
			{name: "the one, above which is cleaned up", cleans: []string{"above"}, before: []string{"above"}, after: []string{"ship"}},
			{name: "cancelled while it cleans up after a failure", cleans: []string{"ship", "other"}, after: []string{"ship"}},
			{name: "above it while it cleans up after a failure", cleans: []string{"ship", "other"}, after: []string{"above"}},
			{name: "it has not heard of it yet", before: []string{"ship"}},
			{name: "what it is a part of has not heard of it yet", before: []string{"above"}},
			{name: "somebody's clock is wrong", cleans: []string{"ship", "other"}, after: []string{"ship"}, later: 2 * cancelReaches, deadlock: true},
		} {
			t.Run(test.name, func(t *testing.T) {
				var open []*Execution
				run := func(name string, p *Pipeline, under *Execution) *Execution {
					d := *p
					d.Phases = []PipelinePhase{{RunAlways: slices.Contains(test.cleans, name)}}
					e := h.run(&d, under)
					open = append(open, e)
					c.move(time.Second)
					return e
				}
				byName := map[string]*Execution{}
				cancel := func(names []string) {
					for _, name := range names {
						_, err := s.RequestCancel(ctx, byName[name].ID, "ann", nil)
						require.NoError(t, err)
						c.move(time.Second)
					}
				}
				byName["above"] = run("above", above, nil)
				if slices.Contains(test.cleans, "above") {
					cancel(test.before)
				}
				byName["ship"], byName["other"] = run("ship", ship, byName["above"]), run("other", other, nil)
				if !slices.Contains(test.cleans, "above") {
					cancel(test.before)
				}
				run("part", other, run("between", between, byName["ship"]))
				last := run("part", ship, byName["other"])
				cancel(test.after)
				c.move(test.later)
				d, err := s.FindDeadlock(ctx)
				require.NoError(t, err)
				if !test.deadlock {
					require.Nil(t, d)
				} else if assert.NotNil(t, d) {
					require.Equal(t, last.ID, d.ExecutionID)
					require.Contains(t, d.Reason, "it would wait for ever: ")
				}
				for _, e := range open {
					h.end(e)
				}
			})
		}
	})
}

// What a time limit ends is left to it: those that wait for each other go on when it has passed. A limit that cannot reach
// what waits is none: that of an execution that has not begun, or above a phase that also runs after the limit has passed.
func TestR7TimeLimitsEndWhatWaits(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		ship := h.pipeline
		other, above := h.newPipeline("other", ship.Limits), h.newPipeline("above", Limits{})
		// Each in the ring has the place that the part of the other waits for. The names are those of whose snapshots are
		// limited, and of those that have one phase, which cleans up.
		ring := func(limited, cleans string) *Deadlock {
			var open []*Execution
			run := func(name string, p *Pipeline, under *Execution) *Execution {
				d := *p
				if name == limited {
					d.Limits.TimeLimit = MaxTimeLimit
				}
				if name == cleans {
					d.Phases = []PipelinePhase{{RunAlways: true}}
				}
				e := h.run(&d, under)
				open = append(open, e)
				return e
			}
			top := run("top", above, nil)
			holdsShip, holdsOther := run("holder", ship, top), run("other", other, nil)
			run("waiter", other, holdsShip)
			run("last", ship, holdsOther)
			d, err := s.FindDeadlock(ctx)
			require.NoError(t, err)
			if d != nil {
				require.Equal(t, open[4].ID, d.ExecutionID)
			}
			for _, e := range open {
				h.end(e)
			}
			return d
		}
		for _, c := range []struct {
			limited, cleans string
			ends            bool
		}{
			{"", "", false},
			{"holder", "", true},
			{"other", "", true},
			{"top", "", true},
			{"waiter", "", false},
			{"last", "", false},
			{"holder", "holder", false},
			{"top", "holder", false},
			{"top", "top", false},
			{"holder", "top", true},
			{"top", "waiter", true},
		} {
			require.Equal(t, c.ends, ring(c.limited, c.cleans) == nil, "%+v", c)
		}
	})
}

// What only waits for those that wait for each other goes on when one of them has given way: it is not the one to end, though
// it is younger.
func TestR7WhoWaitsForADeadlockIsLeft(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		ship := h.pipeline
		other, above := h.newPipeline("other", ship.Limits), h.newPipeline("above", Limits{})
		ship1, other1, above1 := h.run(ship, nil), h.run(other, nil), h.run(above, nil)
		h.run(other, ship1)
		last := h.run(ship, other1)
		waits := h.run(ship, above1)
		d, err := s.FindDeadlock(ctx)
		require.NoError(t, err)
		require.Equal(t, last.ID, d.ExecutionID)
		require.NotContains(t, d.Reason, "above")
		_, err = s.FinishExecution(ctx, last.ID, StatusFailed, d.Reason)
		require.NoError(t, err)
		d, err = s.FindDeadlock(ctx)
		require.NoError(t, err)
		require.Nil(t, d)
		h.end(other1)
		h.end(ship1)
		require.False(t, h.admit(waits).Queued)
	})
}
