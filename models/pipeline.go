package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Pipeline joins builds, deployments and people's decisions into phases that follow each other.
type Pipeline struct {
	ID                 string `gorm:"primaryKey"`
	ProjectID          string
	Name               string
	Disabled           bool
	Phases             []PipelinePhase `gorm:"serializer:json"`
	ServiceAccountName string
	// SealedSigningSecret is what the requests of webhook-trigger steps are signed with; see SigningSecret.
	SealedSigningSecret []byte `gorm:"column:signing_secret"`
	// Limits are changed by SetLimits alone.
	Limits    Limits `gorm:"embedded"`
	CreatedAt time.Time
	UpdatedAt time.Time

	// Read only, filled by queries.
	ProjectName string `gorm:"->"`
	LastStatus  Status `gorm:"->"`
}

// Status is that of the newest execution, or new.
func (p *Pipeline) Status() Status { return orNew(p.LastStatus) }

// PipelineTrigger starts a pipeline from outside.
type PipelineTrigger struct {
	ID           string `gorm:"primaryKey"`
	PipelineID   string
	Position     int
	Type         string
	SealedToken  []byte `gorm:"column:token"`
	TokenHash    string
	SealedSecret []byte `gorm:"column:secret"`
	CreatedAt    time.Time
}

// CreatePipeline adds a pipeline. ErrExists where the project has one of that name.
func (s *Store) CreatePipeline(ctx context.Context, p *Pipeline) error {
	if p.Phases == nil {
		p.Phases = []PipelinePhase{} // nil would be stored as NULL
	}
	p.ID = NewID()
	p.CreatedAt, p.UpdatedAt = s.Now(), s.Now()
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.shareRow(ctx, "projects", p.ProjectID); err != nil {
			return err
		}
		if err := created(tx.writer(ctx).Create(p)); err != nil {
			return err
		}
		return tx.putListeners(ctx, p)
	})
}

// UpdatePipeline writes what may change of a pipeline: everything but its name.
func (s *Store) UpdatePipeline(ctx context.Context, p *Pipeline) error {
	p.UpdatedAt = s.Now()
	return s.Tx(ctx, func(tx *Store) error {
		if err := found(tx.writer(ctx).Model(&Pipeline{}).Where("id = ?", p.ID).Select("disabled", "phases", "service_account_name", "updated_at").Updates(p)); err != nil {
			return err
		}
		return tx.putListeners(ctx, p)
	})
}

func (s *Store) pipelines(ctx context.Context) *gorm.DB {
	return s.reader(ctx).Table("pipelines").
		Select("pipelines.*, projects.name AS project_name, " + lastStatus).
		Joins("JOIN projects ON projects.id = pipelines.project_id").
		Joins(joinLastExecution("pipelines"))
}

// PipelineHead finds a pipeline of a project without its phases, which may be a megabyte: for lists of its executions.
func (s *Store) PipelineHead(ctx context.Context, projectID, name string) (*Pipeline, error) {
	var p Pipeline
	err := one(s.reader(ctx).Table("pipelines").Select("id, project_id, name, disabled, service_account_name").Where("project_id = ? AND name = ?", projectID, name).Take(&p))
	return &p, err
}

// PipelineByName finds a pipeline of a project.
func (s *Store) PipelineByName(ctx context.Context, projectID, name string) (*Pipeline, error) {
	var p Pipeline
	err := one(s.pipelines(ctx).Where("pipelines.project_id = ? AND pipelines.name = ?", projectID, name).Take(&p))
	return &p, err
}

// PipelineByID finds a pipeline.
func (s *Store) PipelineByID(ctx context.Context, id string) (*Pipeline, error) {
	var p Pipeline
	err := one(s.pipelines(ctx).Where("pipelines.id = ?", id).Take(&p))
	return &p, err
}

// ListPipelines lists pipelines, newest first, in one query.
func (s *Store) ListPipelines(ctx context.Context, w Where) ([]Pipeline, error) {
	var list []Pipeline
	err := w.apply(s, s.pipelines(ctx), "pipelines").Order("pipelines.id DESC").Find(&list).Error
	return list, err
}

// DeletePipeline removes a pipeline and its triggers. It returns an ActiveError while one of its executions has not
// ended; their rows stay.
func (s *Store) DeletePipeline(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.closeSubjects(ctx, "SELECT id, -1 FROM pipelines WHERE id = ?", id); err != nil {
			return err
		}
		if err := tx.refuseActive(ctx, "subject_id = ?", id); err != nil {
			return err
		}
		if err := tx.writer(ctx).Where("pipeline_id = ?", id).Delete(&PipelineTrigger{}).Error; err != nil {
			return err
		}
		if err := found(tx.writer(ctx).Where("id = ?", id).Delete(&Pipeline{})); err != nil {
			return err
		}
		return tx.removeSchedules(ctx, "subject_id = ?", id).Error
	})
}

