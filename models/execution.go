package models

import (
	"errors"
	"time"
)

// Kinds of executions.
const (
	KindBuild       = "build"
	KindDeployment  = "deployment"
	KindPipeline    = "pipeline"
	KindAssetSearch = "asset-search"
	KindAssetScan   = "asset-scan"
)

// ExecutionKinds are all kinds of executions.
var ExecutionKinds = []string{KindBuild, KindDeployment, KindPipeline, KindAssetSearch, KindAssetScan}

// Status of an execution or of a pipeline's step, as Slipway itself sees it. The state surface shows fewer; see
// StateStatus.
type Status string

// The statuses. The last five are final.
const (
	StatusNew       Status = "new"       // recorded, not claimed by its workflow yet
	StatusQueued    Status = "queued"    // waits for a lock or a limit
	StatusRunning   Status = "running"   //
	StatusWaiting   Status = "waiting"   // waits for a person
	StatusOK        Status = "ok"        //
	StatusFailed    Status = "failed"    //
	StatusCancelled Status = "cancelled" //
	StatusSkipped   Status = "skipped"   // there was nothing to do
	StatusAbandoned Status = "abandoned" // never ran: it could not be started
)

// Final says whether nothing can follow.
func (s Status) Final() bool {
	switch s {
	case StatusOK, StatusFailed, StatusCancelled, StatusSkipped, StatusAbandoned:
		return true
	}
	return false
}

// StateStatus is the status in the words of the state surface. The exact value goes into the member outcome.
func (s Status) StateStatus(step bool) string {
	switch s {
	case StatusQueued:
		if step {
			return "queued"
		}
		return "pending"
	case StatusWaiting:
		return "running"
	case StatusCancelled, StatusAbandoned:
		return "failed"
	case StatusSkipped:
		return "ok"
	}
	return string(s)
}

// Types of triggers that another execution is behind.
const (
	TriggerPipeline   = "pipeline"   // a step of a pipeline
	TriggerBuild      = "build"      // the end of a build that a pipeline listens to
	TriggerDeployment = "deployment" // the end of a deployment that a pipeline listens to
)

// Trigger says what started an execution and who is behind it.
type Trigger struct {
	// Type is api, webhook, schedule, pipeline, build, deployment, retry or release.
	Type string `json:"type"`
	// SubjectKind, SubjectID and SubjectName are who asked.
	SubjectKind string `json:"subject_kind,omitempty"`
	SubjectID   string `json:"subject_id,omitempty"`
	SubjectName string `json:"subject_name,omitempty"`
	// Execution is the parent, the execution whose end started this one, or the retried execution.
	Execution string `json:"execution,omitempty"`
	// AskedBy is who asked for a schedule's run afterwards; the subject is whom the schedule acts as.
	AskedBy *TriggerSubject `json:"asked_by,omitempty"`
}

// TriggerSubject is somebody, besides its subject, who is behind a trigger.
type TriggerSubject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Commit is what is known about the source of an execution.
type Commit struct {
	Revision string `json:"revision"`
	Branch   string `json:"branch,omitempty"`
	Message  string `json:"message,omitempty"`
	Author   string `json:"author,omitempty"`
}

// Limits of commits, in bytes: git itself sets none, and rows and messages repeat them.
const (
	maxCommitName    = 500 // revision, branch and author
	MaxCommitMessage = 20_000
)

// Cut gives the commit with its members shortened to what is kept, and its message to a number of bytes.
func (c Commit) Cut(message int) Commit {
	return Commit{Revision: shorten(clean(c.Revision), maxCommitName), Branch: shorten(clean(c.Branch), maxCommitName),
		Message: shorten(clean(c.Message), message), Author: shorten(clean(c.Author), maxCommitName)}
}

// Execution is one run of a build, a deployment job or a pipeline. The Temporal workflow is the truth, the row its
// projection.
type Execution struct {
	// ID sorts by age and is the workflow's id.
	ID            string `gorm:"primaryKey"`
	Kind          string
	ProjectID     string
	EnvironmentID string // "" for pipelines
	// OrganizationID is the organization that an execution of no project belongs to: a search or a scan of assets. Else "".
	OrganizationID string
	// SubjectID and SubjectName are the build, deployment job or pipeline that runs. Number counts its executions, from 1.
	SubjectID   string
	SubjectName string
	Number      int64
	Status      Status
	Reason      string
	// RunID is the workflow's current run, once it has claimed the row.
	RunID     string
	TaskQueue string
	// ParentID, ParentPhase and ParentStep are the pipeline execution and the place in it that this one runs for.
	ParentID    string
	ParentPhase int
	ParentStep  int
	// RootID is the execution at the top: its own id where there is no parent.
	RootID  string
	RetryOf string
	Trigger Trigger `gorm:"serializer:json"`
	// IdempotencyKey is unique where it is set: the same trigger twice is one execution.
	IdempotencyKey *string
	// Definition is the snapshot that runs, as JSON of BuildDefinition, DeploymentDefinition or PipelineDefinition.
	Definition []byte
	// Result is what it made, as JSON: the releases of a build, the version deployed.
	Result []byte
	Commit *Commit `gorm:"serializer:json"`
	// Sequence rises with every projected write; an older one changes nothing.
	Sequence int64
	// CancelRequestedAt and CancelRequestedBy record the first request.
	CancelRequestedAt *time.Time
	CancelRequestedBy string
	CreatedAt         time.Time
	ClaimedAt         *time.Time
	StartedAt         *time.Time
	FinishedAt        *time.Time
	// CheckedAt is when the reconciler last looked at the row while it was open.
	CheckedAt time.Time
	// LogsArchived says that the log chunks have moved to blob storage as one object.
	LogsArchived bool

	// Supersedes, right after CreateExecution, are the older executions that were asked to cancel in its favour. Their
	// workflows must be told; see executions.Service.
	Supersedes []string `gorm:"-"`
	// hasTickets says that CreateExecution drew its tickets for deployments.
	hasTickets bool
}

// ErrFinal says that an execution has ended and cannot change any more.
var ErrFinal = errors.New("the execution has ended")

// ReleaseResult is one release that a build made, or found made already.
type ReleaseResult struct {
	Release string `json:"release"` // project/name-vVERSION
	Skipped bool   `json:"skipped,omitempty"`
	Pushed  bool   `json:"pushed,omitempty"`
}

// Result is what an execution made.
type Result struct {
	Releases []ReleaseResult `json:"releases,omitempty"`
	// Release is what a deployment job deployed.
	Release string         `json:"release,omitempty"`
	Outputs map[string]any `json:"outputs,omitempty"`
}
