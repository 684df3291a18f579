package models

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// ExecutionRef is what is told of an execution where another one waits for it.
type ExecutionRef struct {
	ID, Kind               string
	ProjectID, Project     string
	Environment            string // "" for pipelines
	SubjectID, SubjectName string
	Number                 int64
	Status                 Status
	CreatedAt              time.Time
	StartedAt              *time.Time
}

// String is the execution as people call it: build 'web' #4.
func (r ExecutionRef) String() string {
	return fmt.Sprintf("%s '%s' #%d", kindName(r.Kind), r.SubjectName, r.Number)
}

// QueueEntry is a place in a queue with the execution that has it. Queues are those for deployments, and those of limits
// on parallel executions.
type QueueEntry struct {
	Ticket int64
	// EnvironmentID and Deployment name the queue; for a limit they are the build, job or pipeline, and "".
	EnvironmentID, Deployment string
	// GrantedAt is set where the execution has what it waited for.
	GrantedAt *time.Time
	// Capacity is how many have it at once.
	Capacity int
	// Since is when the execution came into the queue.
	Since     time.Time
	Execution ExecutionRef `gorm:"embedded;embeddedPrefix:e_"`
}

// OfLimit says that the queue is that of a limit.
func (q QueueEntry) OfLimit() bool { return q.Deployment == "" }

const queueColumns = `l.ticket, l.environment_id, l.deployment, l.granted_at, l.capacity, l.created_at AS since, ` + refColumns

const refColumns = `e.id AS e_id, e.kind AS e_kind, e.project_id AS e_project_id, p.name AS e_project, v.name AS e_environment, e.subject_id AS e_subject_id,
	e.subject_name AS e_subject_name, e.number AS e_number, e.status AS e_status, e.created_at AS e_created_at, e.started_at AS e_started_at`

func (s *Store) queues(ctx context.Context) *gorm.DB {
	return s.reader(ctx).Table("deployment_locks l").Select(queueColumns).
		Joins("JOIN executions e ON e.id = l.execution_id").
		Joins("LEFT JOIN projects p ON p.id = e.project_id").
		Joins("LEFT JOIN environments v ON v.id = e.environment_id").
		Order("l.environment_id, l.deployment, l.ticket")
}

// QueuesOf gives all queues that an execution stands in, each in its order.
func (s *Store) QueuesOf(ctx context.Context, executionID string) ([]QueueEntry, error) {
	return all[QueueEntry](s.queues(ctx).Where("(l.environment_id, l.deployment) IN (SELECT environment_id, deployment FROM deployment_locks WHERE execution_id = ?)", executionID))
}

// ProjectQueues gives all queues that executions of a project stand in, each in its order; at most limit entries.
func (s *Store) ProjectQueues(ctx context.Context, projectID string, limit int) ([]QueueEntry, error) {
	return all[QueueEntry](s.queues(ctx).Where("e.project_id = ?", projectID).Limit(limit))
}

func (s *Store) refs(ctx context.Context) *gorm.DB {
	return s.reader(ctx).Table("executions e").Select(refColumns).
		Joins("LEFT JOIN projects p ON p.id = e.project_id").
		Joins("LEFT JOIN environments v ON v.id = e.environment_id").
		Order("e.id")
}

func (s *Store) scanRefs(q *gorm.DB) ([]ExecutionRef, error) {
	rows, err := all[struct {
		Execution ExecutionRef `gorm:"embedded;embeddedPrefix:e_"`
	}](q)
	out := make([]ExecutionRef, len(rows))
	for i, r := range rows {
		out[i] = r.Execution
	}
	return out, err
}

// NotBegun gives the executions of a project that are recorded and that no workflow has claimed, oldest first.
func (s *Store) NotBegun(ctx context.Context, projectID string, limit int) ([]ExecutionRef, error) {
	// The literal lets PostgreSQL use the index of open executions.
	return s.scanRefs(s.refs(ctx).Where("e.status = 'new' AND e.status IN ('new','queued','running','waiting') AND e.project_id = ?", projectID).Limit(limit))
}

// OpenChildren gives the executions that one waits for as its steps, oldest first.
func (s *Store) OpenChildren(ctx context.Context, id string, limit int) ([]ExecutionRef, error) {
	return s.scanRefs(s.refs(ctx).Where("e.parent_id = ? AND e.status IN ?", id, openStatuses).Limit(limit))
}

// RunningScript gives the script of an execution that has begun last and not ended; ErrNotFound where there is none.
func (s *Store) RunningScript(ctx context.Context, executionID string) (*ExecutionScript, error) {
	return take[ExecutionScript](s.reader(ctx).Where("execution_id = ? AND finished = ?", executionID, false).Order("started_at DESC, key"))
}
