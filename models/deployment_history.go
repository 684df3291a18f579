package models

import (
	"context"
	"time"

	"gorm.io/gorm/clause"

	"slipway/internal/state"
)

// DeploymentHistory is one finished stage of a deployment: what was there, since when, and how it got there.
type DeploymentHistory struct {
	ID            string `gorm:"primaryKey"`
	EnvironmentID string
	// Root is the root deployment, Path the names down to the one meant, joined by ":", and RootStage the root's stage
	// that a longer path goes through.
	Root, RootStage, Path string
	// Stage is build or deploy.
	Stage string
	// StatusAt is the time of the status as the client wrote it: a client repeats whole nodes, and one status is one row.
	StatusAt string
	// Status is ok, failure, test_failure, destroy_failure, or empty after a destruction.
	Status           state.Code
	Release, Version string
	ChangedBy        string
	CreatedAt        time.Time
}

// TableName is not the plural that GORM would make.
func (DeploymentHistory) TableName() string { return "deployment_history" }

// finishedStages gives the rows of history that a write stands for.
func finishedStages(row deployment, d *state.Deployment) []DeploymentHistory {
	var list []DeploymentHistory
	for _, name := range []string{state.StageBuild, state.StageDeploy} {
		stage := d.Stages[name]
		if stage == nil || stage.Version == "" || stage.Status == nil {
			continue
		}
		switch code := stage.Status.Code; {
		case code == state.OK, code.Failed(), code == state.Empty:
			at := stage.Status.UpdatedAt
			if at.IsZero() {
				at = row.UpdatedAt
			}
			list = append(list, DeploymentHistory{ID: NewID(), EnvironmentID: row.EnvironmentID, Root: row.Root, RootStage: row.RootStage, Path: row.Path,
				Stage: name, StatusAt: at.UTC().Format(time.RFC3339Nano), Status: code, Release: shorten(d.Release, 200), Version: shorten(stage.Version, 200),
				ChangedBy: shorten(row.UpdatedBy, 200), CreatedAt: row.UpdatedAt})
		}
	}
	return list
}

func (s *Store) addHistory(ctx context.Context, rows []DeploymentHistory) error {
	if len(rows) == 0 {
		return nil
	}
	return s.writer(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error
}

// ListDeploymentHistory gives the history of an environment, or of one root deployment in it, newest first. before is
// the id of a row: every item has a lower one; size is 1 to 1000, 0 means 50.
func (s *Store) ListDeploymentHistory(ctx context.Context, environmentID, root, before string, size int) ([]DeploymentHistory, error) {
	q := s.reader(ctx).Where("environment_id = ?", environmentID)
	if root != "" {
		q = q.Where("root = ?", root)
	}
	if before != "" {
		q = q.Where("id < ?", before)
	}
	if size <= 0 {
		size = 50
	}
	var list []DeploymentHistory
	err := q.Order("id DESC").Limit(min(size, 1000)).Find(&list).Error
	return list, err
}
