package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"slipway/internal/problem"
)

// Limits bound the executions of a build, a deployment job or a pipeline. The zero value bounds nothing. They stand in
// the row of what they bound, so that reading them costs nothing and they go when it goes, and in the snapshot of each
// execution.
type Limits struct {
	// MaxParallel is how many executions may run side by side; 0 is any number.
	MaxParallel int `json:"max_parallel,omitempty"`
	// WhenBusy is what becomes of an execution that is triggered while MaxParallel run: one of the Busy constants.
	WhenBusy string `json:"when_busy,omitempty"`
	// TimeLimit is how long an execution may run, waiting for deployments and for its place not counted; 0 is any time.
	TimeLimit time.Duration `json:"time_limit,omitempty"`
}

// What becomes of an execution that is triggered while as many run as may.
const (
	BusyQueue       = "queue"        // it waits for its turn
	BusySkip        = "skip"         // it ends as skipped
	BusyCancelOlder = "cancel_older" // the oldest are asked to cancel, and it waits until they have ended
)

// MaxParallelLimit and MaxTimeLimit bound the limits themselves. MinTimeLimit is the shortest that makes sense: a worker
// learns of the end within a second or two.
const (
	MaxParallelLimit = 1000
	MinTimeLimit     = time.Second
	MaxTimeLimit     = 30 * 24 * time.Hour
)

// ParseTimeLimit reads a time limit as people write it: 90s, 10m, 1h30m; "" is none. The error says what was expected.
func ParseTimeLimit(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < MinTimeLimit || d > MaxTimeLimit {
		return 0, fmt.Errorf("expected a time from %s to %s, as in 90s, 10m or 1h30m", ShowDuration(MinTimeLimit), ShowDuration(MaxTimeLimit))
	}
	return d, nil
}

// ShowDuration writes a duration as people do: 10m, not 10m0s.
func ShowDuration(d time.Duration) string {
	t := d.String()
	if strings.HasSuffix(t, "m0s") {
		t = strings.TrimSuffix(t, "0s")
	}
	if strings.HasSuffix(t, "h0m") {
		t = strings.TrimSuffix(t, "0m")
	}
	return t
}

// Shorter is the limit with a second time limit applied, such as a pipeline's step's: the shorter one holds.
func (l Limits) Shorter(other time.Duration) Limits {
	if other > 0 && (l.TimeLimit == 0 || other < l.TimeLimit) {
		l.TimeLimit = other
	}
	return l
}

// WithLimits gives a snapshot other limits. Snapshots of kinds without limits stay as they are.
func WithLimits(definition any, l Limits) any {
	switch d := definition.(type) {
	case BuildDefinition:
		d.Limits = l
		return d
	case DeploymentDefinition:
		d.Limits = l
		return d
	case PipelineDefinition:
		d.Limits = l
		return d
	}
	return definition
}

// WithTimeLimit gives a snapshot whose execution may take no longer than d, whatever its own limit; 0 changes nothing.
func WithTimeLimit(definition any, d time.Duration) any {
	return WithLimits(definition, limitsOf(definition).Shorter(d))
}

// CleanUp lists the phases that also run after a failure or a cancellation.
func (d PipelineDefinition) CleanUp() []int {
	var list []int
	for i, ph := range d.Phases {
		if ph.RunAlways {
			list = append(list, i)
		}
	}
	return list
}

// limitsOf gives the limits in a snapshot.
func limitsOf(definition any) Limits {
	switch d := definition.(type) {
	case BuildDefinition:
		return d.Limits
	case DeploymentDefinition:
		return d.Limits
	case PipelineDefinition:
		return d.Limits
	}
	return Limits{}
}

// LimitsOf reads the limits of a build, deployment job or pipeline as they are now. ErrNotFound where it is gone.
func (s *Store) LimitsOf(ctx context.Context, kind, subjectID string) (Limits, error) {
	var l Limits
	table := subjectTable(kind)
	if table == "" {
		return l, nil
	}
	err := one(s.writer(ctx).Table(table).Select("max_parallel", "when_busy", "time_limit").Where("id = ?", subjectID).Take(&l))
	return l, err
}

// subjectTable is where the things are whose executions are of a kind; "" for kinds without limits.
func subjectTable(kind string) string {
	switch kind {
	case KindBuild:
		return "builds"
	case KindDeployment:
		return "deployment_jobs"
	case KindPipeline:
		return "pipelines"
	}
	return ""
}

