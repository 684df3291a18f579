package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Writes of progress that come at the same time are joined: while one statement of an environment is under way, what comes
// meanwhile waits for the next one and is written by it, all in one. A write that finds none under way is executed at once,
// alone. So one client waits for nobody, and many at once pay for one round trip and one transaction together.
//
// A row that somebody holds must not hold up what has nothing to do with it. Environments do not wait for each other. Within
// one, the others go past a statement that is late; and one of several roots gives up waiting for a row, and each root is
// written for itself. The writes of one root stay in their order all the time.
const (
	// maxJoined is how many writes one statement takes.
	maxJoined = 32
	// joinTimeout bounds a statement that no single request bounds.
	joinTimeout = 30 * time.Second
	// joinPatience is after what time a statement is late. Few take as long that do not wait for a lock; where all do, as many
	// are under way as there would be without joining, at most.
	joinPatience = 50 * time.Millisecond
)

// deploymentWrites are the writes of progress of one process.
type deploymentWrites struct {
	patience time.Duration
	mu       sync.Mutex
	// queues has those environments of which a statement is under way.
	queues map[string]*deploymentQueue
}

func newDeploymentWrites() *deploymentWrites {
	return &deploymentWrites{patience: joinPatience, queues: map[string]*deploymentQueue{}}
}

// deploymentQueue are the writes of one environment. While current is nil, all that waits is for roots of late statements.
type deploymentQueue struct {
	waiting []*deploymentWrite
	// current is the statement that all wait for.
	current *deploymentStatement
	// late are those that only writes for their roots wait for.
	late []*deploymentStatement
}

// deploymentStatement is a statement under way, of one environment.
type deploymentStatement struct {
	environmentID string
	writes        []*deploymentWrite
	timer         *time.Timer
}

type deploymentWrite struct {
	row  deployment
	done chan error // takes one
}

func (t *deploymentStatement) has(root string) bool {
	return slices.ContainsFunc(t.writes, func(w *deploymentWrite) bool { return w.row.Root == root })
}

func (q *deploymentQueue) isLate(root string) bool {
	return slices.ContainsFunc(q.late, func(t *deploymentStatement) bool { return t.has(root) })
}

// put writes a row, alone or with others. A write that was given up while it waited is not made. One that has begun is
// waited for, whatever becomes of its caller: else it could come behind a newer write for the same place.
func (w *deploymentWrites) put(ctx context.Context, s *Store, row deployment) error {
	id, mine := row.EnvironmentID, &deploymentWrite{row: row, done: make(chan error, 1)}
	w.mu.Lock()
	q := w.queues[id]
	if q == nil {
		q = &deploymentQueue{}
		w.queues[id] = q
	}
	if q.current == nil && !q.isLate(row.Root) {
		alone := w.begin(s, q, []*deploymentWrite{mine})
		w.mu.Unlock()
		defer func() { // a panic, too, lets the others go on
			if next := w.end(s, alone); next != nil {
				go w.goOn(s, next)
			}
		}()
		return s.putDeployment(ctx, row)
	}
	q.waiting = append(q.waiting, mine)
	w.mu.Unlock()
	select {
	case err := <-mine.done:
		return err
	case <-ctx.Done():
	}
	w.mu.Lock()
	at := slices.Index(q.waiting, mine)
	if at >= 0 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
	w.mu.Unlock()
	if at >= 0 {
		return ctx.Err()
	}
	return <-mine.done
}

// begin makes writes the current statement of their environment. The caller holds mu, and executes it.
func (w *deploymentWrites) begin(s *Store, q *deploymentQueue, writes []*deploymentWrite) *deploymentStatement {
	t := &deploymentStatement{environmentID: writes[0].row.EnvironmentID, writes: writes}
	q.current = t
	t.timer = time.AfterFunc(w.patience, func() { w.goOn(s, w.pass(s, t)) })
	return t
}

// pass lets the others go past a statement that is late, and gives the one that is to be executed meanwhile.
func (w *deploymentWrites) pass(s *Store, t *deploymentStatement) *deploymentStatement {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queues[t.environmentID]
	if q == nil || q.current != t {
		return nil
	}
	q.current, q.late = nil, append(q.late, t)
	return w.next(s, q)
}

// end takes a statement off that was executed, and puts the parts in its place that are under way instead. It gives the
// statement that is to be executed next; nil says that there is none.
func (w *deploymentWrites) end(s *Store, t *deploymentStatement, parts ...*deploymentStatement) *deploymentStatement {
	t.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queues[t.environmentID]
	if q.current == t {
		q.current = nil
	}
	q.late = append(slices.DeleteFunc(q.late, func(other *deploymentStatement) bool { return other == t }), parts...)
	next := w.next(s, q)
	if q.current == nil && len(q.late) == 0 {
		delete(w.queues, t.environmentID) // then nothing waits either
	}
	return next
}

