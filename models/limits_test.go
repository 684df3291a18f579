package models

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/problem"
	"slipway/policies"
)

// shop is a project with one environment, a build, a deployment job and a pipeline.
type shop struct {
	t        *testing.T
	s        *Store
	project  *Project
	env      *Environment
	build    *Build
	job      *DeploymentJob
	pipeline *Pipeline
	by       policies.Subject
}

func newShop(t *testing.T, s *Store) *shop {
	t.Helper()
	ctx := t.Context()
	s.UseEncrypter(plain{})
	h := &shop{t: t, s: s, project: &Project{Name: "shop"}}
	require.NoError(t, s.CreateProject(ctx, h.project))
	h.env = &Environment{ProjectID: h.project.ID, Name: "dev"}
	require.NoError(t, s.CreateEnvironment(ctx, h.env))
	h.build = &Build{ProjectID: h.project.ID, EnvironmentID: h.env.ID, Name: "web", ProjectName: "shop", EnvironmentName: "dev"}
	require.NoError(t, s.CreateBuild(ctx, h.build, BuildSecrets{}))
	h.job = &DeploymentJob{ProjectID: h.project.ID, EnvironmentID: h.env.ID, Name: "web", Deployment: "web", ProjectName: "shop", EnvironmentName: "dev"}
	require.NoError(t, s.CreateDeploymentJob(ctx, h.job))
	h.pipeline = &Pipeline{ProjectID: h.project.ID, Name: "ship", ProjectName: "shop"}
	require.NoError(t, s.CreatePipeline(ctx, h.pipeline))
	return h
}

type plain struct{}

func (plain) Encrypt(b []byte, _ string) ([]byte, error) { return b, nil }
func (plain) Decrypt(b []byte, _ string) ([]byte, error) { return b, nil }

// limit sets the limits of the shop's build, job and pipeline alike.
func (h *shop) limit(max int, busy string) (next []string) {
	h.t.Helper()
	l := Limits{MaxParallel: max, WhenBusy: busy}
	for kind, id := range map[string]string{KindBuild: h.build.ID, KindDeployment: h.job.ID, KindPipeline: h.pipeline.ID} {
		woken, err := h.s.SetLimits(h.t.Context(), kind, id, l)
		require.NoError(h.t, err)
		next = append(next, woken...)
	}
	h.build.Limits, h.job.Limits, h.pipeline.Limits = l, l, l
	return next
}

// trigger records an execution of a kind; under names the execution that it is a part of.
func (h *shop) trigger(kind string, under *Execution) (*Execution, error) {
	n := NewExecution{Kind: kind, ProjectID: h.project.ID, By: h.by}
	switch kind {
	case KindBuild:
		n.SubjectID, n.SubjectName, n.EnvironmentID, n.Definition = h.build.ID, h.build.Name, h.env.ID, h.build.Definition()
	case KindDeployment:
		n.SubjectID, n.SubjectName, n.EnvironmentID, n.Definition = h.job.ID, h.job.Name, h.env.ID, h.job.Definition(ActionDeploy)
	case KindPipeline:
		n.SubjectID, n.SubjectName, n.Definition = h.pipeline.ID, h.pipeline.Name, h.pipeline.Definition()
		n.Steps = []ExecutionStep{{Name: "a", Type: StepBuild, Status: StatusQueued}}
	}
	if under != nil {
		n.ParentID, n.RootID = under.ID, under.RootID
	}
	e, _, err := h.s.CreateExecution(h.t.Context(), n)
	return e, err
}

// newPipeline adds a pipeline to the shop's own.
func (h *shop) newPipeline(name string, l Limits) *Pipeline {
	h.t.Helper()
	p := &Pipeline{ProjectID: h.project.ID, Name: name, ProjectName: h.project.Name}
	require.NoError(h.t, h.s.CreatePipeline(h.t.Context(), p))
	_, err := h.s.SetLimits(h.t.Context(), KindPipeline, p.ID, l)
	require.NoError(h.t, err)
	p.Limits = l
	return p
}

