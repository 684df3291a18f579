//go:build bench

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"slipway/models"
)

// TestTraceOne prints when each history event of one execution and of one bare workflow came, to see where time goes.
func TestTraceOne(t *testing.T) {
	one := newStack(t, stackOptions{files: planFiles(10)})
	b := one.build(t, "one", models.BuildStep{RunBuild: true})
	bare := newBare(t, false, script)
	for range 5 {
		e, err := one.trigger(t.Context(), b)
		require.NoError(t, one.run(t.Context(), e, err))
		require.NoError(t, bare.run(t.Context(), 1, ""))
	}
	println("=====")
	begin := time.Now()
	e, err := one.trigger(t.Context(), b)
	triggered := time.Since(begin)
	require.NoError(t, one.run(t.Context(), e, err))
	fmt.Printf("ours: trigger %v, total %v\n", triggered, time.Since(begin))
	println("=====END")
	printHistory(t, one.Temporal, e.ID, begin)
	begin = time.Now()
	r, err := bare.start(t.Context(), 1, "")
	require.NoError(t, err)
	triggered = time.Since(begin)
	require.NoError(t, r.Get(t.Context(), nil))
	fmt.Printf("bare: start %v, total %v\n", triggered, time.Since(begin))
	printHistory(t, bare.client, r.GetID(), begin)
}

func printHistory(t *testing.T, c client.Client, id string, begin time.Time) {
	it := c.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		ev, err := it.Next()
		require.NoError(t, err)
		fmt.Printf("  %6.1f ms %s\n", float64(ev.GetEventTime().AsTime().Sub(begin).Microseconds())/1000, ev.GetEventType())
	}
}
