package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0007Steps is for the steps of pipelines that start something of its own, and for the pipelines that start when
// a build or a deployment has ended well.
var migration0007Steps = &gormigrate.Migration{
	ID: "0007_steps",
	Migrate: func(tx *gorm.DB) error {
		moment, bytes := "DATETIME", "BLOB"
		if tx.Name() == "postgres" {
			moment, bytes = "TIMESTAMPTZ", "BYTEA"
		}
		for _, q := range []string{
			"ALTER TABLE execution_steps ADD COLUMN detached BOOLEAN NOT NULL DEFAULT FALSE",
			"ALTER TABLE execution_steps ADD COLUMN delivery_id VARCHAR(36) NOT NULL DEFAULT ''",
			"ALTER TABLE pipelines ADD COLUMN signing_secret " + bytes,
			`CREATE TABLE pipeline_listeners (
				pipeline_id VARCHAR(36) NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
				kind VARCHAR(32) NOT NULL,
				project_id VARCHAR(36) NOT NULL,
				environment VARCHAR(200) NOT NULL,
				name VARCHAR(500) NOT NULL,
				PRIMARY KEY (pipeline_id, kind, project_id, environment, name))`,
			// Every end of a build or a deployment asks it.
			"CREATE INDEX idx_pipeline_listeners_subject ON pipeline_listeners (project_id, kind, name)",
			`CREATE TABLE pipeline_starts (
				execution_id VARCHAR(36) NOT NULL,
				pipeline_id VARCHAR(36) NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
				created_at ` + moment + ` NOT NULL,
				checked_at ` + moment + ` NOT NULL,
				PRIMARY KEY (execution_id, pipeline_id))`,
			"CREATE INDEX idx_pipeline_starts_checked ON pipeline_starts (checked_at)",
		} {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		return nil
	},
}
