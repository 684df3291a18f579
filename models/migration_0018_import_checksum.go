package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0018ImportChecksum makes room for what an import has read of its file. Imports that were interrupted before begin
// anew.
var migration0018ImportChecksum = &gormigrate.Migration{
	ID: "0018_import_checksum",
	Migrate: func(tx *gorm.DB) error {
		return tx.Exec("ALTER TABLE asset_imports ADD COLUMN checksum VARCHAR(16) NOT NULL DEFAULT ''").Error
	},
}