// anyNumber is the capacity of a queue whose limit was taken away while executions stood in it.
const anyNumber = 1 << 30

// SetLimits changes the limits of a build, deployment job or pipeline. They hold at once: executions that run count from
// now on, and those that wait and need not any more are returned, to be signalled. Executions that were recorded under no
// limit and not begun yet are neither counted nor held back. ErrNotFound where there is no such thing.
func (s *Store) SetLimits(ctx context.Context, kind, subjectID string, l Limits) (next []string, err error) {
	table := subjectTable(kind)
	if table == "" {
		return nil, fmt.Errorf("executions of kind %s have no limits", kind)
	}
	err = s.Tx(ctx, func(tx *Store) error {
		if err := tx.lockEnvironment(ctx, subjectID); err != nil {
			return err
		}
		if err := found(tx.writer(ctx).Table(table).Where("id = ?", subjectID).
			Updates(map[string]any{"max_parallel": l.MaxParallel, "when_busy": l.WhenBusy, "time_limit": int64(l.TimeLimit), "updated_at": tx.Now()})); err != nil {
			return err
		}
		capacity := l.MaxParallel
		if capacity == 0 {
			capacity = anyNumber
		} else if err := tx.writer(ctx).Exec(`INSERT INTO deployment_locks (environment_id, deployment, execution_id, granted_at, seen_at, created_at, capacity)
			SELECT subject_id, '', id, @now, @now, @now, @capacity FROM executions WHERE subject_id = @subject AND status IN @open AND claimed_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM deployment_locks l WHERE l.execution_id = executions.id AND l.deployment = '') ORDER BY number`,
			map[string]any{"now": tx.Now(), "capacity": capacity, "subject": subjectID, "open": openStatuses}).Error; err != nil {
			return err
		}
		if err := tx.writer(ctx).Model(&DeploymentLock{}).Where("environment_id = ? AND deployment = ''", subjectID).Update("capacity", capacity).Error; err != nil {
			return err
		}
		next, err = tx.grant(ctx, subjectID)
		return err
	})
	return next, err
}

// takePlace gives a new execution its place among those of its build, job or pipeline, in the transaction that records
// it, so that the queue is in the order of their numbers. It must run in a transaction.
//
// A deployment draws its ticket for the deployment here too. Otherwise one that has its place could wait for the
// deployment behind one that waits for the place, and both for ever.
func (s *Store) takePlace(ctx context.Context, e *Execution, n NewExecution) error {
	d, deploys := n.Definition.(DeploymentDefinition)
	queues := []string{e.SubjectID}
	if deploys {
		queues = append(queues, e.EnvironmentID)
	}
	slices.Sort(queues) // as releaseLocks does, or the two would wait for each other
	for _, id := range queues {
		if err := s.lockEnvironment(ctx, id); err != nil {
			return err
		}
	}
	l, err := s.LimitsOf(ctx, e.Kind, e.SubjectID)
	if err != nil || l.MaxParallel == 0 {
		return err
	}
	queue, err := s.locksIn(ctx, e.SubjectID)
	if err != nil {
		return err
	}
	now := s.Now()
	place := DeploymentLock{EnvironmentID: e.SubjectID, ExecutionID: e.ID, Capacity: l.MaxParallel, CreatedAt: now}
	if len(queue) < l.MaxParallel {
		place.GrantedAt, place.SeenAt = &now, &now
	} else {
		if err := s.refuseOwnAncestor(ctx, e, l, queue); err != nil {
			return err
		}
		switch l.WhenBusy {
		case BusySkip:
			return s.skip(ctx, e, l, queue[0].ExecutionID)
		case BusyCancelOlder:
			if err := s.cancelOlder(ctx, e, n, queue[:len(queue)+1-l.MaxParallel]); err != nil {
				return err
			}
		}
	}
	if err := s.writer(ctx).Create(&place).Error; err != nil {
		return err
	}
	if deploys {
		return s.QueueForLocks(ctx, e, []string{d.Deployment})
	}
	return nil
}

