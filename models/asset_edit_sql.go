package models

import (
	"context"
	"strings"
)

// writeAssetChanges writes edited assets, which the transaction has locked.
func (s *Store) writeAssetChanges(ctx context.Context, changes []assetChange) error {
	if len(changes) == 0 {
		return nil
	}
	if s.dialect == PostgreSQL {
		var ids, classes, labels, tags, lines []string
		var locked []bool
		for _, c := range changes {
			ids, classes, locked, tags = append(ids, c.id), append(classes, c.class), append(locked, c.locked), append(tags, c.tagsJSON)
			labels, lines = append(labels, strings.Join(c.labels, ",")), append(lines, strings.Join(c.lines, ","))
		}
		_, err := s.assetExec(ctx, `UPDATE assets a SET class = NULLIF(x.class, ''), class_locked = x.locked, labels = string_to_array(x.labels, ','),
				tags = x.tags::jsonb, tag_lines = string_to_array(x.lines, ','), updated_at = ?
			FROM unnest(?::text[], ?::text[], ?::boolean[], ?::text[], ?::text[], ?::text[]) AS x(id, class, locked, labels, tags, lines) WHERE a.id = x.id::uuid`,
			changes[0].at, ids, classes, locked, labels, tags, lines)
		return err
	}
	for _, c := range changes {
		if _, err := s.assetExec(ctx, "UPDATE assets SET class = NULLIF(?, ''), class_locked = ?, labels = ?, tags = ?, tag_lines = ?, search_text = ?, updated_at = ? WHERE id = ?",
			c.class, c.locked, c.labelsJSON, c.tagsJSON, c.linesJSON, c.found, c.at, c.id); err != nil {
			return err
		}
	}
	return nil
}