// run triggers an execution of a pipeline, a part of another one's where under is that, and claims it.
func (h *shop) run(p *Pipeline, under *Execution) *Execution {
	h.t.Helper()
	mine := h.pipeline
	h.pipeline = p
	e, err := h.trigger(KindPipeline, under)
	h.pipeline = mine
	require.NoError(h.t, err)
	h.claim(e)
	return e
}

func (h *shop) triggered(kind string) *Execution {
	h.t.Helper()
	e, err := h.trigger(kind, nil)
	require.NoError(h.t, err)
	return e
}

// changes names the deployments of a kind, for its claim.
func changes(kind string) func(*Execution) ([]string, error) {
	if kind == KindDeployment {
		return change("web")
	}
	return nil
}

func (h *shop) claim(e *Execution) *Claim {
	h.t.Helper()
	c, err := h.s.ClaimExecution(h.t.Context(), e.ID, "run", changes(e.Kind))
	require.NoError(h.t, err)
	return c
}

func (h *shop) admit(e *Execution) *Claim {
	h.t.Helper()
	c, err := h.s.Admit(h.t.Context(), e.ID, changes(e.Kind))
	require.NoError(h.t, err)
	return c
}

func (h *shop) end(e *Execution) []string {
	h.t.Helper()
	next, err := h.s.FinishExecution(h.t.Context(), e.ID, StatusOK, "")
	require.NoError(h.t, err)
	return next
}

func (h *shop) row(e *Execution) *Execution {
	h.t.Helper()
	got, err := h.s.ExecutionByID(h.t.Context(), e.ID)
	require.NoError(h.t, err)
	return got
}

// R7: as many run side by side as the limit says, the others wait in the order of their numbers, whichever workflow is
// quicker, and the end of one gives its place to the next in the same transaction.
func TestR7PlacesAreGivenInTheOrderOfNumbers(t *testing.T) {
	for _, kind := range []string{KindBuild, KindDeployment, KindPipeline} {
		t.Run(kind, func(t *testing.T) {
			onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
				h := newShop(t, s)
				h.limit(2, BusyQueue)
				if kind == KindDeployment {
					h.limit(1, BusyQueue) // a second one would wait for the deployment anyway
				}
				var es []*Execution
				for range 5 {
					es = append(es, h.triggered(kind))
				}
				places := h.build.Limits.MaxParallel
				for i := len(es) - 1; i >= 0; i-- {
					claim := h.claim(es[i])
					require.Equal(t, i >= places, claim.Queued, "execution %d", i+1)
					require.False(t, claim.Waiting)
					row := h.row(es[i])
					require.Equal(t, i >= places, row.Status == StatusQueued)
					require.Equal(t, i >= places, row.StartedAt == nil, "what waits has not started")
				}
				require.True(t, h.admit(es[4]).Queued, "asking is not getting")
				require.Equal(t, StatusQueued, h.row(es[4]).Status)
				for i := range len(es) - places {
					require.Equal(t, []string{es[i+places].ID}, h.end(es[i]))
					got := h.admit(es[i+places])
					require.False(t, got.Queued)
					require.False(t, got.Waiting)
					row := h.row(es[i+places])
					require.Equal(t, StatusRunning, row.Status)
					require.NotNil(t, row.StartedAt)
				}
				for _, e := range es[len(es)-places:] {
					require.Empty(t, h.end(e))
				}
				queue, err := s.LockQueue(t.Context(), es[0].SubjectID)
				require.NoError(t, err)
				require.Empty(t, queue)
				require.False(t, h.claim(h.triggered(kind)).Queued, "the place is free again")
			})
		})
	}
}

