package models

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// insertAssets adds those assets that are not there, with their details and digests, and gives their ids.
func (s *Store) insertAssets(ctx context.Context, organizationID string, list []putRow) (map[string]bool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if s.dialect == PostgreSQL {
		return s.insertAssetsPostgres(ctx, organizationID, list)
	}
	return s.insertAssetsSQLite(ctx, organizationID, list)
}

// insertAssetsPostgres sends each column as an array. That is as quick as COPY, and unlike COPY it leaves out what is
// there already. No element of a list has a comma in it, so lists are joined with commas.
func (s *Store) insertAssetsPostgres(ctx context.Context, organizationID string, list []putRow) (map[string]bool, error) {
	n := len(list)
	text := func(of func(*putRow) string) []string {
		values := make([]string, n)
		for i := range list {
			values[i] = of(&list[i])
		}
		return values
	}
	numbers := func(of func(*putRow) int64) []int64 {
		values := make([]int64, n)
		for i := range list {
			values[i] = of(&list[i])
		}
		return values
	}
	// Times go as microseconds since 1970 and NULL as the text "": arrays of pointers are slower to write.
	rows, err := s.assetRows(ctx, `INSERT INTO assets (id, organization_id, registry, repository, name, config_digest, architecture, os, class, class_locked,
			labels, tags, tag_lines, image_tags, total_image_tags, size_bytes, built_at, last_seen_at, created_at, updated_at)
		SELECT id::uuid, ?, registry, repository, name, config_digest, architecture, os, NULLIF(class, ''), false,
			string_to_array(labels, ','), tags::jsonb, string_to_array(tag_lines, ','), string_to_array(image_tags, ','), total_image_tags, size_bytes,
			CASE WHEN built_at <> -9223372036854775808 THEN timestamptz 'epoch' + built_at * interval '1 microsecond' END, ?, timestamptz 'epoch' + created_at * interval '1 microsecond', ?
		FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[])
			AS x(id, registry, repository, name, config_digest, architecture, os, class, labels, tags, tag_lines, image_tags, total_image_tags, size_bytes, built_at, created_at)
		ON CONFLICT (id) DO NOTHING RETURNING id::text`,
		organizationID, s.Now(), s.Now(),
		text(func(r *putRow) string { return r.id }),
		text(func(r *putRow) string { return r.image.Registry }),
		text(func(r *putRow) string { return r.image.Repository }),
		text(func(r *putRow) string { return r.image.name() }),
		text(func(r *putRow) string { return r.image.ConfigDigest }),
		text(func(r *putRow) string { return r.image.Architecture }),
		text(func(r *putRow) string { return r.image.OS }),
		text(func(r *putRow) string { return r.image.Class }),
		text(func(r *putRow) string { return strings.Join(r.labels, ",") }),
		text(func(r *putRow) string { return r.tags }),
		text(func(r *putRow) string { return strings.Join(r.lines, ",") }),
		text(func(r *putRow) string { return strings.Join(r.image.ImageTags, ",") }),
		numbers(func(r *putRow) int64 { return int64(r.image.TotalImageTags) }),
		numbers(func(r *putRow) int64 { return r.image.SizeBytes }),
		numbers(builtMicroseconds),
		numbers(func(r *putRow) int64 { return r.created.UnixMicro() }))
	ids, err := scanAll(rows, err, scanText)
	if err != nil {
		return nil, err
	}
	inserted := make(map[string]bool, len(ids))
	for _, id := range ids {
		inserted[id] = true
	}
	var fresh []putRow
	for _, r := range list {
		if inserted[r.id] {
			fresh = append(fresh, r)
		}
	}
	return inserted, s.insertDetailsPostgres(ctx, fresh)
}

// noTime stands for the absence of a time in microseconds.
const noTime = -1 << 63

func builtMicroseconds(r *putRow) int64 {
	if r.image.BuiltAt == nil {
		return noTime
	}
	return r.image.BuiltAt.UnixMicro()
}

