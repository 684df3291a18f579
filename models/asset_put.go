package models

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// PutResult counts what PutImages did.
type PutResult struct {
	Created, Updated, Unchanged int64
}

// putRow is an image on its way into the tables.
type putRow struct {
	id        string
	image     *Image
	created   time.Time
	labels    []string
	lines     []string
	tags      string
	digests   string
	labelJSON *string
}

// PutImages writes images of one organization, in one transaction: those that are new become assets, those that are known
// get what the registry says of them now. What people have set (class, labels, tags) is not touched on assets that exist,
// and what an image leaves out of its config's facts (architecture, labels, document ...) stays as it is.
//
// Where the organization may have no more assets it is a *problem.Error of kind LimitReached, and nothing is written.
//
// With merge, image tags and digests are added to those that an asset has, and the facts that it has stay; else they
// replace them. Images must have passed Image.Check. An image that is there twice is put
// as it would be by two calls.
func (s *Store) PutImages(ctx context.Context, organizationID string, images []Image, merge bool) (PutResult, error) {
	var result PutResult
	if len(images) == 0 {
		return result, nil
	}
	if _, err := s.OrganizationByID(ctx, organizationID); err != nil {
		return result, fmt.Errorf("organization %s: %w", organizationID, err)
	}
	byID := make(map[string]*Image, len(images))
	for i := range images {
		img := &images[i]
		id := NewAssetID(organizationID, img.Registry, img.Repository, img.ConfigDigest)
		if earlier := byID[id]; earlier != nil {
			img = img.filledIn(earlier, merge)
			img.Class, img.Labels, img.Tags, img.CreatedAt = earlier.Class, earlier.Labels, earlier.Tags, earlier.CreatedAt
		}
		byID[id] = img
	}
	ids := slices.Sorted(maps.Keys(byID))
	err := s.Tx(ctx, func(tx *Store) error {
		result = PutResult{}
		rows := make([]putRow, len(ids))
		for i, id := range ids {
			rows[i] = tx.putRow(id, byID[id])
		}
		// Whatever is new comes first, in the order of the ids: mostly that is all there is to do, and nothing has to be
		// looked for before. Who comes upon what another transaction is adding waits for it, holding no asset that was there
		// before, so nobody waits in a ring.
		inserted, err := tx.insertAssets(ctx, organizationID, rows)
		if err != nil {
			return fmt.Errorf("insert assets: %w", err)
		}
		deltas := facetDeltas{}
		var there []string
		for _, id := range ids {
			if inserted[id] {
				deltas.image(organizationID, byID[id])
			} else {
				there = append(there, id)
			}
		}
		known, err := tx.lockAssets(ctx, []string{organizationID}, there)
		if err != nil {
			return err
		}
		old := make([]putRow, 0, len(there))
		for _, id := range there {
			a, ok := known[id]
			if !ok {
				return fmt.Errorf("asset %s is there and cannot be read", id)
			}
			before, err := a.image()
			if err != nil {
				return err
			}
			img := byID[id].filledIn(before, merge)
			deltas.platform(organizationID, before, -1)
			deltas.platform(organizationID, img, 1)
			old = append(old, tx.putRow(id, img))
		}
		result.Created = int64(len(inserted))
		if result.Updated, err = tx.updateAssets(ctx, old); err != nil {
			return fmt.Errorf("update assets: %w", err)
		}
		result.Unchanged = int64(len(ids)) - result.Created - result.Updated
		if err := tx.mergeFacets(ctx, deltas); err != nil || result.Created == 0 {
			return err
		}
		return tx.keepQuota(ctx, QuotaAssets, ownerIs(organizationID))
	})
	return result, err
}

func (s *Store) putRow(id string, img *Image) putRow {
	r := putRow{id: id, image: img, created: s.Now(), labels: append([]string{}, img.Labels...), lines: tagLines(img.Tags)}
	if img.CreatedAt != nil {
		r.created = *img.CreatedAt
	}
	r.tags = mustJSON(img.Tags, "{}")
	r.digests = mustJSON(img.Digests, "[]")
	if len(img.ImageLabels) > 0 {
		t := mustJSON(img.ImageLabels, "{}")
		r.labelJSON = &t
	}
	return r
}