// A signal that did not arrive is repeated until the workflow has asked, and no longer.
func TestR7GrantsOfPlacesAreRepeatedUntilTheyAreSeen(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		unseen := func() []string {
			ids, err := s.LocksUnseen(t.Context(), s.Now().Add(time.Hour))
			require.NoError(t, err)
			return ids
		}
		h.limit(1, BusyQueue)
		first, second, third := h.triggered(KindBuild), h.triggered(KindBuild), h.triggered(KindBuild)
		h.claim(first)
		h.claim(second)
		require.Empty(t, unseen(), "a free place is no news")
		h.end(first)
		require.Equal(t, []string{second.ID}, unseen())
		h.admit(second)
		require.Empty(t, unseen())
		h.end(second)
		require.Empty(t, unseen(), "one that is not claimed yet will find its place free when it is")
		require.False(t, h.claim(third).Queued)
		require.Empty(t, unseen())
		// It then waits for a deployment: its place is still no news.
		holder := h.triggered(KindDeployment)
		require.False(t, h.claim(holder).Waiting)
		waiting, err := s.WaitForLocks(t.Context(), third.ID, []string{"web"})
		require.NoError(t, err)
		require.True(t, waiting)
		require.Empty(t, unseen())
		require.Equal(t, []string{third.ID}, h.end(holder))
		require.Equal(t, []string{third.ID}, unseen())
	})
}

// A ticket for the deployment that is drawn before the place is there is told once, not again and again.
func TestR7ALockThatComesBeforeThePlace(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		first, second := h.triggered(KindDeployment), h.triggered(KindDeployment)
		require.False(t, h.claim(first).Queued)
		require.True(t, h.claim(second).Queued)
		// The job goes on to another deployment: the lock of the second is free before its place is.
		h.end(first)
		require.False(t, h.admit(second).Waiting)
		unseen, err := s.LocksUnseen(t.Context(), s.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, unseen)
	})
}

func TestBusyPipelinesAreSkipped(t *testing.T) {
	for _, kind := range []string{KindBuild, KindDeployment, KindPipeline} {
		onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
			h := newShop(t, s)
			h.limit(1, BusySkip)
			first := h.triggered(kind)
			second := h.triggered(kind)
			require.Equal(t, StatusSkipped, second.Status)
			require.Equal(t, "skipped: #1 runs, and at most 1 may side by side", second.Reason)
			row := h.row(second)
			require.Equal(t, StatusSkipped, row.Status)
			require.NotNil(t, row.FinishedAt)
			_, err := s.ClaimExecution(t.Context(), second.ID, "run", nil)
			require.ErrorIs(t, err, ErrConflict, "it never runs")
			h.end(first)
			require.Equal(t, StatusNew, h.triggered(kind).Status)
		})
	}
}

func TestOlderExecutionsAreCancelled(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		h.limit(1, BusyCancelOlder)
		first := h.triggered(KindPipeline)
		h.claim(first)
		second := h.triggered(KindPipeline)
		require.Equal(t, []string{first.ID}, second.Supersedes)
		require.Equal(t, "pipeline 'ship' #2, which is newer", h.row(first).CancelRequestedBy)
		h.by = policies.Subject{Kind: "service-account", ID: "ci-id", Name: "ci"}
		third := h.triggered(KindPipeline)
		require.Equal(t, []string{second.ID}, third.Supersedes, "the first was asked before")
		// S24: a cancellation has its line, also where the trigger has none.
		lines, err := s.ListAudit(t.Context(), policies.Visible{All: true}, AuditFilter{Action: "pipeline:cancel"})
		require.NoError(t, err)
		require.Len(t, lines, 2)
		require.Equal(t, []string{"service-account", "ci", "system"}, []string{lines[0].ActorKind, lines[0].ActorName, lines[1].ActorKind})
		require.Equal(t, map[string]any{"execution": second.ID, "superseded_by": third.ID}, lines[0].Detail)
		require.True(t, h.claim(third).Queued, "it waits until the others have ended")
		require.Equal(t, []string{second.ID}, h.end(first))
		require.Equal(t, []string{third.ID}, h.end(second))
		require.False(t, h.admit(third).Queued)
	})
}

