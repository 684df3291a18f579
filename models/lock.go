package models

import (
	"context"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// DeploymentLock is a place in the queue for one deployment of an environment: granted, or waiting for the tickets
// before it. An execution that needs several deployments holds a ticket for each and is granted all of them or none.
//
// The places that a limit on parallel executions allows are such a queue too, so that all that waits is granted, freed,
// signalled and repaired in one way: EnvironmentID is then the id of the build, job or pipeline and Deployment is "".
type DeploymentLock struct {
	// Ticket is the place in the queue. Tickets of one request are neighbours: they are drawn while the environment's
	// queue is locked.
	Ticket        int64 `gorm:"primaryKey;autoIncrement"`
	EnvironmentID string
	Deployment    string
	ExecutionID   string
	GrantedAt     *time.Time
	// SeenAt is when the workflow learnt of the grant; until then the reconciler repeats the signal.
	SeenAt    *time.Time
	CreatedAt time.Time
	// Capacity is how many tickets of the queue are granted at once: one for a deployment.
	Capacity int
}

// QueueForLocks gives an execution its place in the queue of each deployment before it is claimed, so that executions
// recorded together take their turns in the order in which they were recorded. It must run in a transaction.
func (s *Store) QueueForLocks(ctx context.Context, e *Execution, deployments []string) error {
	if e.hasTickets {
		return nil
	}
	e.hasTickets = true
	if err := s.lockEnvironment(ctx, e.EnvironmentID); err != nil {
		return err
	}
	_, err := s.enqueue(ctx, e, deployments)
	return err
}

// enqueue adds a ticket for each deployment. The environment's queue must be locked.
func (s *Store) enqueue(ctx context.Context, e *Execution, deployments []string) ([]DeploymentLock, error) {
	names := slices.Clone(deployments)
	slices.Sort(names)
	var added []DeploymentLock
	for _, name := range slices.Compact(names) {
		l := DeploymentLock{EnvironmentID: e.EnvironmentID, Deployment: name, ExecutionID: e.ID, CreatedAt: s.Now(), Capacity: 1}
		if err := s.writer(ctx).Create(&l).Error; err != nil {
			return nil, err
		}
		added = append(added, l)
	}
	return added, nil
}

// requestLocks puts an execution into the queue of each deployment and says whether it holds all of them. Asking again
// changes nothing. It must run in a transaction.
func (s *Store) requestLocks(ctx context.Context, e *Execution, deployments []string) (bool, error) {
	if err := s.lockEnvironment(ctx, e.EnvironmentID); err != nil {
		return false, err
	}
	queue, err := s.locksIn(ctx, e.EnvironmentID)
	if err != nil {
		return false, err
	}
	now := s.Now()
	mine := slices.ContainsFunc(queue, func(l DeploymentLock) bool { return l.ExecutionID == e.ID })
	if !mine {
		added, err := s.enqueue(ctx, e, deployments)
		if err != nil {
			return false, err
		}
		queue = append(queue, added...)
	}
	granted := holders(queue)
	if !granted[e.ID] {
		// A place that it has been given is no news any more.
		return false, s.LockSeen(ctx, e.ID)
	}
	// The grant may stand there already, from the release of an earlier holder. What was granted and seen stays as it is.
	err = s.writer(ctx).Model(&DeploymentLock{}).Where("execution_id = ? AND environment_id = ? AND (granted_at IS NULL OR seen_at IS NULL)", e.ID, e.EnvironmentID).
		Updates(map[string]any{"granted_at": gorm.Expr("COALESCE(granted_at, ?)", now), "seen_at": now}).Error
	return true, err
}

// releaseLocks takes an execution out of the queues and gives the executions that hold what they need now. It must run
// in a transaction.
func (s *Store) releaseLocks(ctx context.Context, executionID string) ([]string, error) {
	var envs []string
	if err := s.writer(ctx).Model(&DeploymentLock{}).Where("execution_id = ?", executionID).Distinct().Pluck("environment_id", &envs).Error; err != nil {
		return nil, err
	}
	var next []string
	slices.Sort(envs)
	for _, env := range envs {
		if err := s.lockEnvironment(ctx, env); err != nil {
			return nil, err
		}
		if err := s.writer(ctx).Where("execution_id = ? AND environment_id = ?", executionID, env).Delete(&DeploymentLock{}).Error; err != nil {
			return nil, err
		}
		granted, err := s.grant(ctx, env)
		if err != nil {
			return nil, err
		}
		next = append(next, granted...)
	}
	slices.Sort(next)
	return slices.Compact(next), nil
}

// holders decides who holds what it needs. Tickets are read in order: an execution holds its deployments unless one of
// them is wanted by an earlier ticket. The earliest ticket of all is never blocked, so the queue always moves.
func holders(queue []DeploymentLock) map[string]bool {
	slices.SortFunc(queue, func(a, b DeploymentLock) int { return int(a.Ticket - b.Ticket) })
	taken := map[string]int{}
	held := map[string]bool{}
	for _, l := range queue {
		if _, ok := held[l.ExecutionID]; !ok {
			held[l.ExecutionID] = true
		}
		if taken[l.Deployment] >= l.Capacity {
			held[l.ExecutionID] = false
			continue
		}
		taken[l.Deployment]++
	}
	for id, ok := range held {
		if !ok {
			delete(held, id)
		}
	}
	return held
}

// grant grants what is free in the queues of an environment, or of a build, job or pipeline, and gives the executions
// that hold what they need there now. The queues must be locked.
func (s *Store) grant(ctx context.Context, environmentID string) ([]string, error) {
	queue, err := s.locksIn(ctx, environmentID)
	if err != nil {
		return nil, err
	}
	held := holders(queue)
	fresh := map[string]bool{}
	for _, l := range queue {
		if held[l.ExecutionID] && l.GrantedAt == nil {
			fresh[l.ExecutionID] = true
		}
	}
	next := slices.Sorted(maps.Keys(fresh))
	if len(next) == 0 {
		return nil, nil // whoever holds something was granted it before
	}
	// One that has not been claimed yet will find itself granted when it asks.
	return next, s.writer(ctx).Model(&DeploymentLock{}).Where("execution_id IN ? AND environment_id = ? AND granted_at IS NULL", next, environmentID).
		Update("granted_at", s.Now()).Error
}

func (s *Store) lockEnvironment(ctx context.Context, environmentID string) error {
	if s.dialect != PostgreSQL {
		return nil // one writer: the transaction is the lock
	}
	return s.writer(ctx).Exec(lockEnvironmentSQL, environmentID).Error
}

func (s *Store) locksIn(ctx context.Context, environmentID string) ([]DeploymentLock, error) {
	var list []DeploymentLock
	err := s.writer(ctx).Where("environment_id = ?", environmentID).Order("ticket").Find(&list).Error
	return list, err
}

// WaitForLocks queues an execution that runs for deployments it learnt of after its claim, and says whether it must wait.
func (s *Store) WaitForLocks(ctx context.Context, executionID string, deployments []string) (waiting bool, err error) {
	err = s.Tx(ctx, func(tx *Store) error {
		var e Execution
		if err := one(tx.writer(ctx).Where("id = ?", executionID).Take(&e)); err != nil {
			return err
		}
		if e.Status.Final() {
			return ErrFinal
		}
		granted, err := tx.requestLocks(ctx, &e, deployments)
		if err != nil || granted {
			waiting = false
			return err
		}
		waiting = true
		return tx.writer(ctx).Model(&Execution{}).Where("id = ? AND status = ?", executionID, StatusRunning).Update("status", StatusQueued).Error
	})
	return waiting, err
}

// LockSeen records that the workflow has learnt of its grant.
func (s *Store) LockSeen(ctx context.Context, executionID string) error {
	return s.writer(ctx).Model(&DeploymentLock{}).Where("execution_id = ? AND granted_at IS NOT NULL AND seen_at IS NULL", executionID).Update("seen_at", s.Now()).Error
}

// LocksUnseen gives the executions whose grant, older than before, has not reached their workflow.
func (s *Store) LocksUnseen(ctx context.Context, before time.Time) ([]string, error) {
	var ids []string
	// An execution whose place was free when it was claimed needs no signal for it: it runs.
	err := s.reader(ctx).Raw(`SELECT DISTINCT l.execution_id FROM deployment_locks l JOIN executions e ON e.id = l.execution_id
		WHERE l.granted_at < ? AND l.seen_at IS NULL AND (l.deployment <> '' OR e.status = ?)`, before, StatusQueued).Scan(&ids).Error
	return ids, err
}

// LockQueue gives the queue of one environment in order, for people who ask why something waits.
func (s *Store) LockQueue(ctx context.Context, environmentID string) ([]DeploymentLock, error) {
	var list []DeploymentLock
	err := s.reader(ctx).Where("environment_id = ?", environmentID).Order("ticket").Find(&list).Error
	return list, err
}

// OrphanLocks gives executions that have ended, or are gone, and still stand in a queue.
func (s *Store) OrphanLocks(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.reader(ctx).Raw(`SELECT DISTINCT l.execution_id FROM deployment_locks l LEFT JOIN executions e ON e.id = l.execution_id
		WHERE e.id IS NULL OR e.status NOT IN ?`, openStatuses).Scan(&ids).Error
	return ids, err
}

// FreeLocks takes an execution out of all queues. FinishExecution does so by itself; this is for the reconciler.
func (s *Store) FreeLocks(ctx context.Context, executionID string) (next []string, err error) {
	err = s.Tx(ctx, func(tx *Store) error {
		next, err = tx.releaseLocks(ctx, executionID)
		return err
	})
	return next, err
}
