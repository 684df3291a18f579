package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0013InstallationDeliveries adds the index by which the deliveries of the whole installation are listed: they have
// neither a project nor a namespace, and nothing else leads to them.
var migration0013InstallationDeliveries = &gormigrate.Migration{
	ID: "0013_installation_deliveries",
	Migrate: func(tx *gorm.DB) error {
		return tx.Exec("CREATE INDEX IF NOT EXISTS deliveries_installation ON deliveries (id) WHERE hook = 'installation/upload'").Error
	},
}
