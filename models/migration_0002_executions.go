package models

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0002Executions makes the tables that builds, deployments, pipelines and every later kind of execution share.
var migration0002Executions = &gormigrate.Migration{
	ID: "0002_executions",
	Migrate: func(tx *gorm.DB) error {
		type executions struct {
			ID                string `gorm:"primaryKey;size:36"`
			Kind              string `gorm:"size:32;not null"`
			ProjectID         string `gorm:"size:36;not null"`
			EnvironmentID     string `gorm:"size:36;not null"`
			SubjectID         string `gorm:"size:36;not null;uniqueIndex:idx_executions_number,priority:1"`
			SubjectName       string `gorm:"size:500;not null"`
			Number            int64  `gorm:"not null;uniqueIndex:idx_executions_number,priority:2"`
			Status            string `gorm:"size:16;not null"`
			Reason            string `gorm:"type:text;not null"`
			RunID             string `gorm:"size:64;not null"`
			TaskQueue         string `gorm:"size:200;not null"`
			ParentID          string `gorm:"size:36;not null;index:idx_executions_parent"`
			ParentPhase       int    `gorm:"not null"`
			ParentStep        int    `gorm:"not null"`
			RootID            string `gorm:"size:36;not null"`
			RetryOf           string `gorm:"size:36;not null"`
			Trigger           string `gorm:"type:text;not null"`
			IdempotencyKey    *string
			Definition        []byte
			Result            []byte
			Commit            *string `gorm:"type:text"`
			Sequence          int64   `gorm:"not null"`
			CancelRequestedAt *time.Time
			CancelRequestedBy string    `gorm:"size:200;not null"`
			CreatedAt         time.Time `gorm:"not null"`
			ClaimedAt         *time.Time
			StartedAt         *time.Time
			FinishedAt        *time.Time
			CheckedAt         time.Time `gorm:"not null"`
			LogsArchived      bool      `gorm:"not null"`
		}
		type executionCounters struct {
			SubjectID string `gorm:"primaryKey;size:36"`
			Last      int64  `gorm:"not null"`
		}
		type executionSteps struct {
			ExecutionID string `gorm:"primaryKey;size:36"`
			Phase       int    `gorm:"primaryKey;autoIncrement:false"`
			Step        int    `gorm:"primaryKey;autoIncrement:false"`
			Name        string `gorm:"size:500;not null"`
			Type        string `gorm:"size:32;not null"`
			Status      string `gorm:"size:16;not null"`
			Reason      string `gorm:"type:text;not null"`
			ChildID     string `gorm:"size:36;not null"`
			Kept        bool   `gorm:"not null"`
			StartedAt   *time.Time
			FinishedAt  *time.Time
		}
		type executionScripts struct {
			ExecutionID string `gorm:"primaryKey;size:36"`
			Key         string `gorm:"primaryKey;size:500"`
			Attempt     int    `gorm:"not null"`
			Step        string `gorm:"size:64;not null"`
			Release     string `gorm:"size:300;not null"`
			Repeatable  bool   `gorm:"not null"`
			Finished    bool   `gorm:"not null"`
			Result      []byte
			StartedAt   time.Time `gorm:"not null"`
			FinishedAt  *time.Time
		}
		type executionDecisions struct {
			ExecutionID string `gorm:"primaryKey;size:36"`
			Key         string `gorm:"primaryKey;size:500"`
			Value       string `gorm:"type:text;not null"`
		}
		type confirmations struct {
			ID            string `gorm:"primaryKey;size:36"`
			ExecutionID   string `gorm:"size:36;not null;uniqueIndex:idx_confirmations_place,priority:1"`
			Phase         int    `gorm:"not null;uniqueIndex:idx_confirmations_place,priority:2"`
			Step          int    `gorm:"not null;uniqueIndex:idx_confirmations_place,priority:3"`
			CodeHash      string `gorm:"size:64;not null;uniqueIndex"`
			CodeSealed    []byte
			User          string `gorm:"size:200;not null"`
			Team          string `gorm:"size:200;not null"`
			Status        string `gorm:"size:16;not null"`
			DecidedByKind string `gorm:"size:32;not null"`
			DecidedByID   string `gorm:"size:36;not null"`
			DecidedByName string `gorm:"size:200;not null"`
			DecidedAt     *time.Time
			ExpiresAt     *time.Time
			SignalledAt   *time.Time
			CreatedAt     time.Time `gorm:"not null"`
		}
		type deploymentLocks struct {
			Ticket        int64  `gorm:"primaryKey;autoIncrement"`
			EnvironmentID string `gorm:"size:36;not null;index:idx_deployment_locks_environment"`
			Deployment    string `gorm:"size:500;not null"`
			ExecutionID   string `gorm:"size:36;not null;index:idx_deployment_locks_execution"`
			GrantedAt     *time.Time
			SeenAt        *time.Time
			CreatedAt     time.Time `gorm:"not null"`
		}
		type logChunks struct {
			ExecutionID string `gorm:"primaryKey;size:36"`
			FirstLine   int64  `gorm:"primaryKey;autoIncrement:false"`
			Count       int    `gorm:"not null"`
			Data        []byte
			CreatedAt   time.Time `gorm:"not null"`
		}
		if err := createTables(tx, &executions{}, &executionCounters{}, &executionSteps{}, &executionScripts{}, &executionDecisions{}, &confirmations{}, &deploymentLocks{}, &logChunks{}); err != nil {
			return err
		}
		for _, q := range []string{
			// Where the key is absent the index has nothing to say: NULLs are distinct in both databases.
			"CREATE UNIQUE INDEX idx_executions_idempotency ON executions (idempotency_key)",
			// Lists page downwards by id within a kind, a project or a subject.
			"CREATE INDEX idx_executions_kind ON executions (kind, id)",
			"CREATE INDEX idx_executions_project ON executions (project_id, kind, id)",
			"CREATE INDEX idx_executions_subject ON executions (subject_id, id)",
			// The reconciler looks at open rows only, and those are few.
			"CREATE INDEX idx_executions_root ON executions (root_id)",
			"CREATE INDEX idx_executions_open ON executions (checked_at) WHERE status IN ('new','queued','running','waiting')",
			"CREATE INDEX idx_executions_unarchived ON executions (finished_at) WHERE NOT logs_archived AND finished_at IS NOT NULL",
			"CREATE INDEX idx_confirmations_unsignalled ON confirmations (decided_at) WHERE signalled_at IS NULL AND decided_at IS NOT NULL",
		} {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		return nil
	},
}