// The end of one of many wakes one, and leaves the rows of those that run alone.
func TestAGrantTouchesNoRowThatIsGranted(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		h.limit(20, BusyQueue)
		var running []*Execution
		for range 20 {
			e := h.triggered(KindBuild)
			h.claim(e)
			running = append(running, e)
		}
		waits := h.triggered(KindBuild)
		require.True(t, h.claim(waits).Queued)
		statements := countStatements(t, s)
		require.Equal(t, []string{waits.ID}, h.end(running[0]))
		require.Less(t, statements(), 12, "not one for each that runs")
		granted, err := all[DeploymentLock](s.reader(t.Context()).Where("environment_id = ?", h.build.ID))
		require.NoError(t, err)
		for _, l := range granted {
			require.NotNil(t, l.GrantedAt)
		}
		require.Empty(t, h.end(running[1]), "nobody waits")
	})
}

// Both the end of the older and the trigger of the newer want the older's row and the queue: neither may wait for ever.
func TestOlderExecutionsThatEndMeanwhile(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		h.limit(1, BusyCancelOlder)
		last := h.triggered(KindBuild)
		for range 20 {
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := s.FinishExecution(t.Context(), last.ID, StatusOK, ""); err != nil {
					t.Error(err)
				}
			})
			next, err := h.trigger(KindBuild, nil)
			require.NoError(t, err)
			wg.Wait()
			require.False(t, h.claim(next).Queued)
			last = next
		}
	})
}

// A limit holds at once: what runs counts, what waits and need not any more goes on.
func TestLimitsChangeWhileExecutionsRun(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		running, recorded := h.triggered(KindBuild), h.triggered(KindBuild)
		h.claim(running)
		h.limit(1, BusyQueue)
		second, third, fourth := h.triggered(KindBuild), h.triggered(KindBuild), h.triggered(KindBuild)
		require.True(t, h.claim(second).Queued, "what ran before the limit counts")
		require.False(t, h.claim(recorded).Queued, "what was recorded under no limit is not held back")
		require.Equal(t, []string{second.ID}, h.limit(2, BusyQueue))
		require.ElementsMatch(t, []string{third.ID, fourth.ID}, h.limit(0, ""))
		for _, e := range []*Execution{second, third, fourth} {
			if e != second {
				require.False(t, h.claim(e).Queued)
			}
			require.False(t, h.admit(e).Queued)
		}
		_, err := s.SetLimits(t.Context(), KindBuild, NewID(), Limits{})
		require.ErrorIs(t, err, ErrNotFound)
	})
}

func TestAPipelineDoesNotWaitForItself(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		top := h.triggered(KindPipeline)
		h.claim(top)
		between := h.triggered(KindBuild) // stands for a pipeline of another name
		require.NoError(t, s.writer(t.Context()).Model(&Execution{}).Where("id = ?", between.ID).Update("parent_id", top.ID).Error)
		_, err := h.trigger(KindPipeline, between)
		var p *problem.Error
		require.ErrorAs(t, err, &p)
		require.Equal(t, "pipeline 'ship' would wait for itself: its execution #1, which this one is a part of, has one of the 1 places that its limit allows", p.Error())
		require.EqualValues(t, 2, h.triggered(KindPipeline).Number, "what was refused draws no number")
	})
}

// A deployment that has its place never waits for the lock behind one that waits for the place.
func TestR7PlacesAndLocksDoNotBlockEachOther(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		first, second := h.triggered(KindDeployment), h.triggered(KindDeployment)
		// The second is a pipeline's step: its ticket for the deployment is drawn with it, before the first is claimed.
		require.NoError(t, s.Tx(t.Context(), func(tx *Store) error { return tx.QueueForLocks(t.Context(), second, []string{"web"}) }))
		require.True(t, h.claim(second).Queued)
		c := h.claim(first)
		require.False(t, c.Queued)
		require.False(t, c.Waiting, "the first holds the deployment")
		queue, err := s.LockQueue(t.Context(), h.env.ID)
		require.NoError(t, err)
		require.Len(t, queue, 2, "one ticket for each")
		require.Contains(t, h.end(first), second.ID)
		c = h.admit(second)
		require.False(t, c.Queued || c.Waiting)
	})
}

