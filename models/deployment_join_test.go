package models

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/state"
	"slipway/internal/testenv"
)

// progress is what a client writes while a version is being deployed.
func progress(s *Store, version string) *state.Deployment {
	d := &state.Deployment{Release: "shop/web"}
	stage := d.EnsureStage(state.StageDeploy)
	stage.Version, stage.Status = version, &state.Status{Code: state.RunningMainStep, UpdatedAt: s.Now()}
	return d
}

// beginJoin lets somebody else's statement be under way in the shop's environment, one that is never late.
func (h *shop) beginJoin() *deploymentStatement {
	j := h.s.joins
	j.mu.Lock()
	defer j.mu.Unlock()
	q := &deploymentQueue{}
	j.queues[h.env.ID] = q
	theirs := j.begin(h.s, q, []*deploymentWrite{{row: deployment{EnvironmentID: h.env.ID}}})
	theirs.timer.Stop()
	return theirs
}

// joining is how many writes wait in the shop's environment; -1 where no statement is under way for which they could.
func (h *shop) joining() int {
	h.s.joins.mu.Lock()
	defer h.s.joins.mu.Unlock()
	if q := h.s.joins.queues[h.env.ID]; q != nil {
		return len(q.waiting)
	}
	return -1
}

// awaitJoining waits until n writes wait.
func (h *shop) awaitJoining(ctx context.Context, n int) {
	h.t.Helper()
	for h.joining() < n {
		require.NoError(h.t, ctx.Err())
		runtime.Gosched()
	}
}

// Writes that come at the same time are written together, and each is answered for itself.
func TestWritesOfProgressAreJoined(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		if s.joins == nil {
			return // one writer
		}
		ctx := t.Context()
		h := newShop(t, s)
		by := "ann"
		put := func(ctx context.Context, environment, root, path, version string) error {
			stage := state.StageDeploy
			names := []string{root, path}
			if path == "" {
				names, stage = names[:1], ""
			}
			return s.PutDeployment(ctx, environment, root, names, stage, progress(s, version), by)
		}

		s.joins.patience = time.Hour // nothing is late
		theirs := h.beginJoin()
		errs := map[string]error{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		send := func(ctx context.Context, name, environment, root, path, version string) {
			n := h.joining()
			wg.Go(func() {
				err := put(ctx, environment, root, path, version)
				mu.Lock()
				errs[name] = err
				mu.Unlock()
			})
			h.awaitJoining(ctx, n+1)
		}
		for i := range 20 {
			send(ctx, fmt.Sprint("nested", i), h.env.ID, "web", fmt.Sprint("part", i), "1")
		}
		send(ctx, "root", h.env.ID, "web", "", "1")
		send(ctx, "first", h.env.ID, "other", "", "1")
		send(ctx, "last", h.env.ID, "other", "", "2")
		given, giveUp := context.WithCancel(ctx)
		send(given, "given up", h.env.ID, "never", "", "1")
		giveUp()
		for h.joining() > 23 {
			require.NoError(t, ctx.Err())
			runtime.Gosched()
		}
		statements := countStatements(t, s)
		s.joins.goOn(s, s.joins.end(s, theirs))
		wg.Wait()
		require.Equal(t, 1, statements())
		require.ErrorIs(t, errs["given up"], context.Canceled)
		delete(errs, "given up")
		for name, err := range errs {
			require.NoError(t, err, name)
		}
		require.Len(t, errs, 23)
		e, err := s.EnvironmentState(ctx, h.env.ID)
		require.NoError(t, err)
		require.Len(t, e.Deployments["web"].Stages[state.StageDeploy].Deployments, 20, "a root stands before what is nested in it")
		require.Equal(t, "2", e.Deployments["other"].Stages[state.StageDeploy].Version, "of one place the last one")
		require.NotContains(t, e.Deployments, "never")

		// One that cannot be written fails alone, and other environments wait for nobody.
		theirs = h.beginJoin()
		other := &Environment{ProjectID: h.project.ID, Name: "other"}
		require.NoError(t, s.CreateEnvironment(ctx, other))
		require.NoError(t, put(ctx, other.ID, "web", "", "1"))
		require.ErrorIs(t, put(ctx, NewID(), "web", "", "1"), ErrNotFound)
		send(ctx, "good", h.env.ID, "good", "", "1")
		by = strings.Repeat("a", 300)
		send(ctx, "bad", h.env.ID, "bad", "", "1")
		s.joins.goOn(s, s.joins.end(s, theirs))
		wg.Wait()
		require.NoError(t, errs["good"])
		require.ErrorContains(t, errs["bad"], "too long")
		require.Empty(t, s.joins.queues)
		by = "ann"
		require.NoError(t, put(ctx, h.env.ID, "good", "", "2"), "who is alone waits for nobody")
	})
}

