package models

import "context"

// StepMade is what one step of a pipeline's execution has made: its child, with how that stands and its result.
type StepMade struct {
	ExecutionID string
	Type        string
	ChildID     string
	Status      Status
	// Result is the child's, see Execution.ResultOf.
	Result []byte
}

// madeAtOnce bounds how many executions one statement asks for.
const madeAtOnce = 500

// MadeBySteps gives, for each of the pipelines' executions, its steps that build, deploy or run another pipeline and have
// begun, in order. It asks once for many executions, since a pipeline may have thousands of steps.
func (s *Store) MadeBySteps(ctx context.Context, executionIDs []string) (map[string][]StepMade, error) {
	made := make(map[string][]StepMade, len(executionIDs))
	for len(executionIDs) > 0 {
		n := min(len(executionIDs), madeAtOnce)
		var rows []StepMade
		err := s.reader(ctx).Raw(`SELECT t.execution_id, t.type, t.child_id, c.status, c.result FROM execution_steps t
			JOIN executions c ON c.id = t.child_id
			WHERE t.execution_id IN ? AND t.child_id <> '' AND NOT t.detached AND t.type IN ? ORDER BY t.execution_id, t.phase, t.step`,
			executionIDs[:n], []string{StepBuild, StepDeploy, StepPipeline}).Scan(&rows).Error
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			made[r.ExecutionID] = append(made[r.ExecutionID], r)
		}
		executionIDs = executionIDs[n:]
	}
	return made, nil
}
