package models

import (
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0004Inventory makes the tables of the inventory: namespaces, applications, releases and what is known of
// them, and of logins that its client waits for. It is SQL and not structs, because the order of versions needs a collation
// that GORM cannot name.
var migration0004Inventory = &gormigrate.Migration{
	ID: "0004_inventory",
	Migrate: func(tx *gorm.DB) error {
		// KEY is text compared byte by byte. PostgreSQL would else use the language of its cluster, in which "." may
		// count for nothing, and could not use an index for prefixes.
		names := strings.NewReplacer("PRIMARY KEY", "PRIMARY KEY", "KEY", `text COLLATE "C"`, "TIME", "timestamptz")
		if tx.Name() == "sqlite" {
			names = strings.NewReplacer("PRIMARY KEY", "PRIMARY KEY", "KEY", "text", "TIME", "datetime")
		}
		for _, q := range inventory0004 {
			if err := tx.Exec(names.Replace(q)).Error; err != nil {
				return err
			}
		}
		return nil
	},
}

var inventory0004 = []string{
	// A namespace outlives its project: releases that are deployed somewhere must not vanish with it. Without a project
	// it is the organization's.
	`CREATE TABLE namespaces (
		id varchar(36) PRIMARY KEY,
		name KEY NOT NULL,
		project_id varchar(36) REFERENCES projects (id) ON DELETE SET NULL,
		organization_id varchar(36) NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
		description text NOT NULL,
		org_url text NOT NULL,
		logo text NOT NULL,
		is_public boolean NOT NULL,
		hooks text NOT NULL,
		created_by text NOT NULL,
		created_at TIME NOT NULL)`,
	`CREATE UNIQUE INDEX namespaces_name ON namespaces (name)`,
	`CREATE INDEX namespaces_project ON namespaces (project_id)`,
	`CREATE INDEX namespaces_organization ON namespaces (organization_id)`,

	`CREATE TABLE applications (
		id varchar(36) PRIMARY KEY,
		namespace_id varchar(36) NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
		name KEY NOT NULL,
		description text NOT NULL,
		logo text NOT NULL,
		latest_version text NOT NULL,
		latest_key KEY NOT NULL,
		uploaded_by text NOT NULL,
		uploaded_at TIME NOT NULL,
		hooks text NOT NULL,
		created_at TIME NOT NULL)`,
	`CREATE UNIQUE INDEX applications_name ON applications (namespace_id, name)`,

	`CREATE TABLE releases (
		id varchar(36) PRIMARY KEY,
		application_id varchar(36) NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
		version KEY NOT NULL,
		sort_key KEY NOT NULL,
		description text NOT NULL,
		metadata text NOT NULL,
		downloads bigint NOT NULL,
		registered_by text NOT NULL,
		registered_at TIME NOT NULL,
		execution_id varchar(36) NOT NULL,
		package_key text NOT NULL,
		package_size bigint NOT NULL,
		package_sha256 varchar(64) NOT NULL,
		uploaded_by text NOT NULL,
		uploaded_at TIME)`,
	`CREATE UNIQUE INDEX releases_version ON releases (application_id, version)`,
	`CREATE INDEX releases_order ON releases (application_id, sort_key, version)`,

	`CREATE TABLE release_tags (
		application_id varchar(36) NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
		name KEY NOT NULL,
		release_id varchar(36) NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
		tagged_by text NOT NULL,
		tagged_at TIME NOT NULL,
		PRIMARY KEY (application_id, name))`,
	`CREATE INDEX release_tags_release ON release_tags (release_id)`,

	// What a release depends on or extends. By name and not by id: a dependency need not be in this inventory.
	`CREATE TABLE release_dependencies (
		release_id varchar(36) NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
		extension boolean NOT NULL,
		position int NOT NULL,
		namespace KEY NOT NULL,
		application KEY NOT NULL,
		version KEY NOT NULL,
		build boolean NOT NULL,
		deploy boolean NOT NULL,
		PRIMARY KEY (release_id, extension, position))`,
	`CREATE INDEX release_dependencies_target ON release_dependencies (namespace, application, version)`,

	// For each interface and application the highest release that provides it, so that a question for providers costs
	// the same however many releases there are.
	`CREATE TABLE release_providers (
		interface KEY NOT NULL,
		application_id varchar(36) NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
		release_id varchar(36) NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
		sort_key KEY NOT NULL,
		PRIMARY KEY (interface, application_id))`,
	`CREATE INDEX release_providers_application ON release_providers (application_id)`,
	`CREATE INDEX release_providers_release ON release_providers (release_id)`,

	// Uploads that have begun. A row goes with the transaction that makes its package visible; what stays belongs to a
	// process that died, and says which file to remove.
	`CREATE TABLE package_uploads (
		package_key text PRIMARY KEY,
		started_at TIME NOT NULL,
		abandoned boolean NOT NULL)`,
	`CREATE INDEX package_uploads_started ON package_uploads (started_at)`,

	// Logins in a browser that a client on the command line waits for. The client's key is kept as a hash, and the token
	// is made when it is fetched, so nothing here can be used by who reads it.
	`CREATE TABLE login_redemptions (
		hash varchar(64) PRIMARY KEY,
		subject_kind varchar(32) NOT NULL,
		subject_id varchar(36) NOT NULL,
		role varchar(16) NOT NULL,
		scopes text NOT NULL,
		token_expires_at TIME NOT NULL,
		expires_at TIME NOT NULL)`,
}