// What has ended, or was abandoned, holds no place.
func TestR7DeadHoldersOfPlaces(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		h.limit(1, BusyQueue)
		first, second := h.triggered(KindPipeline), h.triggered(KindPipeline)
		require.NoError(t, s.AbandonExecution(t.Context(), first.ID, "away"))
		require.False(t, h.claim(second).Queued)
		// A row that vanished: the reconciler frees its place.
		third := h.triggered(KindPipeline)
		h.claim(third)
		require.NoError(t, s.writer(t.Context()).Where("id = ?", second.ID).Delete(&Execution{}).Error)
		orphans, err := s.OrphanLocks(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{second.ID}, orphans)
		next, err := s.FreeLocks(t.Context(), second.ID)
		require.NoError(t, err)
		require.Equal(t, []string{third.ID}, next)
	})
}

// An execution of a build without a limit costs not one statement more.
func TestNoLimitCostsNothing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		h := newShop(t, s)
		counted := countStatements(t, s)
		e := h.triggered(KindBuild)
		want := 1
		if s.Dialect() == SQLite {
			want = 2 // the number and the row
		}
		require.Equal(t, want, counted())
		h.claim(e)
		require.Equal(t, 1, counted())
		h.end(e)
		require.Equal(t, 1, counted())
	})
}

// countStatements gives a function that says how many statements were executed since it was called last.
func countStatements(t *testing.T, s *Store) func() int {
	t.Helper()
	var mu sync.Mutex
	n := 0
	count := func() error { mu.Lock(); n++; mu.Unlock(); return nil }
	f := &Faults{Before: count}
	require.NoError(t, f.install(s.write))
	if s.read != s.write {
		require.NoError(t, f.install(s.read))
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		got := n
		n = 0
		return got
	}
}

