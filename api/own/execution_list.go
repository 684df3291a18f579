package own

import (
	"context"
	"slices"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// executionsQuery narrows the list. Empty members do not filter.
type executionsQuery struct {
	Project string `query:"project" validate:"max=200"`
	// Environment needs the project that it is in.
	Environment string `query:"environment" validate:"max=300"`
	// Kind is build, deployment, pipeline, asset-search or asset-scan.
	Kind string `query:"kind" validate:"max=32"`
	// Subject is the name of the build, deployment job or pipeline.
	Subject string `query:"subject" validate:"max=500"`
	// Status is one or more outcomes, separated by commas: new, queued, running, waiting, ok, failed, cancelled, skipped,
	// abandoned; "open" stands for the first four.
	Status   string `query:"status" validate:"max=200"`
	PageSize int    `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of an execution: every item has a lower one.
	PageFrom string `query:"page_from" validate:"max=100"`
}

var allStatuses = []models.Status{models.StatusNew, models.StatusQueued, models.StatusRunning, models.StatusWaiting,
	models.StatusOK, models.StatusFailed, models.StatusCancelled, models.StatusSkipped, models.StatusAbandoned}

// statuses reads the parameter status.
func statuses(text string) ([]models.Status, error) {
	var list []models.Status
	for word := range strings.SplitSeq(text, ",") {
		switch status := models.Status(strings.TrimSpace(word)); {
		case status == "":
		case status == "open":
			list = append(list, allStatuses[:4]...)
		case slices.Contains(allStatuses, status):
			list = append(list, status)
		default:
			return nil, problem.BadField("status", "'%s' is not one of open, new, queued, running, waiting, ok, failed, cancelled, skipped, abandoned", status)
		}
	}
	return list, nil
}

func (s *surface) listExecutions(ctx context.Context, q *executionsQuery) ([]Execution, error) {
	f := models.ExecutionFilter{Kind: q.Kind, SubjectName: q.Subject, PageSize: q.PageSize, PageFrom: q.PageFrom}
	if q.Kind != "" && !slices.Contains(models.ExecutionKinds, q.Kind) {
		return nil, problem.BadField("kind", "'%s' is not one of %s", q.Kind, strings.Join(models.ExecutionKinds, ", "))
	}
	var err error
	if f.Statuses, err = statuses(q.Status); err != nil {
		return nil, err
	}
	v, err := s.Policy.Visible(ctx, api.SubjectOf(ctx), "execution:read")
	if err != nil {
		return nil, err
	}
	f.Visible = &v
	if q.Project != "" {
		// Of a project that the caller may not see the list would be empty, as of one that does not exist.
		p, err := s.Scopes.Project(ctx, q.Project)
		if err != nil {
			if isNotFound(err) {
				return []Execution{}, nil
			}
			return nil, err
		}
		f.ProjectID = p.ID
	}
	if q.Environment != "" {
		if q.Project == "" {
			return nil, problem.BadField("environment", "environments belong to projects: name the project too")
		}
		e, err := s.Store.EnvironmentByName(ctx, f.ProjectID, q.Environment)
		if err != nil {
			if isNotFound(err) {
				return []Execution{}, nil
			}
			return nil, err
		}
		f.EnvironmentID = e.ID
	}
	list, err := s.Store.ListNamedExecutions(ctx, f)
	if err != nil {
		return nil, err
	}
	return api.Each(list, showNamed), nil
}

// showNamed shows an execution that was read without its definition.
func showNamed(e *models.NamedExecution) Execution {
	out := show(&e.Execution)
	out.Project, out.Environment = e.ProjectName, e.EnvironmentName
	return out
}