// insertDetailsPostgres writes the details and digests of assets, in place of those that they have.
func (s *Store) insertDetailsPostgres(ctx context.Context, list []putRow) error {
	if len(list) == 0 {
		return nil
	}
	var ids, digests, labels, documents []string
	var digest, kind, owner []string
	for i := range list {
		r := &list[i]
		ids, digests, documents = append(ids, r.id), append(digests, r.digests), append(documents, string(r.image.Document))
		labels = append(labels, r.labelText())
		for _, d := range r.digestRows() {
			kind, digest, owner = append(kind, d[0]), append(digest, d[1]), append(owner, r.id)
		}
	}
	if _, err := s.assetExec(ctx, `INSERT INTO asset_details (asset_id, digests, image_labels, document)
		SELECT id::uuid, digests, NULLIF(labels, '')::jsonb, document FROM unnest(?::text[], ?::text[], ?::text[], ?::text[]) AS x(id, digests, labels, document)
		ON CONFLICT (asset_id) DO UPDATE SET digests = excluded.digests, image_labels = COALESCE(excluded.image_labels, asset_details.image_labels), document = excluded.document`, ids, digests, labels, documents); err != nil {
		return err
	}
	_, err := s.assetExec(ctx, `INSERT INTO asset_digests (digest, kind, asset_id) SELECT digest, kind, id::uuid FROM unnest(?::text[], ?::text[], ?::text[]) AS x(digest, kind, id)
		ON CONFLICT DO NOTHING`, digest, kind, owner)
	return err
}

func (s *Store) insertAssetsSQLite(ctx context.Context, organizationID string, list []putRow) (map[string]bool, error) {
	insert, err := s.write.Statement.ConnPool.PrepareContext(ctx, `INSERT INTO assets (id, organization_id, registry, repository, name, config_digest, architecture, os, class, class_locked,
		labels, tags, tag_lines, image_tags, total_image_tags, search_text, size_bytes, built_at, last_seen_at, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULLIF(?, ''), false, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`)
	if err != nil {
		return nil, err
	}
	defer insert.Close()
	now := s.Now()
	inserted := map[string]bool{}
	var fresh []putRow
	for i := range list {
		r := &list[i]
		var built any
		if r.image.BuiltAt != nil {
			built = *r.image.BuiltAt
		}
		res, err := insert.ExecContext(ctx, r.id, organizationID, r.image.Registry, r.image.Repository, r.image.name(), r.image.ConfigDigest, r.image.Architecture, r.image.OS, r.image.Class,
			mustJSON(r.labels, "[]"), r.tags, mustJSON(r.lines, "[]"), mustJSON(r.image.ImageTags, "[]"), r.image.TotalImageTags,
			searchText(r.image.Registry, r.image.Repository, r.labels, r.lines), r.image.SizeBytes, built, now, r.created, now)
		if err != nil {
			return nil, err
		}
		if n, err := res.RowsAffected(); err != nil {
			return nil, err
		} else if n == 1 {
			inserted[r.id] = true
			fresh = append(fresh, *r)
		}
	}
	return inserted, s.insertDetailsSQLite(ctx, fresh)
}

