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

// PendingFilter narrows PendingConfirmations down to what may be somebody's to decide.
type PendingFilter struct {
	// Visible are the projects whose confirmations that name nobody are given. User and Teams are the names of who asks;
	// "" is no user.
	Visible policies.Visible
	User    string
	Teams   []string
	// ExecutionID is the one execution that is asked for; "" is all.
	ExecutionID string
	// After is a confirmation's id: only later ones are given. "" begins with the oldest.
	After string
	// Limit is how many are read at most, from 1 on.
	Limit int
}

// PendingConfirmations gives the confirmations that may wait for a decision of somebody, oldest first: those that name the
// user or one of the teams, and those that name nobody in the visible projects. Who may decide in the end is not decided
// here. next is the After of the rest; "" where there is none.
func (s *Store) PendingConfirmations(ctx context.Context, f PendingFilter) (list []PendingConfirmation, next string, err error) {
	inProjects := s.reader(ctx).Model(&Execution{}).Select("id").Where("status IN ?", openStatuses).Scopes(s.visibleProjects(f.Visible, "project_id"))
	q := s.reader(ctx).Where("status = ?", ConfirmationPending).Where(notCancelledSQL).
		Where(s.read.Where(`"user" = '' AND team = '' AND execution_id IN (?)`, inProjects).
			Or(`LOWER("user") = ? AND ? <> ''`, strings.ToLower(f.User), f.User).Or("team <> '' AND team IN ?", append([]string{""}, f.Teams...)))
	if f.ExecutionID != "" {
		q = q.Where("execution_id = ?", f.ExecutionID)
	}
	if f.After != "" {
		q = q.Where("id > ?", f.After)
	}
	var waiting []Confirmation
	if err := q.Order("id").Limit(f.Limit).Find(&waiting).Error; err != nil || len(waiting) == 0 {
		return nil, "", err
	}
	if len(waiting) == f.Limit {
		next = waiting[f.Limit-1].ID
	}
	ids := make([]string, len(waiting))
	for i, c := range waiting {
		ids[i] = c.ExecutionID
	}
	columns, err := s.namedColumns()
	if err != nil {
		return nil, "", err
	}
	var open []NamedExecution
	if err := s.reader(ctx).Model(&Execution{}).Select(columns).Where("id IN ? AND status IN ?", ids, openStatuses).Find(&open).Error; err != nil {
		return nil, "", err
	}
	var steps []ExecutionStep
	if err := s.reader(ctx).Select("execution_id", "phase", "step", "name").Where("execution_id IN ? AND type = ?", ids, StepConfirmation).Find(&steps).Error; err != nil {
		return nil, "", err
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
	list = make([]PendingConfirmation, 0, len(waiting))
	for _, c := range waiting {
		if e := byID[c.ExecutionID]; e != nil { // else it has ended, and its confirmation is about to be closed
			list = append(list, PendingConfirmation{Confirmation: c, Execution: *e, StepName: names[place{c.ExecutionID, c.Phase, c.Step}]})
		}
	}
	return list, next, nil
}
