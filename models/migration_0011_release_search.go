package models

import (
	"encoding/json"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// migration0011ReleaseSearch makes the indexes that searches for releases need, and fills them with the releases that are
// there. Text is found through its n-grams: on PostgreSQL as an array with a GIN index, which needs no extension, and on
// SQLite with FTS5.
var migration0011ReleaseSearch = &gormigrate.Migration{
	ID: "0011_release_search",
	Migrate: func(tx *gorm.DB) error {
		statements, names := releaseSearch0011, strings.NewReplacer("KEY36", `varchar(36) COLLATE "C"`, "KEYTEXT", `text COLLATE "C"`,
			"NUMBER", "grams integer[] NOT NULL, PRIMARY KEY (release_id)")
		if tx.Name() == "sqlite" {
			names = strings.NewReplacer("KEY36", "varchar(36)", "KEYTEXT", "text", "NUMBER", "number integer PRIMARY KEY")
			statements = append(statements, releaseSearch0011SQLite...)
		} else {
			statements = append(statements, `CREATE INDEX release_texts_grams ON release_texts USING gin (grams)`)
		}
		for _, q := range statements {
			if err := tx.Exec(names.Replace(q)).Error; err != nil {
				return err
			}
		}
		return fillReleaseSearch0011(tx)
	},
}

var releaseSearch0011 = []string{
	// One row for each release, with all that a search needs to know of it but not to show.
	`CREATE TABLE release_texts (
		release_id KEY36 NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
		application_id KEY36 NOT NULL,
		namespace_id KEY36 NOT NULL,
		text KEYTEXT NOT NULL,
		NUMBER)`,
	`CREATE INDEX release_texts_application ON release_texts (application_id, release_id)`,
	`CREATE INDEX release_texts_namespace ON release_texts (namespace_id, release_id)`,

	// What a release provides and its own metadata, as hashes: values may be longer than an index takes.
	`CREATE TABLE release_terms (
		term KEY36 NOT NULL,
		release_id KEY36 NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
		PRIMARY KEY (term, release_id))`,
	`CREATE INDEX release_terms_release ON release_terms (release_id)`,

	`CREATE INDEX release_tags_name ON release_tags (name, release_id)`,
	`CREATE INDEX applications_by_name ON applications (name)`,
}

var releaseSearch0011SQLite = []string{
	`CREATE UNIQUE INDEX release_texts_release ON release_texts (release_id)`,
	`CREATE VIRTUAL TABLE release_texts_index USING fts5(text, content='release_texts', content_rowid='number', tokenize='trigram', detail='none', columnsize=0)`,
	// The index has no rows of its own, so it has to be told what goes.
	`CREATE TRIGGER release_texts_added AFTER INSERT ON release_texts BEGIN
		INSERT INTO release_texts_index (rowid, text) VALUES (new.number, new.text);
	END`,
	`CREATE TRIGGER release_texts_removed AFTER DELETE ON release_texts BEGIN
		INSERT INTO release_texts_index (release_texts_index, rowid, text) VALUES ('delete', old.number, old.text);
	END`,
}

func fillReleaseSearch0011(tx *gorm.DB) error {
	type row struct {
		ID            string
		ApplicationID string
		NamespaceID   string
		Namespace     string
		Application   string
		Description   string
		Metadata      string
	}
	type term struct{ Term, ReleaseID string }
	const batch = 500
	for last := ""; ; {
		var rows []row
		err := tx.Table("releases").Select("releases.id, releases.application_id, applications.namespace_id, namespaces.name AS namespace, applications.name AS application, releases.description, releases.metadata").
			Joins("JOIN applications ON applications.id = releases.application_id").Joins("JOIN namespaces ON namespaces.id = applications.namespace_id").
			Where("releases.id > ?", last).Order("releases.id").Limit(batch).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			text := releaseText(r.Namespace, r.Application, r.Description)
			columns, values := "release_id, application_id, namespace_id, text", "?, ?, ?, ?"
			args := []any{r.ID, r.ApplicationID, r.NamespaceID, text}
			if tx.Name() != "sqlite" {
				columns, values, args = columns+", grams", values+", CAST(? AS integer[])", append(args, arrayOf(searchGrams(text)))
			}
			if err := tx.Exec("INSERT INTO release_texts ("+columns+") VALUES ("+values+")", args...).Error; err != nil {
				return err
			}
			var m struct {
				Provides []struct{ Name string }
				Metadata map[string]string
			}
			if err := json.Unmarshal([]byte(r.Metadata), &m); err != nil {
				continue // nobody could read its metadata either
			}
			var terms []term
			for _, p := range m.Provides {
				terms = append(terms, term{providesTerm(p.Name), r.ID})
			}
			for key, value := range m.Metadata {
				terms = append(terms, term{metadataTerm(key, value), r.ID})
			}
			if len(terms) > 0 {
				if err := tx.Table("release_terms").Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(terms, 100).Error; err != nil {
					return err
				}
			}
		}
		last = rows[len(rows)-1].ID
	}
}
