//go:build bench

package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"slipway/models"
)

// TestTraceOne prints when each history event of one execution and of one bare workflow came, to see where time goes.
func TestTraceOne(t *testing.T) {
	one := newStack(t, stackOptions{})
	b := one.build(t, "one", models.BuildStep{RunBuild: true})
	bare := newBare(t, false, script)
	for range 5 {
		e, err := one.trigger(t.Context(), b)
		require.NoError(t, one.run(t.Context(), e, err))
		require.NoError(t, bare.run(t.Context(), 1, ""))
	}
	ours, theirs := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range 30 {
		begin := time.Now()
		e, err := one.trigger(t.Context(), b)
		require.NoError(t, err)
		ours["0 start"] = append(ours["0 start"], time.Since(begin))
		require.NoError(t, one.run(t.Context(), e, err))
		ours["9 total"] = append(ours["9 total"], time.Since(begin))
		history(t, one.Temporal, e.ID, begin, ours)
		begin = time.Now()
		r, err := bare.start(t.Context(), 1, "")
		require.NoError(t, err)
		theirs["0 start"] = append(theirs["0 start"], time.Since(begin))
		require.NoError(t, r.Get(t.Context(), nil))
		theirs["9 total"] = append(theirs["9 total"], time.Since(begin))
		history(t, bare.client, r.GetID(), begin, theirs)
	}
	for _, k := range slices.Sorted(maps.Keys(theirs)) {
		slices.Sort(ours[k])
		slices.Sort(theirs[k])
		fmt.Printf("%-40s ours %8v bare %8v\n", k, ours[k][len(ours[k])/2].Round(10*time.Microsecond), theirs[k][len(theirs[k])/2].Round(10*time.Microsecond))
	}
}

// history adds the time since the event before to each event's list.
func history(t *testing.T, c client.Client, id string, begin time.Time, into map[string][]time.Duration) {
	it := c.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	last := begin
	n := map[string]int{}
	for it.HasNext() {
		ev, err := it.Next()
		require.NoError(t, err)
		name := ev.GetEventType().String()
		if name == "MarkerRecorded" {
			continue
		}
		n[name]++
		k := fmt.Sprintf("%d %s", n[name], name)
		into[k] = append(into[k], ev.GetEventTime().AsTime().Sub(last))
		last = ev.GetEventTime().AsTime()
	}
}

// TestProfileOne runs executions for a while, to be looked at with -cpuprofile.
func TestProfileOne(t *testing.T) {
	one := newStack(t, stackOptions{})
	b := one.build(t, "one", models.BuildStep{RunBuild: true})
	s := measure(t, 400, 16, func(ctx context.Context) error {
		e, err := one.trigger(ctx, b)
		return one.run(ctx, e, err)
	})
	note("%.0f executions/s", s.rate())
}

// TestProfileTen does the same with builds of ten steps.
func TestProfileTen(t *testing.T) {
	one := newStack(t, stackOptions{})
	steps := make([]models.BuildStep, 10)
	for i := range steps {
		steps[i] = models.BuildStep{PlanLocation: fmt.Sprintf("p%d/escape.yml", i), RunBuild: true}
	}
	b := one.build(t, "ten", steps...)
	s := measure(t, 150, 16, func(ctx context.Context) error {
		e, err := one.trigger(ctx, b)
		return one.run(ctx, e, err)
	})
	note("%.0f executions/s", s.rate())
}
