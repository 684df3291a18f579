package own

import (
	"context"
	"net/http"
	"slices"
	"time"

	"slipway/api"
	"slipway/executions"
	"slipway/models"
)

// Waiting says why an execution does not go on, or what it does.
type Waiting struct {
	ID string `json:"id"`
	// Status is what the state surface says, Outcome the exact one.
	Status  string `json:"status"`
	Outcome string `json:"outcome"`
	// Waiting says that one of the reasons is one for waiting.
	Waiting bool          `json:"waiting"`
	Reasons []WaitsReason `json:"reasons"`
}

// WaitsReason is one thing that an execution waits for, or what it does.
type WaitsReason struct {
	// Kind is stable: lock, limit, confirmation, steps, no-worker, busy-workers, not-started, unavailable, retry, signal,
	// cancelling; or running and ended, where it waits for nothing.
	Kind string `json:"kind"`
	// Message is for people.
	Message string     `json:"message"`
	Since   *time.Time `json:"since,omitempty"`
	// Position is the place among those that wait in the queue, from 1.
	Position int `json:"position,omitempty"`
	// Executions are those that it waits for, in the order of the queue.
	Executions []OtherExecution `json:"executions,omitempty"`
	// TaskQueue is the one that no worker has taken it from.
	TaskQueue string `json:"task_queue,omitempty"`
	// User and Team are who may decide; both are absent where everybody may who may write in the project.
	User string `json:"user,omitempty"`
	Team string `json:"team,omitempty"`
	// Script and Release are what runs.
	Script  string `json:"script,omitempty"`
	Release string `json:"release,omitempty"`
}

// OtherExecution is an execution that another one waits for. Of one that the caller may not see, only the name is there,
// and that is "another execution".
type OtherExecution struct {
	Name string `json:"name"`
	ID   string `json:"id,omitempty"`
	// URL is the path of the execution on this surface.
	URL         string     `json:"url,omitempty"`
	Kind        string     `json:"kind,omitempty"`
	Project     string     `json:"project,omitempty"`
	Environment string     `json:"environment,omitempty"`
	Subject     string     `json:"subject,omitempty"`
	Number      int64      `json:"number,omitempty"`
	Outcome     string     `json:"outcome,omitempty"`
	CreatedAt   *time.Time `json:"created_at,omitempty"`
}

// Queues are what executions of a project stand in line for.
type Queues struct {
	Queues []Queue `json:"queues"`
	// NotBegun are recorded and not begun: oldest first, at most 200.
	NotBegun []OtherExecution `json:"not_begun"`
	// Truncated says that there is more than is shown.
	Truncated bool `json:"truncated"`
}

// Queue is one of them.
type Queue struct {
	// Kind is deployment, or limit for a limit on parallel executions.
	Kind string `json:"kind"`
	// Environment and Deployment name the deployment; for a limit, Environment and Subject name the build, deployment job
	// or pipeline of kind SubjectKind.
	Environment string `json:"environment,omitempty"`
	Deployment  string `json:"deployment,omitempty"`
	SubjectKind string `json:"subject_kind,omitempty"`
	Subject     string `json:"subject,omitempty"`
	// Capacity is how many have what they stand in line for at once; absent where the limit was taken away.
	Capacity int          `json:"capacity,omitempty"`
	Entries  []QueueEntry `json:"entries"`
}

// QueueEntry is an execution in a queue.
type QueueEntry struct {
	// Holds says that it has what the others wait for; Position counts the others, from 1.
	Holds     bool           `json:"holds"`
	Position  int            `json:"position,omitempty"`
	Since     time.Time      `json:"since"`
	Execution OtherExecution `json:"execution"`
}

func (s *surface) waitingRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: base + "executions/{execution_id}/waiting", Operation: "whyIsItWaiting", Summary: "Say why an execution does not go on, or what it does.",
			Permission: api.Permission{Action: "execution:read", On: s.onExecution}, Handler: api.Handle(s.waiting)},
		{Method: http.MethodGet, Path: base + "projects/{project}/queue", Operation: "getProjectQueue", Summary: "Get the queues that executions of a project stand in, in their order.",
			Permission: api.Permission{Action: "lock:read", On: s.onProject}, Handler: api.Handle(s.queue)},
	}
}

