package models

import (
	"slices"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migration0005Assets makes the tables of assets: container images, what they can be found by, and the searches, scans
// and registries around them.
var migration0005Assets = &gormigrate.Migration{
	ID: "0005_assets",
	Migrate: func(tx *gorm.DB) error {
		names := strings.NewReplacer("$key", `text COLLATE "C"`, "$time", "timestamptz", "$uuid", "uuid", "$texts", "text[]",
			"$json", "jsonb", "$number", "bigint", "$bytes", "bytea", "$search", "",
			// Room on each page, so that a count changes where it stands and its indexes do not.
			"$roomy", " WITH (fillfactor = 70)")
		if tx.Name() == "sqlite" {
			names = strings.NewReplacer("$key", "text", "$time", "datetime", "$uuid", "text", "$texts", "text", "$json", "text",
				"$number", "integer", "$bytes", "blob", "$search", "search_text text NOT NULL,", "$roomy", "")
		} else if err := tx.Exec("CREATE EXTENSION IF NOT EXISTS pg_trgm").Error; err != nil {
			// Part of PostgreSQL's contrib modules and trusted since version 13: the owner of the database may create it.
			return err
		}
		for _, q := range assets0005 {
			if err := tx.Exec(names.Replace(q)).Error; err != nil {
				return err
			}
		}
		return createAssetIndexes(tx, "CREATE INDEX", slices.Concat(assetIndexes0005["both"], assetIndexes0005[tx.Name()])...)
	},
}

var assets0005 = []string{
	// What lists filter and sort by stands here, so that a row is small and a scan of all rows quick; the rest is in
	// asset_details. The id is made from organization, registry, repository and config digest (see NewAssetID), so it is
	// the unique key as well, and an import of the same image finds its row without a second index. There is no foreign
	// key to organizations: it would be checked for every row of an import.
	`CREATE TABLE assets (
		id $uuid PRIMARY KEY,
		organization_id varchar(36) NOT NULL,
		registry $key NOT NULL,
		repository $key NOT NULL,
		name $key NOT NULL,
		config_digest $key NOT NULL,
		architecture $key NOT NULL,
		os $key NOT NULL,
		class $key,
		class_locked boolean NOT NULL,
		labels $texts NOT NULL,
		tags $json NOT NULL,
		tag_lines $texts NOT NULL,
		image_tags $texts NOT NULL,
		total_image_tags int NOT NULL,
		$search
		size_bytes $number NOT NULL,
		built_at $time,
		last_seen_at $time NOT NULL,
		created_at $time NOT NULL,
		updated_at $time NOT NULL)`,

	// What is only shown. Texts, not jsonb: they are written through to the answer as they are.
	`CREATE TABLE asset_details (
		asset_id $uuid PRIMARY KEY,
		digests text NOT NULL,
		image_labels $json,
		document text NOT NULL)`,

	// Every digest that an image is known by: of its config (c), its manifests (m) and indexes (i).
	`CREATE TABLE asset_digests (
		digest $key NOT NULL,
		kind $key NOT NULL,
		asset_id $uuid NOT NULL,
		PRIMARY KEY (digest, kind, asset_id))`,

	// How many assets of an organization have a value in a field, kept with every change of an asset. folded is the value
	// (for tags key=value) with A to Z in lower case.
	`CREATE TABLE asset_facets (
		organization_id varchar(36) NOT NULL,
		field $key NOT NULL,
		key $key NOT NULL,
		value $key NOT NULL,
		folded $key NOT NULL,
		n $number NOT NULL,
		PRIMARY KEY (organization_id, field, key, value))$roomy`,

	// A search that runs, or ran, asynchronously, and the ordered ids that it found.
	`CREATE TABLE asset_searches (
		id varchar(36) PRIMARY KEY,
		scope_id varchar(36) NOT NULL,
		created_by varchar(36) NOT NULL,
		request_id varchar(64) NOT NULL,
		request_hash varchar(64) NOT NULL,
		filter text NOT NULL,
		sort text NOT NULL,
		page_size int NOT NULL,
		with_count boolean NOT NULL,
		only_count boolean NOT NULL,
		execution_id varchar(36) NOT NULL,
		status varchar(16) NOT NULL,
		reason text NOT NULL,
		found $number NOT NULL,
		kept $number NOT NULL,
		created_at $time NOT NULL,
		finished_at $time,
		expires_at $time NOT NULL)`,
	`CREATE INDEX asset_searches_expiry ON asset_searches (expires_at)`,
	`CREATE INDEX asset_searches_request ON asset_searches (scope_id, created_by, request_id)`,
	`CREATE TABLE asset_search_results (
		search_id varchar(36) NOT NULL,
		ordinal $number NOT NULL,
		asset_id $uuid NOT NULL,
		PRIMARY KEY (search_id, ordinal))`,

	// Registries that are scanned. The password is sealed; the URL holds no credential.
	`CREATE TABLE asset_registries (
		id varchar(36) PRIMARY KEY,
		organization_id varchar(36) NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
		name $key NOT NULL,
		url text NOT NULL,
		username text NOT NULL,
		password $bytes,
		repositories text NOT NULL,
		schedule text NOT NULL,
		created_at $time NOT NULL,
		updated_at $time NOT NULL,
		UNIQUE (organization_id, name))`,

	// The progress of scans, beside their executions.
	`CREATE TABLE asset_scans (
		execution_id varchar(36) PRIMARY KEY,
		registry_id varchar(36) NOT NULL REFERENCES asset_registries (id) ON DELETE CASCADE,
		position text NOT NULL,
		repositories $number NOT NULL,
		repositories_done $number NOT NULL,
		images $number NOT NULL,
		created $number NOT NULL,
		failures $number NOT NULL,
		last_failure text NOT NULL,
		updated_at $time NOT NULL)`,
	`CREATE INDEX asset_scans_registry ON asset_scans (registry_id, execution_id)`,

	// Random values that all processes of an installation share, sealed.
	`CREATE TABLE asset_secrets (
		name varchar(64) PRIMARY KEY,
		value $bytes NOT NULL)`,

	// How far an import came, by a name for its file, so that it can go on after an interruption.
	`CREATE TABLE asset_imports (
		organization_id varchar(36) NOT NULL,
		source varchar(64) NOT NULL,
		byte_offset $number NOT NULL,
		lines $number NOT NULL,
		created $number NOT NULL,
		finished boolean NOT NULL,
		updated_at $time NOT NULL,
		PRIMARY KEY (organization_id, source))`,
}

// assetIndexes0005 are the indexes that lists need. Each order has one that ends in the id, which breaks ties. Class can be
// NULL, and NULLs come last in both directions, which one index cannot serve on PostgreSQL.
var assetIndexes0005 = map[string][]assetIndex{
	"both": {
		{"assets_created", "assets (created_at, id)"},
		{"assets_updated", "assets (updated_at, id)"},
		{"assets_registry", "assets (registry, id)"},
		{"assets_name", "assets (name, id)"},
		{"assets_class", "assets (class, id)"},
		// Within an organization. What many others have added or changed lately would else stand before its own.
		{"assets_organization", "assets (organization_id, created_at, id)"},
		{"assets_organization_updated", "assets (organization_id, updated_at, id)"},
		{"assets_repository", "assets (repository)"},
		{"asset_digests_asset", "asset_digests (asset_id)"},
	},
	"postgres": {
		{"assets_class_down", "assets (class DESC NULLS LAST, id DESC)"},
		{"assets_repository_text", "assets USING gin (repository gin_trgm_ops)"},
		{"assets_labels", "assets USING gin (labels)"},
		{"assets_tags", "assets USING gin (tag_lines)"},
		{"assets_image_tags", "assets USING gin (image_tags)"},
		{"asset_facets_text", "asset_facets USING gin (folded gin_trgm_ops)"},
	},
}
