package models

import (
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0009Schedules makes the tables of schedules and of the votes on confirmations.
var migration0009Schedules = &gormigrate.Migration{
	ID: "0009_schedules",
	Migrate: func(tx *gorm.DB) error {
		names := strings.NewReplacer("TIME", "timestamptz", "KEY36", "varchar(36)")
		if tx.Name() == "sqlite" {
			names = strings.NewReplacer("TIME", "datetime", "KEY36", "varchar(36)")
		}
		for _, q := range schedules0009 {
			if err := tx.Exec(names.Replace(q)).Error; err != nil {
				return err
			}
		}
		return nil
	},
}

var schedules0009 = []string{
	`CREATE TABLE schedules (
		id KEY36 PRIMARY KEY,
		project_id KEY36 NOT NULL,
		environment_id KEY36 NOT NULL,
		name varchar(200) NOT NULL,
		kind varchar(32) NOT NULL,
		subject_id KEY36 NOT NULL,
		subject_name varchar(500) NOT NULL,
		environment_name varchar(500) NOT NULL,
		cron text NOT NULL,
		time_zone varchar(100) NOT NULL,
		overlap varchar(32) NOT NULL,
		catch_up_seconds bigint NOT NULL,
		jitter_seconds bigint NOT NULL,
		paused boolean NOT NULL,
		note text NOT NULL,
		actor_kind varchar(32) NOT NULL,
		actor_id KEY36 NOT NULL,
		actor_name varchar(200) NOT NULL,
		version bigint NOT NULL,
		synced_version bigint NOT NULL,
		problem text NOT NULL,
		created_at TIME NOT NULL,
		updated_at TIME NOT NULL,
		removed_at TIME)`,
	// The name of one that was removed is free again, although its row stays until Temporal has forgotten it.
	`CREATE UNIQUE INDEX schedules_name ON schedules (project_id, name) WHERE removed_at IS NULL`,
	`CREATE INDEX schedules_subject ON schedules (subject_id)`,
	`CREATE INDEX schedules_environment ON schedules (environment_id)`,
	`CREATE INDEX schedules_unsynced ON schedules (id) WHERE synced_version < version OR removed_at IS NOT NULL`,

	`CREATE TABLE schedule_runs (
		id KEY36 PRIMARY KEY,
		schedule_id KEY36 NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
		nominal bigint NOT NULL,
		overlap varchar(32) NOT NULL,
		backfill boolean NOT NULL,
		state varchar(16) NOT NULL,
		reason text NOT NULL,
		execution_id KEY36 NOT NULL,
		created_at TIME NOT NULL,
		decided_at TIME)`,
	`CREATE UNIQUE INDEX schedule_runs_nominal ON schedule_runs (schedule_id, nominal)`,
	`CREATE INDEX schedule_runs_waiting ON schedule_runs (schedule_id) WHERE state IN ('waiting', 'starting')`,

	`ALTER TABLE confirmations ADD COLUMN approvals integer NOT NULL DEFAULT 1`,
	`ALTER TABLE confirmations ADD COLUMN approved_count integer NOT NULL DEFAULT 0`,
	`ALTER TABLE confirmations ADD COLUMN four_eyes boolean NOT NULL DEFAULT FALSE`,
	`ALTER TABLE confirmations ADD COLUMN remind_seconds bigint NOT NULL DEFAULT 0`,
	`ALTER TABLE confirmations ADD COLUMN remind_at TIME`,
	`ALTER TABLE confirmations ADD COLUMN reminders integer NOT NULL DEFAULT 0`,
	`CREATE INDEX confirmations_expiring ON confirmations (expires_at) WHERE status = 'pending' AND expires_at IS NOT NULL`,
	`CREATE INDEX confirmations_reminding ON confirmations (remind_at) WHERE status = 'pending' AND remind_at IS NOT NULL`,

	`CREATE TABLE confirmation_votes (
		confirmation_id KEY36 NOT NULL REFERENCES confirmations (id) ON DELETE CASCADE,
		voter varchar(100) NOT NULL,
		decision varchar(16) NOT NULL,
		voter_kind varchar(32) NOT NULL,
		voter_id KEY36 NOT NULL,
		voter_name varchar(200) NOT NULL,
		created_at TIME NOT NULL,
		PRIMARY KEY (confirmation_id, voter, decision))`,
	`CREATE INDEX confirmation_votes_time ON confirmation_votes (confirmation_id, created_at)`,
}
