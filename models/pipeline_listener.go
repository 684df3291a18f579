package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm/clause"
)

// PipelineListener says that a pipeline starts when a build, or a deployment by a deployment job, has ended well: one of
// its steps has trigger_pipeline_on_build or trigger_pipeline_on_deploy. Builds and jobs are known by their names, as in
// steps, so that one that is made anew is still heard.
type PipelineListener struct {
	PipelineID string `gorm:"primaryKey"`
	// Kind is KindBuild or KindDeployment.
	Kind        string `gorm:"primaryKey"`
	ProjectID   string `gorm:"primaryKey"`
	Environment string `gorm:"primaryKey"`
	Name        string `gorm:"primaryKey"`
}

// PipelineStart is the intent to start a pipeline because an execution has ended well. It is written with the end, so
// that a crash in between loses nothing, and removed when the pipeline was started or cannot be.
type PipelineStart struct {
	ExecutionID string `gorm:"primaryKey"`
	PipelineID  string `gorm:"primaryKey"`
	CreatedAt   time.Time
	CheckedAt   time.Time
}

// ListensTo gives the kind and the name of what a step makes its pipeline start on, "" for a step that does not.
func (st PipelineStep) ListensTo() (kind, name string) {
	switch {
	case st.TriggerPipelineOnBuild && st.Type == StepBuild:
		return KindBuild, st.Build
	case st.TriggerPipelineOnDeploy && st.Deployment != "":
		return KindDeployment, st.Deployment
	}
	return "", ""
}

// putListeners makes a pipeline's listeners those of its steps.
func (s *Store) putListeners(ctx context.Context, p *Pipeline) error {
	if err := s.writer(ctx).Where("pipeline_id = ?", p.ID).Delete(&PipelineListener{}).Error; err != nil {
		return err
	}
	list, err := s.listenersOf(ctx, p)
	if err != nil || len(list) == 0 {
		return err
	}
	return s.writer(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&list).Error
}

func (s *Store) listenersOf(ctx context.Context, p *Pipeline) ([]PipelineListener, error) {
	var list []PipelineListener
	projects := map[string]string{"": p.ProjectID}
	for _, ph := range p.Phases {
		for _, st := range ph.Steps {
			kind, name := st.ListensTo()
			if kind == "" {
				continue
			}
			project, err := s.stepProject(ctx, p.ProjectID, st.Project, projects)
			if errors.Is(err, ErrNotFound) {
				continue // nothing there can end
			}
			if err != nil {
				return nil, err
			}
			list = append(list, PipelineListener{PipelineID: p.ID, Kind: kind, ProjectID: project, Environment: st.Environment, Name: name})
		}
	}
	return list, nil
}

// stepProject gives the id of the project that a step names: one of the same organization as the pipeline's. known
// remembers what was asked before.
func (s *Store) stepProject(ctx context.Context, own, name string, known map[string]string) (string, error) {
	if id, ok := known[name]; ok {
		return id, nil
	}
	p, err := s.ProjectByID(ctx, own)
	if err != nil {
		return "", err
	}
	other, err := s.ProjectInOrganization(ctx, p.OrganizationID, name)
	if err != nil {
		return "", err
	}
	known[name] = other.ID
	return other.ID, nil
}

// ListenersTo gives the pipelines that start when the build or deployment job given has ended well.
func (s *Store) ListenersTo(ctx context.Context, kind, projectID, environment, name string) ([]PipelineListener, error) {
	var list []PipelineListener
	err := s.reader(ctx).Where("project_id = ? AND kind = ? AND name = ? AND environment = ?", projectID, kind, name, environment).Order("pipeline_id").Find(&list).Error
	return list, err
}

// listenedSQL says of a row of executions whether a pipeline may be about to start on its end.
const listenedSQL = `EXISTS (SELECT 1 FROM pipeline_listeners p WHERE p.project_id = executions.project_id AND p.kind = executions.kind AND p.name = executions.subject_name)`

// recordStarts writes, in the transaction that ends an execution well, which pipelines are to start because of it.
func (s *Store) recordStarts(ctx context.Context, executionID string) error {
	// Nobody has looked at it yet: it is due at once.
	return s.writer(ctx).Exec(`INSERT INTO pipeline_starts (execution_id, pipeline_id, created_at, checked_at)
		SELECT e.id, l.pipeline_id, ?, ? FROM executions e
		JOIN pipeline_listeners l ON l.project_id = e.project_id AND l.kind = e.kind AND l.name = e.subject_name
		JOIN environments v ON v.id = e.environment_id AND v.name = l.environment
		WHERE e.id = ?`, s.Now(), time.Unix(0, 0).UTC(), executionID).Error
}

// TakeStarts gives intents that nobody has looked at since before, oldest first, and marks them as looked at, so that
// several reconcilers share the work and one that dies loses nothing.
func (s *Store) TakeStarts(ctx context.Context, before time.Time, limit int) ([]PipelineStart, error) {
	var list []PipelineStart
	err := s.writer(ctx).Raw(s.takeStartsSQL(), s.Now(), before, limit).Scan(&list).Error
	return list, err
}

// DropStart removes an intent that was carried out, or that cannot be.
func (s *Store) DropStart(ctx context.Context, p PipelineStart) error {
	return s.writer(ctx).Where("execution_id = ? AND pipeline_id = ?", p.ExecutionID, p.PipelineID).Delete(&PipelineStart{}).Error
}

// CountStarts counts the intents that are not done with.
func (s *Store) CountStarts(ctx context.Context) (int64, error) {
	var n int64
	err := s.reader(ctx).Model(&PipelineStart{}).Count(&n).Error
	return n, err
}
