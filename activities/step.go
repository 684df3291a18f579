package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/executions"
	"slipway/internal/problem"
	"slipway/inventory"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// stepper begins the steps of one phase. What the steps have in common it looks up once.
type stepper struct {
	*Executions
	e     *models.Execution
	d     models.PipelineDefinition
	phase int

	own      *models.Project
	actor    *policies.Subject
	projects map[string]*models.Project // those in which the actor was found to be allowed, by action and name
	made     *inPipeline                // see madeHere
}

// step records what a step runs as, or why it cannot run: a *problem.Error of what follows says that, for people.
func (s *stepper) step(ctx context.Context, st models.PipelineStep, run *workflows.StepRun) error {
	err := s.begin(ctx, st, run)
	var p *problem.Error
	if !errors.As(err, &p) || p.Kind == problem.Unavailable {
		return err
	}
	return s.ended(ctx, s.Store, run, workflows.Outcome{Status: models.StatusFailed, Reason: p.Error()})
}

func (s *stepper) begin(ctx context.Context, st models.PipelineStep, run *workflows.StepRun) error {
	project, err := s.project(ctx, st)
	if err != nil {
		return err
	}
	switch st.Type {
	case models.StepPipeline:
		return s.pipeline(ctx, project, st, run)
	case models.StepTagRelease:
		return s.tag(ctx, st, run)
	case models.StepWebhook:
		return s.webhook(ctx, st, run)
	case models.StepBuild:
		n, err := s.build(ctx, project, st)
		if err != nil {
			return err
		}
		return s.child(ctx, run, *n)
	case models.StepDeploy, models.StepSmoke, models.StepDestroy, models.StepErrand:
		return s.deployment(ctx, project, st, run)
	}
	return problem.New(problem.Unprocessable, "there is no type of step %q", st.Type)
}

// kept takes a step over that has ended: by itself, in an earlier try, or in the execution that is retried. One whose
// execution started this pipeline is asked for its right like one that runs.
func (s *stepper) kept(ctx context.Context, st models.PipelineStep, row models.ExecutionStep, run *workflows.StepRun) error {
	run.Outcome = &workflows.Outcome{Status: row.Status, Reason: row.Reason}
	if !row.Kept || row.ChildID == "" || row.ChildID != s.e.Trigger.Execution {
		return nil
	}
	_, err := s.project(ctx, st)
	var p *problem.Error
	if errors.As(err, &p) && p.Kind != problem.Unavailable {
		return s.ended(ctx, s.Store, run, workflows.Outcome{Status: models.StatusFailed, Reason: p.Error()})
	}
	return err
}

// key makes a repeated step the same execution.
func (s *stepper) key(run *workflows.StepRun) string {
	return fmt.Sprintf("%s/%d/%d", s.e.ID, s.phase, run.Step)
}

// trigger says that this pipeline is behind an execution, and who is behind the pipeline.
func (s *stepper) trigger() models.Trigger {
	t := s.e.Trigger
	return models.Trigger{Type: models.TriggerPipeline, SubjectKind: t.SubjectKind, SubjectID: t.SubjectID, SubjectName: t.SubjectName, Execution: s.e.ID}
}

func (s *stepper) row(run *workflows.StepRun, status models.Status) models.ExecutionStep {
	now := s.Store.Now().Truncate(time.Microsecond)
	r := models.ExecutionStep{ExecutionID: s.e.ID, Phase: s.phase, Step: run.Step, Status: status, StartedAt: &now}
	if status.Final() {
		r.FinishedAt = &now
	}
	return r
}

// ended ends a step that runs as no execution of its own.
func (s *stepper) ended(ctx context.Context, tx *models.Store, run *workflows.StepRun, out workflows.Outcome) error {
	run.Outcome = &out
	r := s.row(run, out.Status)
	r.Reason = out.Reason
	return tx.PutSteps(ctx, r)
}