// A row that somebody holds, for an import say, holds up the writes of its root only, whether or not they were joined.
func TestWritesOfProgressGoPastARowThatIsHeld(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		if s.joins == nil {
			return // one writer
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		h := newShop(t, s)
		put := func(s *Store, root, version string) error {
			return s.PutDeployment(ctx, h.env.ID, root, []string{root}, "", progress(s, version), "ann")
		}
		held := func(while func()) {
			require.NoError(t, s.Tx(ctx, func(tx *Store) error {
				err := put(tx, "web", "held")
				while()
				return err
			}))
		}
		version := func(root string) string {
			e, err := s.EnvironmentState(t.Context(), h.env.ID)
			require.NoError(t, err)
			return e.Deployments[root].Stages[state.StageDeploy].Version
		}
		require.NoError(t, put(s, "web", "0"))

		var wg sync.WaitGroup
		var first, second error
		held(func() {
			wg.Go(func() { first = put(s, "web", "1") })
			h.awaitJoining(ctx, 0)
			wg.Go(func() { second = put(s, "web", "2") })
			h.awaitJoining(ctx, 1)
			for i := range 3 {
				require.NoError(t, put(s, "other", fmt.Sprint(i)))
			}
			require.Equal(t, "2", version("other"))
			require.Equal(t, "0", version("web"))
		})
		wg.Wait()
		require.NoError(t, first)
		require.NoError(t, second)
		require.Equal(t, "2", version("web"), "a root's writes stay in order")

		// As many as come at once are joined, and parted over the one row.
		errs := make([]error, 4)
		held(func() {
			theirs := h.beginJoin()
			var others sync.WaitGroup
			for i, root := range []string{"a", "z", "web", "web"} {
				in := &others
				if root == "web" {
					in = &wg
				}
				in.Go(func() { errs[i] = put(s, root, fmt.Sprint("joined", i)) })
				h.awaitJoining(ctx, i+1)
			}
			s.joins.goOn(s, s.joins.end(s, theirs))
			others.Wait()
			require.Equal(t, "joined0", version("a"))
			require.Equal(t, "joined1", version("z"))
			require.NoError(t, put(s, "a", "newer"))
			require.NoError(t, ctx.Err())
		})
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, []string{"newer", "joined1", "joined3"}, []string{version("a"), version("z"), version("web")})
		left := func() int {
			s.joins.mu.Lock()
			defer s.joins.mu.Unlock()
			return len(s.joins.queues)
		}
		for left() > 0 {
			require.NoError(t, ctx.Err(), "nothing is under way any more")
			runtime.Gosched()
		}
	})
}

// A write that panics holds up nobody, and one that panics for others is answered.
func TestWritesOfProgressGoOnAfterAPanic(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		if s.joins == nil {
			return // one writer
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		h := newShop(t, s)
		var broken atomic.Bool
		f := &Faults{Before: func() error {
			if broken.Load() {
				panic("out of cheese")
			}
			return nil
		}}
		require.NoError(t, f.install(s.write))
		row := deployment{EnvironmentID: h.env.ID, Root: "web", Path: "web", Content: []byte("{}"), UpdatedBy: "ann", UpdatedAt: s.Now()}
		broken.Store(true)
		require.Panics(t, func() { _ = s.joins.put(ctx, s, row) })
		w := &deploymentWrite{row: row, done: make(chan error, 1)}
		s.putTogether(ctx, &deploymentStatement{environmentID: h.env.ID, writes: []*deploymentWrite{w}})
		require.ErrorContains(t, <-w.done, "out of cheese")
		broken.Store(false)
		require.NoError(t, s.joins.put(ctx, s, row))
	})
}

// R4: a statement that fails, or succeeds and does not say so, costs no write of the others.
func TestR4JoinedWritesUnderFaults(t *testing.T) {
	var n int
	var mu sync.Mutex
	fault := func() error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%3 == 0 {
			return ErrFault
		}
		return nil
	}
	url := testenv.PostgresTemplate(t, "models", func(url string) error {
		s, err := Open(context.Background(), url, Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Migrate(context.Background())
	})
	good, err := Open(t.Context(), url, Options{})
	require.NoError(t, err)
	defer good.Close()
	h := newShop(t, good)
	s, err := Open(t.Context(), url, Options{Faults: &Faults{Before: fault, After: fault}})
	require.NoError(t, err)
	defer s.Close()
	s.UseEncrypter(plain{})
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := range 40 {
				for {
					name := fmt.Sprint("app", c)
					if s.PutDeployment(t.Context(), h.env.ID, name, []string{name}, "", progress(s, fmt.Sprint(i)), "ann") == nil {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	e, err := good.EnvironmentState(t.Context(), h.env.ID)
	require.NoError(t, err)
	for c := range 16 {
		require.Equal(t, "39", e.Deployments[fmt.Sprint("app", c)].Stages[state.StageDeploy].Version)
	}
}
