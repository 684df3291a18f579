package models

import (
	"context"
	"errors"
	"slices"
	"strings"

	"slipway/internal/state"
)

// DirectClaim claims an execution for the activity that runs its scripts, and gives it with what an earlier attempt left,
// in one statement: between the trigger and the first command stands no other write. It is for executions whose claim
// decides nothing, so that no lock or limit has to be asked for: see BuildDefinition.Direct. ErrConflict where the row is
// not new and belongs to another run, has ended, or is not there.
func (s *Store) DirectClaim(ctx context.Context, id, runID string) (*Attempt, error) {
	now := s.Now()
	var rows []Attempt
	err := s.writer(ctx).Raw(`UPDATE executions SET status = ?, run_id = ?, claimed_at = COALESCE(claimed_at, ?), checked_at = ?, started_at = `+s.latest("COALESCE(started_at, ?)", "created_at")+`
		WHERE id = ? AND (status = ? OR (run_id = ? AND status IN ?)) RETURNING *, `+attemptColumns("executions.id"),
		StatusRunning, runID, now, now, now, id, StatusNew, runID, openStatuses).Scan(&rows).Error
	if err == nil && len(rows) == 0 {
		err = ErrConflict
	}
	if err != nil {
		return nil, err
	}
	rows[0].Claimed = true
	rows[0].First = rows[0].ClaimedAt.Equal(now)
	return &rows[0], nil
}

// attemptColumns are the members of Attempt that are not Execution's.
func attemptColumns(id string) string {
	return `COALESCE((SELECT c.first_line + c.count FROM log_chunks c WHERE c.execution_id = ` + id + ` ORDER BY c.first_line DESC LIMIT 1), 0) AS next_line,
		EXISTS (SELECT 1 FROM execution_decisions d WHERE d.execution_id = ` + id + `) AS decided`
}

// DeploymentWrite is a change of the state that an attempt has to record; see PutDeployment.
type DeploymentWrite struct {
	Root, RootStage string
	Path            []string
	Deployment      *state.Deployment
}

// EndedScript is a script that may be repeated and has ended. Begun says that its beginning was recorded.
type EndedScript struct {
	ExecutionScript
	Begun bool
}

// AttemptEnd is all that the end of an attempt at an execution's scripts has to say.
type AttemptEnd struct {
	ExecutionID, EnvironmentID string
	// By is who stands behind the changes of the state.
	By string
	// Deployments, where set, gives the changes of the state. It is asked in the transaction, since some of what a change
	// holds is read first, and may be asked again.
	Deployments func(ctx context.Context, s *Store) ([]DeploymentWrite, error)
	Scripts     []EndedScript
	// Result is nil where nothing was made.
	Result *Result
	// Log is the log's last chunk, nil where there is none.
	Log *LogChunk
	// Status ends the execution, with Reason; "" leaves it open.
	Status Status
	Reason string
}

// EndAttempt records the end of an attempt in one transaction, so that everything is there before the execution shows as
// ended. ended is false where it stays open, or somebody else has ended it: the rest is recorded all the same. next are
// the executions that hold its locks now, to be signalled. ErrExists says that the place of the log's lines is taken, and
// nothing was recorded. Repeating the rest changes nothing.
func (s *Store) EndAttempt(ctx context.Context, a AttemptEnd) (ended bool, next []string, err error) {
	if alone, err := s.endAttemptAlone(ctx, a); alone || err != nil {
		return alone, nil, err
	}
	err = s.Tx(ctx, func(tx *Store) error {
		ended, next = false, nil
		if err := tx.putDeployments(ctx, a); err != nil {
			return err
		}
		if err := tx.EndScripts(ctx, a.Scripts); err != nil {
			return err
		}
		if a.Log != nil {
			if err := tx.PutLogs(ctx, a.ExecutionID, a.Log.FirstLine, a.Log.Count, a.Log.Data); err != nil {
				return err
			}
		}
		if a.Result != nil {
			if err := tx.SetResult(ctx, a.ExecutionID, *a.Result); err != nil {
				return err
			}
		}
		if a.Status == "" {
			return nil
		}
		var err error
		next, err = tx.FinishExecution(ctx, a.ExecutionID, a.Status, a.Reason)
		if errors.Is(err, ErrFinal) {
			return nil
		}
		ended = err == nil
		return err
	})
	if err != nil {
		return false, nil, err
	}
	return ended, next, nil
}

// writes gives the changes of the state in the order in which everybody writes the roots of an environment: attempts that end
// at once and wrote them in orders of their own would wait for each other. Changes of one root keep their order.
func (a AttemptEnd) writes(ctx context.Context, s *Store) ([]DeploymentWrite, error) {
	if a.Deployments == nil {
		return nil, nil
	}
	list, err := a.Deployments(ctx, s)
	slices.SortStableFunc(list, func(a, b DeploymentWrite) int { return strings.Compare(a.Root, b.Root) })
	return list, err
}

func (s *Store) putDeployments(ctx context.Context, a AttemptEnd) error {
	list, err := a.writes(ctx, s)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := s.PutDeployment(ctx, a.EnvironmentID, d.Root, d.Path, d.RootStage, d.Deployment, a.By); err != nil {
			return err
		}
	}
	return nil
}

// EndScripts records the ends of scripts that may be repeated.
func (s *Store) EndScripts(ctx context.Context, scripts []EndedScript) error {
	for _, r := range scripts {
		var err error
		if r.Begun {
			err = s.EndScript(ctx, r.ExecutionID, r.Key, r.Result)
		} else {
			err = s.RecordScript(ctx, r.ExecutionScript)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
