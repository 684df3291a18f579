package models

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0014DeliverySteps adds the index by which the removal of old deliveries finds the steps that ran as one. It is
// a migration of its own: nobody can write steps while the index is made, and no other table is to wait for that.
var migration0014DeliverySteps = &gormigrate.Migration{
	ID: "0014_delivery_steps",
	Migrate: func(tx *gorm.DB) error {
		return tx.Exec("CREATE INDEX IF NOT EXISTS idx_execution_steps_delivery ON execution_steps (delivery_id) WHERE delivery_id <> ''").Error
	},
}
