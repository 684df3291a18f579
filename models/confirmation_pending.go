package models

import (
	"context"
	"strings"

	"slipway/policies"
)

// PendingConfirmation is a confirmation that waits for a decision, and the execution that waits for it.
type PendingConfirmation struct {
	Confirmation
	// Execution has no definition.
	Execution NamedExecution
	// StepName is what people know the step by.
	StepName string
}

// maxPending is the most confirmations that PendingConfirmations gives.
const maxPending = 200

// PendingConfirmations gives the confirmations that wait for a decision of somebody, oldest first: those that name the
// user or one of the teams, and those that name nobody in the projects of v. It narrows the list down to what may be
// meant; who may decide in the end is not decided here.
func (s *Store) PendingConfirmations(ctx context.Context, v policies.Visible, user string, teams []string) ([]PendingConfirmation, error) {
	inProjects := s.reader(ctx).Model(&Execution{}).Select("id").Where("status IN ?", openStatuses).Scopes(s.visibleProjects(v, "project_id"))
	var waiting []Confirmation
	err := s.reader(ctx).Where("status = ?", ConfirmationPending).
		Where(s.read.Where(`"user" = '' AND team = '' AND execution_id IN (?)`, inProjects).
			Or(`LOWER("user") = ? AND ? <> ''`, strings.ToLower(user), user).Or("team <> '' AND team IN ?", append([]string{""}, teams...))).
		Order("id").Limit(maxPending).Find(&waiting).Error
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	ids := make([]string, len(waiting))
	for i, c := range waiting {
		ids[i] = c.ExecutionID
	}
	columns, err := s.namedColumns()
	if err != nil {
		return nil, err
	}
	var open []NamedExecution
	if err := s.reader(ctx).Model(&Execution{}).Select(columns).Where("id IN ? AND status IN ?", ids, openStatuses).Find(&open).Error; err != nil {
		return nil, err
	}
	var steps []ExecutionStep
	if err := s.reader(ctx).Select("execution_id", "phase", "step", "name").Where("execution_id IN ? AND type = ?", ids, StepConfirmation).Find(&steps).Error; err != nil {
		return nil, err
	}
	type place struct {
		id          string
		phase, step int
	}
	names := map[place]string{}
	for _, st := range steps {
		names[place{st.ExecutionID, st.Phase, st.Step}] = st.Name
	}
	byID := map[string]*NamedExecution{}
	for i := range open {
		byID[open[i].ID] = &open[i]
	}
	list := make([]PendingConfirmation, 0, len(waiting))
	for _, c := range waiting {
		if e := byID[c.ExecutionID]; e != nil { // else it has ended, and its confirmation is about to be closed
			list = append(list, PendingConfirmation{Confirmation: c, Execution: *e, StepName: names[place{c.ExecutionID, c.Phase, c.Step}]})
		}
	}
	return list, nil
}
