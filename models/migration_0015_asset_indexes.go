package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0015AssetIndexes adds an index for patterns on image tags, which read all assets before, and lets that on the
// time of building answer without the table who was built since then, in the order in which they were added.
var migration0015AssetIndexes = &gormigrate.Migration{
	ID: "0015_asset_indexes",
	Migrate: func(tx *gorm.DB) error {
		if err := createAssetIndexes(tx, createMissingIndex, assetIndexes0015[tx.Name()]...); err != nil {
			return err
		}
		for _, name := range replacedAssetIndexes0015 {
			if err := tx.Exec("DROP INDEX IF EXISTS " + name).Error; err != nil {
				return err
			}
		}
		return nil
	},
}

var assetIndexes0015 = map[string][]assetIndex{
	"postgres": {
		{"assets_built_created", "assets (built_at, created_at, id, organization_id)"},
		{"assets_image_tag_text", `assets USING gin (lower(array_to_tsvector(image_tags)::text COLLATE "C") gin_trgm_ops)`},
	},
}

// replacedAssetIndexes0015 are indexes of earlier migrations that others have taken the place of.
var replacedAssetIndexes0015 = []string{"assets_built"}
