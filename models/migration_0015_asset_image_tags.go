package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0015AssetImageTags adds an index for patterns on image tags, which read all assets before.
var migration0015AssetImageTags = &gormigrate.Migration{
	ID: "0015_asset_image_tags",
	Migrate: func(tx *gorm.DB) error {
		for _, x := range assetIndexes0015[tx.Name()] {
			if err := tx.Exec("CREATE INDEX IF NOT EXISTS " + x.name + " ON " + x.on).Error; err != nil {
				return err
			}
		}
		return nil
	},
}

var assetIndexes0015 = map[string][]assetIndex{
	"postgres": {
		{"assets_image_tag_text", `assets USING gin (lower(array_to_tsvector(image_tags)::text COLLATE "C") gin_trgm_ops)`},
	},
}
