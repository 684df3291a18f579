package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0012Assets adds the indexes that fields without any needed on PostgreSQL: a filter by one of them that selected
// next to nothing walked through all assets. SQLite reads all rows as they lie, which is as quick.
var migration0012Assets = &gormigrate.Migration{
	ID: "0012_assets",
	Migrate: func(tx *gorm.DB) error {
		for _, x := range assetIndexes0012[tx.Name()] {
			if err := tx.Exec("CREATE INDEX IF NOT EXISTS " + x.name + " ON " + x.on).Error; err != nil {
				return err
			}
		}
		return nil
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