// PutPipelineTriggers makes a pipeline's triggers the ones given, in that order. One with a known id keeps its token;
// one without gets a new token. secrets holds, by place in the list, what webhooks are signed with; nil keeps what is
// there. An id that the pipeline does not have is ErrNotFound.
func (s *Store) PutPipelineTriggers(ctx context.Context, pipelineID string, list []PipelineTrigger, secrets []*string) error {
	return s.Tx(ctx, func(tx *Store) error {
		old, err := tx.PipelineTriggers(ctx, pipelineID)
		if err != nil {
			return err
		}
		known := map[string]PipelineTrigger{}
		for _, t := range old {
			known[t.ID] = t
		}
		if err := tx.writer(ctx).Where("pipeline_id = ?", pipelineID).Delete(&PipelineTrigger{}).Error; err != nil {
			return err
		}
		for i := range list {
			t := &list[i]
			if t.ID == "" {
				t.ID, t.CreatedAt = NewID(), tx.Now()
				token := NewWebhookToken()
				if t.SealedToken, err = tx.seal([]byte(token), place("pipeline_triggers", "token", t.ID)); err != nil {
					return err
				}
				t.TokenHash = webhookHash(token)
			} else {
				had, ok := known[t.ID]
				if !ok {
					return ErrNotFound
				}
				delete(known, t.ID)
				t.SealedToken, t.TokenHash, t.SealedSecret, t.CreatedAt = had.SealedToken, had.TokenHash, had.SealedSecret, had.CreatedAt
			}
			t.PipelineID, t.Position = pipelineID, i
			if secrets[i] != nil {
				if t.SealedSecret, err = tx.seal([]byte(*secrets[i]), place("pipeline_triggers", "secret", t.ID)); err != nil {
					return err
				}
			}
			if err := created(tx.writer(ctx).Create(t)); err != nil {
				return err
			}
		}
		return nil
	})
}

// PipelineTriggers lists the triggers of pipelines, in order.
func (s *Store) PipelineTriggers(ctx context.Context, pipelineIDs ...string) ([]PipelineTrigger, error) {
	var list []PipelineTrigger
	if len(pipelineIDs) == 0 {
		return nil, nil
	}
	err := s.reader(ctx).Where("pipeline_id IN ?", pipelineIDs).Order("pipeline_id, position").Find(&list).Error
	return list, err
}

// TriggerSecrets opens a trigger's token and the secret its webhooks are signed with ("" for none).
func (s *Store) TriggerSecrets(t *PipelineTrigger) (token, secret string, err error) {
	a, err := s.unseal(t.SealedToken, place("pipeline_triggers", "token", t.ID))
	if err != nil {
		return "", "", err
	}
	b, err := s.unseal(t.SealedSecret, place("pipeline_triggers", "secret", t.ID))
	return string(a), string(b), err
}

// PipelineByWebhook finds the pipeline, and its trigger, whose webhook has the token.
func (s *Store) PipelineByWebhook(ctx context.Context, token string) (*Pipeline, *PipelineTrigger, error) {
	var t PipelineTrigger
	if err := one(s.reader(ctx).Where("token_hash = ?", webhookHash(token)).Take(&t)); err != nil {
		return nil, nil, err
	}
	p, err := s.PipelineByID(ctx, t.PipelineID)
	return p, &t, err
}

// Definition is the snapshot that an execution of the pipeline runs.
func (p *Pipeline) Definition() PipelineDefinition {
	return PipelineDefinition{PipelineID: p.ID, Name: p.Name, Project: p.ProjectName, Phases: p.Phases, ServiceAccountName: p.ServiceAccountName, Limits: p.Limits}
}

// SigningSecret opens what the requests of a pipeline's webhook-trigger steps are signed with, "" for none yet.
func (s *Store) SigningSecret(p *Pipeline) (string, error) {
	b, err := s.unseal(p.SealedSigningSecret, place("pipelines", "signing_secret", p.ID))
	return string(b), err
}

// SetSigningSecret changes it.
func (s *Store) SetSigningSecret(ctx context.Context, p *Pipeline, secret string) error {
	sealed, err := s.seal([]byte(secret), place("pipelines", "signing_secret", p.ID))
	if err != nil {
		return err
	}
	p.SealedSigningSecret = sealed
	return found(s.writer(ctx).Model(&Pipeline{}).Where("id = ?", p.ID).Update("signing_secret", sealed))
}

// EnsureSigningSecret gives what the requests of a pipeline's webhook-trigger steps are signed with, and makes it where there
// is none. ErrNotFound where the pipeline is gone.
func (s *Store) EnsureSigningSecret(ctx context.Context, pipelineID string) (secret string, isNew bool, err error) {
	secret = NewWebhookToken()
	sealed, err := s.seal([]byte(secret), place("pipelines", "signing_secret", pipelineID))
	if err != nil {
		return "", false, err
	}
	u := s.writer(ctx).Model(&Pipeline{}).Where("id = ? AND signing_secret IS NULL", pipelineID).Update("signing_secret", sealed)
	if u.Error != nil || u.RowsAffected == 1 {
		return secret, u.Error == nil, u.Error
	}
	var p Pipeline
	if err := one(s.writer(ctx).Select("id", "signing_secret").Where("id = ?", pipelineID).Take(&p)); err != nil {
		return "", false, err
	}
	secret, err = s.SigningSecret(&p)
	return secret, false, err
}

// CallsWebhooks says whether one of the pipeline's steps sends a signed request.
func (p *Pipeline) CallsWebhooks() bool {
	for _, ph := range p.Phases {
		for _, st := range ph.Steps {
			if st.Type == StepWebhook {
				return true
			}
		}
	}
	return false
}