// refuseOwnAncestor refuses an execution that would wait for one that waits for it.
func (s *Store) refuseOwnAncestor(ctx context.Context, e *Execution, l Limits, queue []DeploymentLock) error {
	for id := e.ParentID; id != ""; {
		var above Execution
		if err := one(s.writer(ctx).Select("id", "parent_id", "number").Where("id = ?", id).Take(&above)); err != nil {
			return err
		}
		for _, q := range queue {
			if q.ExecutionID == above.ID {
				return problem.New(problem.Conflict, "%s '%s' would wait for itself: its execution #%d, which this one is a part of, has one of the %d places that its limit allows",
					kindName(e.Kind), e.SubjectName, above.Number, l.MaxParallel)
			}
		}
		id = above.ParentID
	}
	return nil
}

// skip ends an execution that finds all places taken.
func (s *Store) skip(ctx context.Context, e *Execution, l Limits, runningID string) error {
	var running Execution
	if err := one(s.writer(ctx).Select("id", "number").Where("id = ?", runningID).Take(&running)); err != nil {
		return err
	}
	e.Status, e.Reason = StatusSkipped, fmt.Sprintf("skipped: #%d runs, and at most %d may side by side", running.Number, l.MaxParallel)
	_, err := s.finish(ctx, e.ID, e.Status, e.Reason, []Status{StatusNew})
	now := s.Now()
	e.FinishedAt = &now
	return err
}

// cancelOlder records that the executions that stand first in a queue be cancelled. Those that were not asked before are
// told by whoever recorded e: see Execution.Supersedes. Who triggered e is the one who cancels.
func (s *Store) cancelOlder(ctx context.Context, e *Execution, n NewExecution, first []DeploymentLock) error {
	for _, q := range first {
		if err := s.lockExecution(ctx, q.ExecutionID); err != nil {
			return err
		}
		asked, err := s.RequestCancel(ctx, q.ExecutionID, fmt.Sprintf("%s '%s' #%d, which is newer", kindName(e.Kind), e.SubjectName, e.Number), n.superseding(e, q.ExecutionID))
		if err != nil && !errors.Is(err, ErrFinal) {
			return err
		}
		if asked {
			e.Supersedes = append(e.Supersedes, q.ExecutionID)
		}
	}
	return nil
}

// Admit says whether an execution that waited has its place now, and takes or queues for the deployments it changes.
// It may be asked as often as one likes. ErrFinal says that it has ended meanwhile.
func (s *Store) Admit(ctx context.Context, id string, deployments func(*Execution) ([]string, error)) (*Claim, error) {
	var c *Claim
	err := s.Tx(ctx, func(tx *Store) error {
		var e Execution
		if err := one(tx.writer(ctx).Where("id = ?", id).Take(&e)); err != nil {
			return err
		}
		if e.Status.Final() {
			return ErrFinal
		}
		c = &Claim{Execution: &e}
		// Whatever it was signalled for, it has heard it: a lock that came before the place must not be told again and again.
		if err := tx.LockSeen(ctx, id); err != nil {
			return err
		}
		var waits int64
		if err := tx.writer(ctx).Model(&DeploymentLock{}).Where("execution_id = ? AND deployment = '' AND granted_at IS NULL", id).Count(&waits).Error; err != nil {
			return err
		}
		if c.Queued = waits > 0; c.Queued {
			return nil
		}
		if deployments != nil {
			names, err := deployments(&e)
			if err != nil {
				return err
			}
			granted, err := tx.requestLocks(ctx, &e, names)
			if err != nil {
				return err
			}
			if c.Waiting = !granted; c.Waiting {
				return nil
			}
		}
		now := tx.Now()
		e.Status, e.StartedAt = StatusRunning, &now
		return tx.writer(ctx).Model(&Execution{}).Where("id = ? AND status = ?", id, StatusQueued).Updates(map[string]any{"status": StatusRunning, "started_at": gorm.Expr(tx.latest("?", "created_at"), now)}).Error
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// superseding is the line that says that an older execution was cancelled in favour of e. Its actor is that of the trigger's
// line, or who stands behind a trigger that has none.
func (n NewExecution) superseding(e *Execution, older string) *AuditEntry {
	c := AuditEntry{ResourceKind: e.Kind, ResourceID: e.SubjectID, ResourceName: e.SubjectName, ProjectID: e.ProjectID}.ActorOf(n.By)
	if n.Audit != nil {
		c = *n.Audit
	}
	if c.ActorKind == "" {
		c.ActorKind, c.ActorName = "system", "slipway"
	}
	c.Action = AuditNoun(e.Kind) + ":cancel"
	c.Detail = map[string]any{"execution": older, "superseded_by": e.ID}
	return &c
}
