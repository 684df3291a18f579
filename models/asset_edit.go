package models

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// AssetEdit is a change of what people can set of an asset. Members that are nil change nothing.
type AssetEdit struct {
	ID     string
	Class  *AssetClassEdit
	Labels *AssetLabelsEdit
	Tags   *AssetTagsEdit
}

// AssetClassEdit sets the class, or takes it away where Class is "". Locked says that automatic classification must
// leave it alone; nil leaves the lock as it is.
type AssetClassEdit struct {
	Class  string
	Locked *bool
}

// AssetLabelsEdit replaces all labels, where Replace is not nil, or adds and removes some. Adding what is there and
// removing what is not changes nothing.
type AssetLabelsEdit struct {
	Replace     []string
	Add, Remove []string
}

// AssetTagsEdit replaces all tags, where Replace is not nil, or sets and removes some.
type AssetTagsEdit struct {
	Replace map[string]string
	Add     map[string]string
	Remove  []string
}

// AssetEditError says that an edit cannot be made because of what the asset holds.
type AssetEditError struct {
	Index   int    // of the edit
	Member  string // labels or tags
	Message string
}

func (e *AssetEditError) Error() string {
	return fmt.Sprintf("edit %d: %s: %s", e.Index, e.Member, e.Message)
}

// MissingAssetError says that an edit names an asset that the organizations do not have. It is an ErrNotFound.
type MissingAssetError struct{ Index int }

func (e *MissingAssetError) Error() string { return fmt.Sprintf("edit %d: no such asset", e.Index) }

// Unwrap makes it an ErrNotFound.
func (e *MissingAssetError) Unwrap() error { return ErrNotFound }

// editable is the part of an asset that edits change.
type editable struct {
	class  string
	locked bool
	labels []string // sorted
	tags   map[string]string
}

func editableOf(a *Asset) (editable, error) {
	e := editable{locked: a.ClassLocked, tags: map[string]string{}}
	if a.Class != nil {
		e.class = *a.Class
	}
	if err := json.Unmarshal(a.Labels, &e.labels); err != nil {
		return e, fmt.Errorf("read the labels of asset %s: %w", a.ID, err)
	}
	if err := json.Unmarshal(a.Tags, &e.tags); err != nil {
		return e, fmt.Errorf("read the tags of asset %s: %w", a.ID, err)
	}
	return e, nil
}

// apply gives the asset after an edit. byPerson is false for automatic classification, which leaves a locked class alone.
func (e editable) apply(edit AssetEdit, byPerson bool) (editable, *AssetEditError) {
	e.labels, e.tags = slices.Clone(e.labels), maps.Clone(e.tags)
	if c := edit.Class; c != nil && (byPerson || !e.locked) {
		e.class = c.Class
		if c.Locked != nil {
			e.locked = *c.Locked
		}
	}
	if l := edit.Labels; l != nil {
		if l.Replace != nil {
			e.labels = slices.Clone(l.Replace)
		}
		e.labels = slices.DeleteFunc(e.labels, func(x string) bool { return slices.Contains(l.Remove, x) })
		e.labels = append(e.labels, l.Add...)
		slices.Sort(e.labels)
		e.labels = slices.Compact(e.labels)
		if len(e.labels) > MaxAssetLabels {
			return e, &AssetEditError{Member: "labels", Message: fmt.Sprintf("the asset would have %d labels, expected at most %d", len(e.labels), MaxAssetLabels)}
		}
	}
	if t := edit.Tags; t != nil {
		if t.Replace != nil {
			e.tags = maps.Clone(t.Replace)
		}
		for _, k := range t.Remove {
			delete(e.tags, k)
		}
		maps.Copy(e.tags, t.Add)
		if len(e.tags) > MaxAssetTags {
			return e, &AssetEditError{Member: "tags", Message: fmt.Sprintf("the asset would have %d tags, expected at most %d", len(e.tags), MaxAssetTags)}
		}
	}
	return e, nil
}

func (e editable) equal(o editable) bool {
	return e.class == o.class && e.locked == o.locked && slices.Equal(e.labels, o.labels) && maps.Equal(e.tags, o.tags)
}

// EditAssets makes edits of assets of the organizations, all or none, and gives the assets afterwards in the order of the
// edits. updated_at changes only where something does. Errors about one edit are *MissingAssetError and *AssetEditError.
func (s *Store) EditAssets(ctx context.Context, organizations []string, edits []AssetEdit, byPerson bool) ([]Asset, error) {
	ids := make([]string, len(edits))
	for i, e := range edits {
		ids[i] = e.ID
	}
	var after []Asset
	err := s.Tx(ctx, func(tx *Store) error {
		known, err := tx.lockAssets(ctx, organizations, ids)
		if err != nil {
			return err
		}
		after = make([]Asset, len(edits))
		deltas := facetDeltas{}
		var changes []assetChange
		for i, edit := range edits {
			a, ok := known[edit.ID]
			if !ok {
				return &MissingAssetError{Index: i}
			}
			before, err := editableOf(&a)
			if err != nil {
				return err
			}
			now, failure := before.apply(edit, byPerson)
			if failure != nil {
				failure.Index = i
				return failure
			}
			if !now.equal(before) {
				deltas.edited(a.OrganizationID, before.class, before.labels, before.tags, -1)
				deltas.edited(a.OrganizationID, now.class, now.labels, now.tags, 1)
				changes = append(changes, newAssetChange(&a, now, tx.Now()))
			}
			after[i] = a
		}
		if err := tx.writeAssetChanges(ctx, changes); err != nil {
			return fmt.Errorf("update assets: %w", err)
		}
		return tx.mergeFacets(ctx, deltas)
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// assetChange is a row to write.
type assetChange struct {
	id, class                              string
	locked                                 bool
	labels, lines                          []string
	labelsJSON, tagsJSON, linesJSON, found string
	at                                     time.Time
}

// newAssetChange also brings the asset that is shown up to date.
func newAssetChange(a *Asset, e editable, at time.Time) assetChange {
	lines := tagLines(e.tags)
	c := assetChange{id: a.ID, class: e.class, locked: e.locked, labels: e.labels, lines: lines, labelsJSON: mustJSON(e.labels, "[]"), tagsJSON: mustJSON(e.tags, "{}"),
		linesJSON: mustJSON(lines, "[]"), found: searchText(a.Registry, a.Repository, e.labels, lines), at: at}
	a.Class = nil
	if e.class != "" {
		a.Class = &e.class
	}
	a.ClassLocked, a.Labels, a.Tags, a.UpdatedAt = e.locked, json.RawMessage(c.labelsJSON), json.RawMessage(c.tagsJSON), at
	return c
}
