package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0012Assets says of executions of no project, the searches and scans of assets, whose they are: those who may
// read that organization see them. And it adds the indexes that fields without any needed on PostgreSQL: a filter by one of
// them that selected next to nothing walked through all assets. SQLite reads all rows as they lie, which is as quick.
var migration0012Assets = &gormigrate.Migration{
	ID: "0012_assets",
	Migrate: func(tx *gorm.DB) error {
		for _, q := range []string{
			// The default is for processes of the version before.
			"ALTER TABLE executions ADD COLUMN organization_id VARCHAR(36) NOT NULL DEFAULT ''",
			"UPDATE executions SET organization_id = subject_id WHERE kind = 'asset-search'",
			`UPDATE executions SET organization_id = (SELECT r.organization_id FROM asset_registries r WHERE r.id = executions.subject_id)
				WHERE kind = 'asset-scan' AND EXISTS (SELECT 1 FROM asset_registries r WHERE r.id = executions.subject_id)`,
		} {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		return createAssetIndexes(tx, createMissingIndex, assetIndexes0012[tx.Name()]...)
	},
}

var assetIndexes0012 = map[string][]assetIndex{
	"postgres": {
		{"assets_built", "assets (built_at)"},
		{"assets_platform", "assets (architecture, os)"},
		// Whole labels with their values: that is what the index can look for.
		{"asset_details_image_labels", "asset_details USING gin (image_labels jsonb_path_ops)"},
	},
}
