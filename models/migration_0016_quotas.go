package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0016Quotas adds what organizations may have at most, and lets the bytes of stored packages be added up without
// the rows, which are long.
var migration0016Quotas = &gormigrate.Migration{
	ID: "0016_quotas",
	Migrate: func(tx *gorm.DB) error {
		moment := "timestamptz"
		if tx.Name() == "sqlite" {
			moment = "datetime"
		}
		for _, q := range []string{
			`CREATE TABLE organization_quotas (
				organization_id varchar(36) NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
				resource varchar(32) NOT NULL,
				maximum bigint NOT NULL,
				updated_at ` + moment + ` NOT NULL,
				PRIMARY KEY (organization_id, resource))`,
			"CREATE INDEX releases_stored ON releases (application_id, package_size) WHERE package_key <> ''",
			"CREATE INDEX package_versions_stored ON package_versions (package_id, archive_size) WHERE archive_key <> ''",
		} {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		return nil
	},
}
