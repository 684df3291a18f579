//go:build bench

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"slipway/internal/testenv"
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

// TestTraceStatements prints the statements that one execution of one script, and one of ten, sends to PostgreSQL.
func TestTraceStatements(t *testing.T) {
	for _, steps := range []int{1, 10} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			address := testenv.Postgres(t)
			u, err := url.Parse(address)
			require.NoError(t, err)
			db, err := sql.Open("pgx", address)
			require.NoError(t, err)
			// Of this database alone, and only for connections that are made from now on.
			_, err = db.Exec("ALTER DATABASE \"" + strings.TrimPrefix(u.Path, "/") + "\" SET log_statement = 'all'")
			require.NoError(t, err)
			require.NoError(t, db.Close())
			log := filepath.Join(u.Query().Get("host"), "log")
			one := newStack(t, stackOptions{database: address})
			b := one.build(t, "one", stepsOf(steps)...)
			run := func() {
				e, err := one.trigger(t.Context(), b)
				require.NoError(t, one.run(t.Context(), e, err))
			}
			run()
			before, err := os.Stat(log)
			require.NoError(t, err)
			run()
			text, err := os.ReadFile(log)
			require.NoError(t, err)
			n := 0
			for _, line := range strings.Split(string(text[before.Size():]), "\n") {
				_, statement, ok := strings.Cut(line, "LOG:  ")
				if !ok {
					continue
				}
				n++
				if len(statement) > 200 {
					statement = statement[:200] + "..."
				}
				fmt.Println("   ", statement)
			}
			note("%d scripts: %d statements", steps, n)
		})
	}
}
