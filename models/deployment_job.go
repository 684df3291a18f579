package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// DeploymentJob deploys a release to an environment, and runs smoke tests, errands and the destruction of what it
// deployed.
type DeploymentJob struct {
	ID            string `gorm:"primaryKey"`
	ProjectID     string
	EnvironmentID string
	Name          string
	// Deployment is the name of the root deployment in the environment's state.
	Deployment string
	// Release is versionless (namespace/application); Version is exact, a query or a tag, kept as given.
	Release string
	Version string
	// Inputs may be secret: the store seals them.
	Inputs             map[string]any    `gorm:"-"`
	SealedInputs       []byte            `gorm:"column:inputs"`
	Providers          map[string]string `gorm:"serializer:json"`
	Disabled           bool
	ServiceAccountName string
	ServiceAccountTeam string
	TaskQueue          string
	// Limits are changed by SetLimits alone.
	Limits    Limits `gorm:"embedded"`
	CreatedAt time.Time
	UpdatedAt time.Time

	// Read only, filled by queries.
	ProjectName     string `gorm:"->"`
	EnvironmentName string `gorm:"->"`
	LastStatus      Status `gorm:"->"`
}

// Status is that of the newest execution, or new.
func (j *DeploymentJob) Status() Status { return orNew(j.LastStatus) }

func (s *Store) sealJob(j *DeploymentJob) error {
	j.SealedInputs = nil
	if j.Providers == nil {
		j.Providers = map[string]string{} // nil would be stored as NULL
	}
	if len(j.Inputs) == 0 {
		return nil
	}
	var err error
	j.SealedInputs, err = s.sealJSON(j.Inputs, place("deployment_jobs", "inputs", j.ID))
	return err
}

// CreateDeploymentJob adds a deployment job. ErrExists where the environment has one of that name.
func (s *Store) CreateDeploymentJob(ctx context.Context, j *DeploymentJob) error {
	j.ID = NewID()
	j.CreatedAt, j.UpdatedAt = s.Now(), s.Now()
	if err := s.sealJob(j); err != nil {
		return err
	}
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.shareRow(ctx, "environments", j.EnvironmentID); err != nil {
			return err
		}
		return created(tx.writer(ctx).Create(j))
	})
}

// UpdateDeploymentJob writes what may change of a deployment job: everything but its name and environment.
func (s *Store) UpdateDeploymentJob(ctx context.Context, j *DeploymentJob) error {
	j.UpdatedAt = s.Now()
	if err := s.sealJob(j); err != nil {
		return err
	}
	return found(s.writer(ctx).Model(&DeploymentJob{}).Where("id = ?", j.ID).
		Select("deployment", "release", "version", "inputs", "providers", "disabled", "service_account_name", "service_account_team", "task_queue", "updated_at").Updates(j))
}

// SetDeploymentJobVersion changes the version that a job deploys, as a pipeline's step does with update_version.
func (s *Store) SetDeploymentJobVersion(ctx context.Context, id, version string) error {
	return found(s.writer(ctx).Model(&DeploymentJob{}).Where("id = ?", id).Updates(map[string]any{"version": version, "updated_at": s.Now()}))
}

func (s *Store) deploymentJobs(ctx context.Context) *gorm.DB {
	return s.reader(ctx).Table("deployment_jobs").
		Select("deployment_jobs.*, projects.name AS project_name, environments.name AS environment_name, " + lastStatus).
		Joins("JOIN projects ON projects.id = deployment_jobs.project_id").
		Joins("JOIN environments ON environments.id = deployment_jobs.environment_id").
		Joins(joinLastExecution("deployment_jobs"))
}

func (s *Store) deploymentJob(q *gorm.DB) (*DeploymentJob, error) {
	var j DeploymentJob
	if err := one(q.Take(&j)); err != nil {
		return nil, err
	}
	return &j, s.unsealJSON(j.SealedInputs, place("deployment_jobs", "inputs", j.ID), &j.Inputs)
}

// DeploymentJobByName finds a deployment job of an environment.
func (s *Store) DeploymentJobByName(ctx context.Context, environmentID, name string) (*DeploymentJob, error) {
	return s.deploymentJob(s.deploymentJobs(ctx).Where("deployment_jobs.environment_id = ? AND deployment_jobs.name = ?", environmentID, name))
}

// DeploymentJobByID finds a deployment job.
func (s *Store) DeploymentJobByID(ctx context.Context, id string) (*DeploymentJob, error) {
	return s.deploymentJob(s.deploymentJobs(ctx).Where("deployment_jobs.id = ?", id))
}

// ListDeploymentJobs lists deployment jobs, newest first, in one query. The inputs stay sealed; see OpenInputs.
func (s *Store) ListDeploymentJobs(ctx context.Context, w Where) ([]DeploymentJob, error) {
	var list []DeploymentJob
	err := w.apply(s, s.deploymentJobs(ctx), "deployment_jobs").Order("deployment_jobs.id DESC").Find(&list).Error
	return list, err
}

// OpenInputs unseals the inputs of a deployment job that came from a list.
func (s *Store) OpenInputs(j *DeploymentJob) error {
	return s.unsealJSON(j.SealedInputs, place("deployment_jobs", "inputs", j.ID), &j.Inputs)
}

// DeleteDeploymentJob removes a deployment job. It returns an ActiveError while one of its executions has not ended.
// What it deployed stays where it is.
func (s *Store) DeleteDeploymentJob(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.closeSubjects(ctx, "SELECT id, -1 FROM deployment_jobs WHERE id = ?", id); err != nil {
			return err
		}
		if err := tx.refuseActive(ctx, "subject_id = ?", id); err != nil {
			return err
		}
		return found(tx.writer(ctx).Where("id = ?", id).Delete(&DeploymentJob{}))
	})
}

// Definition is the snapshot that an execution of the job runs: action is one of the Action constants. Inputs stay with
// the job, sealed: they may be secret, and a snapshot is not.
func (j *DeploymentJob) Definition(action string) DeploymentDefinition {
	return DeploymentDefinition{JobID: j.ID, Name: j.Name, Project: j.ProjectName, Environment: j.EnvironmentName, Action: action, Deployment: j.Deployment,
		Release: j.Release, Version: j.Version, Providers: j.Providers,
		ServiceAccountName: j.ServiceAccountName, ServiceAccountTeam: j.ServiceAccountTeam, TaskQueue: j.TaskQueue, Limits: j.Limits}
}