// Deleting and triggering at the same instant: either the deletion is refused, with the reason, or the trigger finds
// nothing. Never does an execution run whose build, job, pipeline, environment or project is gone.
func TestDeletingWhatIsTriggeredAtTheSameTime(t *testing.T) {
	for _, what := range []string{"build", "deployment job", "pipeline", "environment", "project"} {
		t.Run(what, func(t *testing.T) {
			onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
				ctx := t.Context()
				s.UseEncrypter(plain{})
				deleted, refused := 0, 0
				for i := range 50 {
					h := &shop{t: t, s: s, project: &Project{Name: fmt.Sprint("shop-", i)}}
					require.NoError(t, s.CreateProject(ctx, h.project))
					h.env = &Environment{ProjectID: h.project.ID, Name: "dev"}
					require.NoError(t, s.CreateEnvironment(ctx, h.env))
					h.build = &Build{ProjectID: h.project.ID, EnvironmentID: h.env.ID, Name: "web"}
					require.NoError(t, s.CreateBuild(ctx, h.build, BuildSecrets{}))
					h.job = &DeploymentJob{ProjectID: h.project.ID, EnvironmentID: h.env.ID, Name: "web", Deployment: "web"}
					require.NoError(t, s.CreateDeploymentJob(ctx, h.job))
					h.pipeline = &Pipeline{ProjectID: h.project.ID, Name: "ship"}
					require.NoError(t, s.CreatePipeline(ctx, h.pipeline))
					kind := []string{KindBuild, KindDeployment}[i%2]
					remove := func() error { return s.DeleteEnvironment(ctx, h.env.ID) }
					switch what {
					case "build":
						kind, remove = KindBuild, func() error { return s.DeleteBuild(ctx, h.build.ID) }
					case "deployment job":
						kind, remove = KindDeployment, func() error { return s.DeleteDeploymentJob(ctx, h.job.ID) }
					case "pipeline":
						kind, remove = KindPipeline, func() error { return s.DeletePipeline(ctx, h.pipeline.ID) }
					case "project":
						kind, remove = []string{KindBuild, KindDeployment, KindPipeline}[i%3], func() error { return s.DeleteProjectContents(ctx, h.project.ID) }
					}
					if i%2 == 1 { // an earlier execution: its counter is there
						if e, err := h.trigger(kind, nil); err == nil {
							h.end(e)
						}
					}
					var wg sync.WaitGroup
					var removal, trigger error
					var added error
					go_ := make(chan struct{})
					wg.Go(func() { <-go_; removal = remove() })
					wg.Go(func() { <-go_; _, trigger = h.trigger(kind, nil) })
					wg.Go(func() {
						<-go_
						added = s.CreateBuild(ctx, &Build{ProjectID: h.project.ID, EnvironmentID: h.env.ID, Name: "late"}, BuildSecrets{})
					})
					close(go_)
					wg.Wait()
					var active *ActiveError
					switch {
					case removal == nil:
						deleted++
						require.ErrorIs(t, trigger, ErrDeleted)
						require.ErrorIs(t, trigger, ErrNotFound)
					default:
						refused++
						require.ErrorAs(t, removal, &active)
						require.NoError(t, trigger)
						require.Contains(t, active.Error(), "cancel it or wait for its end first")
					}
					if added != nil {
						require.ErrorIs(t, added, ErrNotFound)
					}
				}
				require.Equal(t, 50, deleted+refused)
				for _, q := range []string{
					"SELECT COUNT(*) FROM executions e WHERE e.status IN ('new','queued','running','waiting') AND NOT EXISTS (SELECT 1 FROM projects p WHERE p.id = e.project_id)",
					"SELECT COUNT(*) FROM executions e WHERE e.status IN ('new','queued','running','waiting') AND e.environment_id <> '' AND NOT EXISTS (SELECT 1 FROM environments v WHERE v.id = e.environment_id)",
					"SELECT COUNT(*) FROM executions e WHERE e.status IN ('new','queued','running','waiting') AND NOT EXISTS (SELECT 1 FROM builds b WHERE b.id = e.subject_id) AND NOT EXISTS (SELECT 1 FROM deployment_jobs j WHERE j.id = e.subject_id) AND NOT EXISTS (SELECT 1 FROM pipelines p WHERE p.id = e.subject_id)",
					"SELECT COUNT(*) FROM builds b WHERE NOT EXISTS (SELECT 1 FROM environments v WHERE v.id = b.environment_id)",
					"SELECT COUNT(*) FROM deployment_jobs j WHERE NOT EXISTS (SELECT 1 FROM environments v WHERE v.id = j.environment_id)",
					"SELECT COUNT(*) FROM environments v WHERE NOT EXISTS (SELECT 1 FROM projects p WHERE p.id = v.project_id)",
					"SELECT COUNT(*) FROM deployment_locks",
				} {
					var n int
					require.NoError(t, s.writer(ctx).Raw(q).Scan(&n).Error)
					require.Zero(t, n, q)
				}
			})
		})
	}
}

func TestTimeLimitsAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "90s": 90 * time.Second, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "720h": MaxTimeLimit} {
		got, err := ParseTimeLimit(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"10", "-1m", "0s", "500ms", "721h", "1d", "forever", "10m\x00", "999999999999h"} {
		_, err := ParseTimeLimit(text)
		require.EqualError(t, err, "expected a time from 1s to 720h, as in 90s, 10m or 1h30m", text)
	}
	for d, want := range map[time.Duration]string{10 * time.Minute: "10m", 90 * time.Second: "1m30s", time.Hour: "1h", 90 * time.Minute: "1h30m", 300 * time.Millisecond: "300ms", time.Hour + time.Second: "1h0m1s"} {
		require.Equal(t, want, ShowDuration(d))
	}
	require.Equal(t, time.Minute, Limits{}.Shorter(time.Minute).TimeLimit)
	require.Equal(t, time.Minute, Limits{TimeLimit: time.Hour}.Shorter(time.Minute).TimeLimit)
	require.Equal(t, time.Minute, Limits{TimeLimit: time.Minute}.Shorter(time.Hour).TimeLimit)
	require.Equal(t, time.Minute, Limits{TimeLimit: time.Minute}.Shorter(0).TimeLimit)
}