func (s *surface) waiting(ctx context.Context, r *executionRequest) (*Waiting, error) {
	e, err := s.Store.ExecutionByID(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	others := s.others(ctx)
	reasons, err := s.Executions.Why(ctx, e, func(ref models.ExecutionRef) string { return others.show(ref).Name })
	if err == nil {
		err = others.err
	}
	if err != nil {
		return nil, err
	}
	out := &Waiting{ID: e.ID, Status: e.Status.StateStatus(false), Outcome: string(e.Status), Reasons: []WaitsReason{}}
	out.Waiting = slices.ContainsFunc(reasons, executions.Reason.Waits)
	for _, why := range reasons {
		out.Reasons = append(out.Reasons, WaitsReason{Kind: why.Kind, Message: why.Message, Since: why.Since, Position: why.Position, Executions: others.all(why.Executions),
			TaskQueue: why.TaskQueue, User: why.User, Team: why.Team, Script: why.Script, Release: why.Release})
	}
	return out, others.err
}

// others shows executions to a caller, as far as it may see them. The first error of the policy stays.
type others struct {
	ctx     context.Context
	s       *surface
	visible map[string]bool // by project
	err     error
}

func (s *surface) others(ctx context.Context) *others {
	return &others{ctx: ctx, s: s, visible: map[string]bool{}}
}

func (o *others) show(r models.ExecutionRef) OtherExecution {
	if !o.sees(r.ProjectID) {
		return OtherExecution{Name: "another execution"}
	}
	created := r.CreatedAt
	return OtherExecution{Name: r.String(), ID: r.ID, URL: base + "executions/" + r.ID + "/", Kind: r.Kind, Project: r.Project, Environment: r.Environment, Subject: r.SubjectName,
		Number: r.Number, Outcome: string(r.Status), CreatedAt: &created}
}

func (o *others) all(refs []models.ExecutionRef) []OtherExecution {
	out := make([]OtherExecution, len(refs))
	for i, r := range refs {
		out[i] = o.show(r)
	}
	return out
}

func (o *others) sees(projectID string) bool {
	may, known := o.visible[projectID]
	if known {
		return may
	}
	p, err := o.s.Scopes.ProjectByID(o.ctx, projectID)
	if err == nil {
		may, err = o.s.Policy.Allow(o.ctx, api.SubjectOf(o.ctx), "execution:read", p.Resource("execution", "").Resource)
	}
	if err != nil && !isNotFound(err) && o.err == nil {
		o.err = err
	}
	o.visible[projectID] = may
	return may
}

type queueRequest struct {
	Project string `path:"project" validate:"max=200"`
}

// maxQueue bounds what is shown of a project's queues.
const maxQueue, maxNotBegun = 1000, 200

func (s *surface) queue(ctx context.Context, _ *queueRequest) (*Queues, error) {
	entries, err := s.Store.ProjectQueues(ctx, projectID(ctx), maxQueue+1)
	if err != nil {
		return nil, err
	}
	notBegun, err := s.Store.NotBegun(ctx, projectID(ctx), maxNotBegun+1)
	if err != nil {
		return nil, err
	}
	out := &Queues{Queues: []Queue{}, Truncated: len(entries) > maxQueue || len(notBegun) > maxNotBegun}
	others := s.others(ctx)
	var of [2]string
	for _, e := range entries[:min(len(entries), maxQueue)] {
		if key := [2]string{e.EnvironmentID, e.Deployment}; len(out.Queues) == 0 || key != of {
			of = key
			q := Queue{Kind: "deployment", Environment: e.Execution.Environment, Deployment: e.Deployment, Capacity: e.Capacity}
			if q.Capacity > models.MaxParallelLimit {
				q.Capacity = 0
			}
			if e.OfLimit() {
				q.Kind, q.SubjectKind, q.Subject = "limit", e.Execution.Kind, e.Execution.SubjectName
			}
			out.Queues = append(out.Queues, q)
		}
		q := &out.Queues[len(out.Queues)-1]
		entry := QueueEntry{Holds: e.GrantedAt != nil, Since: e.Since, Execution: others.show(e.Execution)}
		if !entry.Holds {
			entry.Position = 1
			if n := len(q.Entries); n > 0 {
				entry.Position = q.Entries[n-1].Position + 1
			}
		}
		q.Entries = append(q.Entries, entry)
	}
	out.NotBegun = others.all(notBegun[:min(len(notBegun), maxNotBegun)])
	return out, others.err
}
