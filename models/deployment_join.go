package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Writes of progress that come at the same time are joined: while one statement of an environment is under way, what comes
// meanwhile waits for the next one and is written by it, all in one. A write that finds none under way is executed at once,
// alone. So one client waits for nobody, and many at once pay for one round trip and one transaction together. Environments
// do not wait for each other: one whose rows somebody holds, for an import, say, must not hold up all others.
const (
	// maxJoined is how many writes one statement takes.
	maxJoined = 32
	// joinTimeout bounds a statement that no single request bounds.
	joinTimeout = 30 * time.Second
)

// deploymentWrites are the writes of progress of one process.
type deploymentWrites struct {
	mu sync.Mutex
	// waiting has an entry for each environment of which a statement is under way.
	waiting map[string][]*deploymentWrite
}

type deploymentWrite struct {
	row  deployment
	done chan error // takes one
}

// put writes a row, alone or with others. A write that was given up while it waited is not made. One that has begun is
// waited for, whatever becomes of its caller: else it could come behind a newer write for the same place.
func (w *deploymentWrites) put(ctx context.Context, s *Store, row deployment) error {
	id := row.EnvironmentID
	w.mu.Lock()
	waiting, busy := w.waiting[id]
	if !busy {
		w.waiting[id] = nil
		w.mu.Unlock()
		err := s.putDeployment(ctx, row)
		if batch := w.next(id); batch != nil {
			go w.goOn(s, id, batch)
		}
		return err
	}
	mine := &deploymentWrite{row: row, done: make(chan error, 1)}
	w.waiting[id] = append(waiting, mine)
	w.mu.Unlock()
	select {
	case err := <-mine.done:
		return err
	case <-ctx.Done():
	}
	w.mu.Lock()
	at := slices.Index(w.waiting[id], mine)
	if at >= 0 {
		w.waiting[id] = slices.Delete(w.waiting[id], at, at+1)
	}
	w.mu.Unlock()
	if at >= 0 {
		return ctx.Err()
	}
	return <-mine.done
}

// next gives the writes of an environment that wait, to whoever has executed a statement of it; nil says that there are none,
// and that it is done.
func (w *deploymentWrites) next(environmentID string) []*deploymentWrite {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.waiting[environmentID]
	if len(waiting) == 0 {
		delete(w.waiting, environmentID)
		return nil
	}
	n := min(len(waiting), maxJoined)
	batch := slices.Clone(waiting[:n])
	w.waiting[environmentID] = slices.Delete(waiting, 0, n)
	return batch
}

// goOn executes what waits of an environment until nothing does.
func (w *deploymentWrites) goOn(s *Store, environmentID string, batch []*deploymentWrite) {
	for ; batch != nil; batch = w.next(environmentID) {
		ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
		s.putTogether(ctx, batch)
		cancel()
	}
}

// putTogether writes rows of one environment in one statement. Where that fails each is written alone, so that none fails
// over another one.
func (s *Store) putTogether(ctx context.Context, batch []*deploymentWrite) {
	rows := make([]deployment, len(batch))
	for i, w := range batch {
		rows[i] = w.row
	}
	// They came at the same time, so any order among places will do: the one in which a root stands before what is nested
	// in it, as in the statement of PutDeploymentAudited, lets no two statements wait for each other. Of several writes for
	// one place the last one stands: the sort keeps their order.
	place := func(a, b deployment) int {
		return cmp.Or(strings.Compare(a.Root, b.Root), strings.Compare(a.RootStage, b.RootStage), strings.Compare(a.Path, b.Path))
	}
	slices.SortStableFunc(rows, place)
	last := rows[:0]
	for i, r := range rows {
		if i+1 == len(rows) || place(r, rows[i+1]) != 0 {
			last = append(last, r)
		}
	}
	err := s.putDeploymentRows(ctx, last)
	for _, w := range batch {
		if err != nil && len(batch) > 1 {
			w.done <- s.putDeployment(ctx, w.row)
			continue
		}
		w.done <- err
	}
}

// putDeploymentRows is putDeployment for several rows of different places, on PostgreSQL.
func (s *Store) putDeploymentRows(ctx context.Context, rows []deployment) error {
	values := make([]any, 0, 7*len(rows))
	for _, r := range rows {
		values = append(values, r.EnvironmentID, r.Root, r.RootStage, r.Path, r.Content, r.UpdatedBy, r.UpdatedAt)
	}
	return foreignKeyNotFound(s.execRaw(ctx, putRowsPostgres[len(rows)], values))
}

// putRowsPostgres are the statements that write so many rows. There are few of them, so the database keeps their plans.
var putRowsPostgres = func() (texts [maxJoined + 1]string) {
	for n := range texts {
		rows := make([]string, n)
		for i := range rows {
			at := 7 * i
			rows[i] = fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d, $%d)", at+1, at+2, at+3, at+4, at+5, at+6, at+7)
		}
		texts[n] = putDeploymentInto + strings.Join(rows, ", ") + putDeploymentOver
	}
	return texts
}()