func (s *Store) insertDetailsSQLite(ctx context.Context, list []putRow) error {
	details, err := s.write.Statement.ConnPool.PrepareContext(ctx, `INSERT INTO asset_details (asset_id, digests, image_labels, document) VALUES (?, ?, ?, ?)
		ON CONFLICT (asset_id) DO UPDATE SET digests = excluded.digests, image_labels = COALESCE(excluded.image_labels, asset_details.image_labels), document = excluded.document`)
	if err != nil {
		return err
	}
	defer details.Close()
	digests, err := s.write.Statement.ConnPool.PrepareContext(ctx, `INSERT INTO asset_digests (digest, kind, asset_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`)
	if err != nil {
		return err
	}
	defer digests.Close()
	for i := range list {
		r := &list[i]
		if _, err := details.ExecContext(ctx, r.id, r.digests, r.labelJSON, string(r.image.Document)); err != nil {
			return err
		}
		for _, d := range r.digestRows() {
			if _, err := digests.ExecContext(ctx, d[1], d[0], r.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// updateAssets writes what a registry says now of assets that exist and gives how many changed. That they were seen is
// written in any case.
func (s *Store) updateAssets(ctx context.Context, list []putRow) (int64, error) {
	if len(list) == 0 {
		return 0, nil
	}
	update := s.updateAssetsSQLite
	put := s.insertDetailsSQLite
	if s.dialect == PostgreSQL {
		update, put = s.updateAssetsPostgres, s.insertDetailsPostgres
	}
	changed, err := update(ctx, list)
	if err != nil {
		return 0, err
	}
	var rows []putRow
	var ids []string
	for _, r := range list {
		if changed[r.id] {
			rows, ids = append(rows, r), append(ids, r.id)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	in, arg := s.amongIDs("asset_id", ids)
	if _, err := s.assetExec(ctx, "DELETE FROM asset_digests WHERE "+in, arg); err != nil {
		return 0, err
	}
	return int64(len(ids)), put(ctx, rows)
}

func (s *Store) updateAssetsPostgres(ctx context.Context, list []putRow) (map[string]bool, error) {
	var ids, tags, digests, documents, labels, architectures, systems []string
	var totals, sizes, built []int64
	for i := range list {
		r := &list[i]
		ids, tags, digests, documents = append(ids, r.id), append(tags, strings.Join(r.image.ImageTags, ",")), append(digests, r.digests), append(documents, string(r.image.Document))
		totals, sizes, built = append(totals, int64(r.image.TotalImageTags)), append(sizes, r.image.SizeBytes), append(built, builtMicroseconds(r))
		labels, architectures, systems = append(labels, r.labelText()), append(architectures, r.image.Architecture), append(systems, r.image.OS)
	}
	if _, err := s.assetExec(ctx, "UPDATE assets SET last_seen_at = ? WHERE id = ANY(?::text[]::uuid[])", s.Now(), ids); err != nil {
		return nil, err
	}
	rows, err := s.assetRows(ctx, `UPDATE assets a SET image_tags = x.image_tags, total_image_tags = x.total_image_tags, size_bytes = x.size_bytes,
			architecture = x.architecture, os = x.os, built_at = x.built_at, updated_at = ?
		FROM (SELECT id::uuid, string_to_array(image_tags, ',') AS image_tags, digests, document, NULLIF(image_labels, '')::jsonb AS image_labels, architecture, os, total_image_tags, size_bytes,
				CASE WHEN built_at <> -9223372036854775808 THEN timestamptz 'epoch' + built_at * interval '1 microsecond' END AS built_at
			FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[])
				AS y(id, image_tags, digests, document, image_labels, architecture, os, total_image_tags, size_bytes, built_at)) x, asset_details d
		WHERE a.id = x.id AND d.asset_id = a.id AND (a.image_tags <> x.image_tags OR a.total_image_tags <> x.total_image_tags OR a.size_bytes <> x.size_bytes
			OR a.architecture <> x.architecture OR a.os <> x.os OR a.built_at IS DISTINCT FROM x.built_at
			OR d.digests <> x.digests OR d.document <> x.document OR x.image_labels IS NOT NULL AND d.image_labels IS DISTINCT FROM x.image_labels)
		RETURNING a.id::text`, s.Now(), ids, tags, digests, documents, labels, architectures, systems, totals, sizes, built)
	found, err := scanAll(rows, err, scanText)
	changed := make(map[string]bool, len(found))
	for _, id := range found {
		changed[id] = true
	}
	return changed, err
}

func (s *Store) updateAssetsSQLite(ctx context.Context, list []putRow) (map[string]bool, error) {
	changed := map[string]bool{}
	for i := range list {
		r := &list[i]
		if _, err := s.assetExec(ctx, "UPDATE assets SET last_seen_at = ? WHERE id = ?", s.Now(), r.id); err != nil {
			return nil, err
		}
		tags, img := mustJSON(r.image.ImageTags, "[]"), r.image
		n, err := s.assetExec(ctx, `UPDATE assets SET image_tags = ?, total_image_tags = ?, size_bytes = ?, architecture = ?, os = ?, built_at = ?, updated_at = ? WHERE id = ?
			AND (image_tags <> ? OR total_image_tags <> ? OR size_bytes <> ? OR architecture <> ? OR os <> ? OR built_at IS NOT ?
				OR EXISTS (SELECT 1 FROM asset_details d WHERE d.asset_id = assets.id AND (d.digests <> ? OR d.document <> ? OR d.image_labels IS NOT COALESCE(?, d.image_labels))))`,
			tags, img.TotalImageTags, img.SizeBytes, img.Architecture, img.OS, img.BuiltAt, s.Now(), r.id,
			tags, img.TotalImageTags, img.SizeBytes, img.Architecture, img.OS, img.BuiltAt, r.digests, string(img.Document), r.labelJSON)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			changed[r.id] = true
		}
	}
	return changed, nil
}

// UntagAssets takes the image tags of those assets of a repository away that were not seen since a time: its registry was
// read whole since then, and no tag points to them any more.
func (s *Store) UntagAssets(ctx context.Context, organizationID, registry, repository string, since time.Time) error {
	unseen := "SELECT id FROM assets WHERE organization_id = ? AND registry = ? AND repository = ? AND last_seen_at < ? AND total_image_tags > 0"
	none, in := "'[]'", "IN ("+unseen+")"
	if s.dialect == PostgreSQL {
		// Locked in the order of the ids, as all are who change several.
		none, in = "'{}'", "= ANY(ARRAY("+unseen+" ORDER BY id FOR UPDATE))"
	}
	_, err := s.assetExec(ctx, "UPDATE assets SET image_tags = "+none+", total_image_tags = 0, updated_at = ? WHERE id "+in, s.Now(), organizationID, registry, repository, since)
	if err != nil {
		return fmt.Errorf("untag assets: %w", err)
	}
	return nil
}
