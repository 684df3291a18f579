package models

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"slipway/internal/version"
)

// The queries for one release of many. Each takes the id of the application and not its name: with a join the database
// cannot know that there is only one application, and would sort all versions to find the highest. With the id, the
// index on (application_id, sort_key) gives it at once, with ten versions as with ten thousand.

func (s *Store) releasesOf(ctx context.Context, applicationID string) *gorm.DB {
	return s.reader(ctx).Model(&Release{}).Where("application_id = ?", applicationID)
}

// ReleaseByID finds a release. ErrNotFound.
func (s *Store) ReleaseByID(ctx context.Context, id string) (*Release, error) {
	return take[Release](s.reader(ctx).Where("id = ?", id))
}

// ReleaseByQuery finds the release that a version query asks for: the highest, the highest under a prefix, exactly one
// version, or the one that a tag points at. ErrNotFound.
func (s *Store) ReleaseByQuery(ctx context.Context, applicationID string, q version.Query) (*Release, error) {
	switch q.Kind {
	case version.Latest:
		return s.highestRelease(ctx, applicationID, "")
	case version.Prefix:
		return s.highestRelease(ctx, applicationID, q.Value)
	case version.Exact:
		return take[Release](s.releasesOf(ctx, applicationID).Where("version = ?", q.Value))
	}
	return take[Release](s.reader(ctx).Model(&Release{}).
		Where("id = (SELECT release_id FROM release_tags WHERE application_id = ? AND name = ?)", applicationID, q.Value))
}

// highestRelease finds the highest version below a prefix, which is empty or a version with a dot behind it.
func (s *Store) highestRelease(ctx context.Context, applicationID, prefix string) (*Release, error) {
	return take[Release](s.under(ctx, applicationID, prefix).Order("sort_key DESC, version DESC").Limit(1))
}

// under narrows to the versions below a prefix by their keys. The text is compared as well: 00.1 has the key of 0.1,
// and does not begin with "0.".
func (s *Store) under(ctx context.Context, applicationID, prefix string) *gorm.DB {
	q := s.releasesOf(ctx, applicationID)
	if prefix == "" {
		return q
	}
	key := versionKey(strings.TrimSuffix(prefix, "."))
	return q.Where("sort_key > ? AND sort_key < ? AND substr(version, 1, ?) = ?", key, key+afterKeys, len(prefix), prefix)
}

// PreviousRelease finds the highest release strictly below a version. ErrNotFound.
func (s *Store) PreviousRelease(ctx context.Context, applicationID, version string) (*Release, error) {
	return take[Release](s.releasesOf(ctx, applicationID).Where("sort_key < ?", versionKey(version)).Order("sort_key DESC, version DESC").Limit(1))
}

// NextVersion gives the version that follows those that begin with a prefix; see version.Next, which says the rule.
func (s *Store) NextVersion(ctx context.Context, applicationID, prefix string) (string, error) {
	var known []string
	switch {
	case strings.Trim(prefix, "0123456789.") != "" || len(prefix) > version.MaxLength:
		// No version can begin like this.
	case prefix == "" || strings.HasSuffix(prefix, ".") && version.Valid(strings.TrimSuffix(prefix, ".")):
		// The prefix ends where a part ends: the highest version below it decides, and the index knows it.
		if err := s.under(ctx, applicationID, prefix).Order("sort_key DESC, version DESC").Limit(1).Pluck("version", &known).Error; err != nil {
			return "", err
		}
	default:
		// The prefix ends inside of a number ("0.1" also begins 0.10): the order of the rests is not the order of the
		// versions, so they are all looked at. Automatic versions never ask like this.
		if err := s.releasesOf(ctx, applicationID).Where("version >= ? AND version < ?", prefix, prefix+afterKeys).Pluck("version", &known).Error; err != nil {
			return "", err
		}
	}
	return version.Next(known, prefix), nil
}

// Versions lists the versions of an application, lowest first.
func (s *Store) Versions(ctx context.Context, applicationID string) ([]string, error) {
	out := []string{}
	err := s.releasesOf(ctx, applicationID).Order("sort_key, version").Pluck("version", &out).Error
	return out, err
}
