package models

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// ReleaseTag is a name that points at a release of its application and can be moved.
type ReleaseTag struct {
	ApplicationID string
	Name          string
	ReleaseID     string
	TaggedBy      string
	TaggedAt      time.Time
}

// TableName names the table.
func (ReleaseTag) TableName() string { return "release_tags" }

// TagRelease points a tag at a release; one that points elsewhere is moved.
func (s *Store) TagRelease(ctx context.Context, applicationID, name, releaseID, by string) error {
	return s.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "application_id"}, {Name: "name"}},
		DoUpdates: clause.AssignmentColumns([]string{"release_id", "tagged_by", "tagged_at"})}).
		Create(&ReleaseTag{ApplicationID: applicationID, Name: name, ReleaseID: releaseID, TaggedBy: by, TaggedAt: s.Now()}).Error
}