// labelText is the image's labels in JSON, "" for none.
func (r *putRow) labelText() string {
	if r.labelJSON == nil {
		return ""
	}
	return *r.labelJSON
}

// mustJSON marshals maps and lists of texts, which always works; absent is for nil.
func mustJSON(v any, absent string) string {
	b, err := json.Marshal(v)
	if err != nil || string(b) == "null" {
		return absent
	}
	return string(b)
}

// image is what an asset knows of its image, without the image's labels.
func (a *Asset) image() (*Image, error) {
	img := &Image{Registry: a.Registry, Repository: a.Repository, ConfigDigest: a.ConfigDigest, TotalImageTags: a.TotalImageTags, Architecture: a.Architecture, OS: a.OS,
		SizeBytes: a.SizeBytes, BuiltAt: a.BuiltAt, Document: a.Document}
	if err := json.Unmarshal(a.ImageTags, &img.ImageTags); err != nil {
		return nil, fmt.Errorf("read the image tags of asset %s: %w", a.ID, err)
	}
	if err := json.Unmarshal(a.Digests, &img.Digests); err != nil {
		return nil, fmt.Errorf("read the digests of asset %s: %w", a.ID, err)
	}
	return img, nil
}

// filledIn is the image with what only an earlier report of it says. The digest of its config is the same, so the facts in
// there are too: whoever leaves one out does not know it. With merge it is the earlier one that is believed, since a
// registry knows more than a build, and image tags and digests are those of both, the earlier ones first.
func (i *Image) filledIn(earlier *Image, merge bool) *Image {
	filled := *i
	first, second := i, earlier
	if merge {
		first, second = earlier, i
	}
	filled.Architecture, filled.OS = cmp.Or(first.Architecture, second.Architecture), cmp.Or(first.OS, second.OS)
	filled.SizeBytes, filled.BuiltAt = cmp.Or(first.SizeBytes, second.SizeBytes), cmp.Or(first.BuiltAt, second.BuiltAt)
	if filled.Document = first.Document; len(filled.Document) <= len("{}") {
		filled.Document = second.Document
	}
	if filled.ImageLabels = first.ImageLabels; len(filled.ImageLabels) == 0 {
		filled.ImageLabels = second.ImageLabels
	}
	if !merge {
		return &filled
	}
	filled.ImageTags, filled.Digests = union(earlier.ImageTags, i.ImageTags), union(earlier.Digests, i.Digests)
	filled.TotalImageTags = max(earlier.TotalImageTags+len(filled.ImageTags)-len(earlier.ImageTags), i.TotalImageTags)
	filled.normalize()
	return &filled
}

// union is a list and what another has beyond it.
func union[T comparable](list, more []T) []T {
	all := slices.Clone(list)
	for _, x := range more {
		if !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	return all
}

// digestRows lists what an image is known by.
func (r *putRow) digestRows() [][2]string {
	rows := [][2]string{{digestConfig, r.image.ConfigDigest}}
	for _, d := range r.image.Digests {
		for kind, digest := range map[string]string{digestManifest: d.Manifest, digestIndex: d.Index} {
			if digest != "" && !slices.Contains(rows, [2]string{kind, digest}) {
				rows = append(rows, [2]string{kind, digest})
			}
		}
	}
	return rows
}

// lockAssets reads those of the ids that are assets of the organizations and locks them against other changes until the
// end of the transaction, in the order of their ids, so that overlapping calls wait for each other and never in a ring.
func (s *Store) lockAssets(ctx context.Context, organizations, ids []string) (map[string]Asset, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if s.dialect == PostgreSQL {
		one, idList := s.amongIDs("id", ids)
		in, list := s.among("organization_id", organizations)
		rows, err := s.assetRows(ctx, "SELECT 1 FROM assets WHERE "+one+" AND "+in+" ORDER BY id FOR UPDATE", idList, list)
		if _, err := scanAll(rows, err, func(rows *sql.Rows, n *int) error { return rows.Scan(n) }); err != nil {
			return nil, err
		}
	}
	list, err := s.AssetsByID(ctx, organizations, ids)
	if err != nil {
		return nil, err
	}
	known := make(map[string]Asset, len(list))
	for _, a := range list {
		known[a.ID] = a
	}
	return known, nil
}