// next begins a statement of what waits, as far as none is under way for its root; nil says that there is nothing to begin.
func (w *deploymentWrites) next(s *Store, q *deploymentQueue) *deploymentStatement {
	if q.current != nil || len(q.waiting) == 0 {
		return nil
	}
	var writes []*deploymentWrite
	rest := q.waiting[:0:0]
	for _, x := range q.waiting {
		if len(writes) == maxJoined || len(q.late) > 0 && q.isLate(x.row.Root) {
			rest = append(rest, x)
		} else {
			writes = append(writes, x)
		}
	}
	q.waiting = rest
	if writes == nil {
		return nil
	}
	return w.begin(s, q, writes)
}

// goOn executes a statement, and then what waits, until nothing does.
func (w *deploymentWrites) goOn(s *Store, t *deploymentStatement) {
	for t != nil {
		ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
		parts := s.putTogether(ctx, t)
		cancel()
		t = w.end(s, t, parts...)
		for _, part := range parts {
			go w.goOn(s, part)
		}
	}
}

// byRoot gives a statement for each root of one, in its order, or nil where it has only one.
func (t *deploymentStatement) byRoot() (parts []*deploymentStatement) {
	at := map[string]*deploymentStatement{}
	for _, w := range t.writes {
		part := at[w.row.Root]
		if part == nil {
			part = &deploymentStatement{environmentID: t.environmentID, timer: time.NewTimer(0)}
			at[w.row.Root], parts = part, append(parts, part)
		}
		part.writes = append(part.writes, w)
	}
	if len(parts) == 1 {
		return nil
	}
	return parts
}

// putTogether writes rows of one environment in one statement, and answers their writers. Where that fails each is written
// alone, so that none fails over another one. Where somebody holds a row of one of several roots nothing is written, and it
// gives what to write apart.
func (s *Store) putTogether(ctx context.Context, t *deploymentStatement) (parts []*deploymentStatement) {
	batch := t.writes
	defer func() {
		if p := recover(); p != nil { // nobody else would answer them
			for _, w := range batch {
				select {
				case w.done <- fmt.Errorf("write progress: panic: %v\n%s", p, debug.Stack()):
				default:
				}
			}
		}
	}()
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
	if isLockTimeout(err) {
		if parts = t.byRoot(); parts != nil {
			return parts
		}
	}
	for _, w := range batch {
		if err != nil && len(batch) > 1 {
			w.done <- s.putDeployment(ctx, w.row)
			continue
		}
		w.done <- err
	}
	return nil
}

// putDeploymentRows is putDeployment for several rows of different places, sorted, on PostgreSQL. Rows of several roots wait
// for locks as long as joinPatience only, see isLockTimeout.
func (s *Store) putDeploymentRows(ctx context.Context, rows []deployment) error {
	values := make([]any, 0, 7*len(rows))
	for _, r := range rows {
		values = append(values, r.EnvironmentID, r.Root, r.RootStage, r.Path, r.Content, r.UpdatedBy, r.UpdatedAt)
	}
	texts := &putRowsPostgres
	if rows[0].Root != rows[len(rows)-1].Root {
		texts = &putRootsPostgres
	}
	return foreignKeyNotFound(s.execRaw(ctx, texts[len(rows)], values))
}

// putRowsPostgres are the statements that write so many rows, putRootsPostgres those that do not wait for locks for long. There
// are few of them, so the database keeps their plans. The limit is set with the first value, so before any row is locked, and
// it ends with the statement.
var (
	putRowsPostgres  = putRowsTexts("$1")
	putRootsPostgres = putRowsTexts(fmt.Sprintf("CASE WHEN set_config('lock_timeout', '%d', true) <> '' THEN $1::varchar END", joinPatience.Milliseconds()))
)

func putRowsTexts(first string) (texts [maxJoined + 1]string) {
	for n := range texts {
		rows := make([]string, n)
		for i := range rows {
			at := 7 * i
			rows[i] = fmt.Sprintf("(%s, $%d, $%d, $%d, $%d, $%d, $%d)", first, at+2, at+3, at+4, at+5, at+6, at+7)
			if i > 0 {
				rows[i] = fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d, $%d)", at+1, at+2, at+3, at+4, at+5, at+6, at+7)
			}
		}
		texts[n] = putDeploymentInto + strings.Join(rows, ", ") + putDeploymentOver
	}
	return texts
}

// isLockTimeout says that a statement gave up waiting for a lock. Then it has written nothing.
func isLockTimeout(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03"
}