// child records the execution that a step runs as. within, where given, runs in the same transaction, once.
func (s *stepper) child(ctx context.Context, run *workflows.StepRun, n models.NewExecution, within ...func(tx *models.Store, child *models.Execution) error) error {
	n.ParentID, n.ParentPhase, n.ParentStep, n.RootID = s.e.ID, s.phase, run.Step, s.e.RootID
	n.IdempotencyKey, n.Trigger = s.key(run), s.trigger()
	limit, err := models.ParseTimeLimit(s.d.Phases[s.phase].Steps[run.Step].TimeLimit)
	if err != nil {
		return problem.New(problem.Unprocessable, "time_limit: %s", err.Error())
	}
	n.Definition = models.WithTimeLimit(n.Definition, limit)
	if n.Audit == nil {
		if n.By, err = s.auditor(ctx); err != nil {
			return err
		}
	}
	var older []string
	err = s.Store.Tx(ctx, func(tx *models.Store) error {
		child, isNew, err := tx.CreateExecution(ctx, n)
		if errors.Is(err, models.ErrDeleted) {
			return problem.Wrap(problem.NotFound, err, "%s was deleted", n.SubjectName)
		}
		if err != nil {
			return err
		}
		older = child.Supersedes
		if isNew {
			for _, f := range within {
				if err := f(tx, child); err != nil {
					return err
				}
			}
		}
		run.ChildID = child.ID
		run.Workflow, run.TaskQueue, run.ScriptQueue = executions.WorkflowFor(child)
		r := s.row(run, models.StatusRunning)
		r.ChildID = child.ID
		return tx.PutSteps(ctx, r)
	})
	if err == nil {
		s.Service.CancelOlder(ctx, older)
	}
	return err
}

// project finds the project that a step works in, and asks whether the pipeline may do there what the step does: as its
// service account, where it has one, and in its own project alone, where it has none. It was asked when the pipeline was
// saved, and is asked again for every run: rights are taken away, too.
func (s *stepper) project(ctx context.Context, st models.PipelineStep) (*models.Project, error) {
	action := executions.StepAction(st.Type)
	if p, ok := s.projects[action+" "+st.Project]; ok {
		return p, nil
	}
	if s.own == nil {
		own, err := s.Store.ProjectByID(ctx, s.e.ProjectID)
		if err != nil {
			return nil, err
		}
		s.own = own
	}
	p := s.own
	refused := problem.New(problem.Forbidden, "the pipeline may not work in project %q: its service account needs write there", st.Project)
	if st.Project != "" && st.Project != s.own.Name {
		if s.d.ServiceAccountName == "" {
			return nil, refused
		}
		other, err := s.Store.ProjectInOrganization(ctx, s.own.OrganizationID, st.Project)
		if errors.Is(err, models.ErrNotFound) {
			return nil, refused
		}
		if err != nil {
			return nil, err
		}
		p = other
	} else {
		refused = problem.New(problem.Forbidden, "the service account %q, which the pipeline acts as, may not run this in project %q", s.d.ServiceAccountName, s.own.Name)
	}
	if s.d.ServiceAccountName != "" {
		actor, err := s.subject(ctx)
		if err != nil {
			return nil, err
		}
		scopes, err := s.Store.ScopePath(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		ok, err := s.Policy.Allow(ctx, *actor, action, policies.Resource{Kind: "project", ID: p.ID, Scopes: scopes})
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, refused
		}
	}
	s.projects[action+" "+st.Project] = p
	return p, nil
}

// subject is what the pipeline acts as: its service account, or, without one, its project and nothing more.
func (s *stepper) subject(ctx context.Context) (*policies.Subject, error) {
	if s.actor != nil {
		return s.actor, nil
	}
	actor := inventory.ProjectSubject(s.own)
	if name := s.d.ServiceAccountName; name != "" {
		account, err := s.Store.ServiceAccountByName(ctx, s.own.OrganizationID, name)
		if err == nil {
			actor, err = s.Store.Subject(ctx, policies.KindServiceAccount, account.ID)
		}
		if errors.Is(err, models.ErrNotFound) {
			return nil, problem.New(problem.Forbidden, "the service account %q, which the pipeline acts as, does not exist or is disabled", name)
		}
		if err != nil {
			return nil, err
		}
	}
	s.actor = &actor
	return s.actor, nil
}

// auditor is who stands in the audit log for what the pipeline does: its service account, or the pipeline itself.
func (s *stepper) auditor(ctx context.Context) (policies.Subject, error) {
	if s.d.ServiceAccountName == "" {
		return policies.Subject{Kind: models.KindPipeline, ID: s.e.SubjectID, Name: s.e.SubjectName}, nil
	}
	actor, err := s.subject(ctx)
	if err != nil {
		return policies.Subject{}, err
	}
	return *actor, nil
}
