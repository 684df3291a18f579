package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0008Limits adds the limits of builds, deployment jobs and pipelines to their rows, and lets a queue have more
// than one place. The defaults are for processes of the version before, which know nothing of the columns.
var migration0008Limits = &gormigrate.Migration{
	ID: "0008_limits",
	Migrate: func(tx *gorm.DB) error {
		for _, table := range []string{"builds", "deployment_jobs", "pipelines"} {
			for _, column := range []string{"max_parallel INTEGER NOT NULL DEFAULT 0", "when_busy VARCHAR(16) NOT NULL DEFAULT ''", "time_limit BIGINT NOT NULL DEFAULT 0"} {
				if err := tx.Exec("ALTER TABLE " + table + " ADD COLUMN " + column).Error; err != nil {
					return err
				}
			}
		}
		return tx.Exec("ALTER TABLE deployment_locks ADD COLUMN capacity INTEGER NOT NULL DEFAULT 1").Error
	},
}
