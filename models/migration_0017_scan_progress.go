package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0017ScanProgress lets scans say how far they are within a repository, which may have thousands of tags.
var migration0017ScanProgress = &gormigrate.Migration{
	ID: "0017_scan_progress",
	Migrate: func(tx *gorm.DB) error {
		// The default is for processes of the version before.
		return tx.Exec("ALTER TABLE asset_scans ADD COLUMN reading bigint NOT NULL DEFAULT 0").Error
	},
}
