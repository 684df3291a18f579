package assets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"slipway/api"
	"slipway/assets"
	"slipway/models"
)

// update answers PATCH on one asset.
func (s *surface) update(ctx context.Context, c *call) (*document, error) {
	id, err := c.uuidParam("asset_id")
	if err != nil {
		return nil, err
	}
	data, err := dataOf(c)
	if err != nil {
		return nil, err
	}
	edit, err := readEdit(data, "/data")
	if err != nil {
		return nil, err
	}
	if edit.ID != id {
		return nil, assets.BadPointer("/data/id", "expected the id of the path, "+id)
	}
	after, err := s.Service.Edit(ctx, c.scope, c.request.Subject, []models.AssetEdit{edit})
	if err != nil {
		return nil, editProblem(err, false)
	}
	return &document{JSONAPI: &jsonapiVersion, Data: c.image(&after[0]), Links: pageLinks{Self: links(c.http, c.parameters, "", "").Self}}, nil
}

// bulk answers PATCH on the assets: a list of resources, all or none. It is no list of operations.
func (s *surface) bulk(ctx context.Context, c *call) (api.Response, error) {
	data, err := dataOf(c)
	if err != nil {
		return api.Response{}, err
	}
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil || list == nil {
		return api.Response{}, assets.BadPointer("/data", "expected a list of 1 to 100 assets")
	}
	if len(list) < 1 || len(list) > assets.MaxEdits {
		return api.Response{}, assets.BadPointer("/data", fmt.Sprintf("expected 1 to %d assets, got %d", assets.MaxEdits, len(list)))
	}
	edits := make([]models.AssetEdit, len(list))
	seen := map[string]bool{}
	for i, item := range list {
		at := "/data/" + strconv.Itoa(i)
		if edits[i], err = readEdit(item, at); err != nil {
			return api.Response{}, err
		}
		if seen[edits[i].ID] {
			return api.Response{}, assets.BadPointer(at+"/id", "expected each asset once")
		}
		seen[edits[i].ID] = true
	}
	if _, err := s.Service.Edit(ctx, c.scope, c.request.Subject, edits); err != nil {
		return api.Response{}, editProblem(err, true)
	}
	header := http.Header{}
	setHeaders(headerWriter{header}, c.http)
	return api.Response{Status: http.StatusNoContent, Header: header}, nil
}

// dataOf takes data out of the body of a PATCH.
func dataOf(c *call) (json.RawMessage, error) {
	if len(c.body) == 0 {
		if err := checkContentType(c.http); err != nil {
			return nil, err
		}
		return nil, assets.BadPointer("", "expected a body with data")
	}
	return readData(c.body)
}

// readData takes data out of a body, in which nothing else may stand.
func readData(body []byte) (json.RawMessage, error) {
	if err := api.CheckBody(body); err != nil {
		return nil, assets.BadPointer("", err.Error())
	}
	top, err := members(body, "", "data")
	if err != nil {
		return nil, err
	}
	if top["data"] == nil {
		return nil, assets.BadPointer("/data", "expected data")
	}
	return top["data"], nil
}

// members reads a JSON object and refuses members it does not know. at is its pointer.
func members(raw json.RawMessage, at string, known ...string) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&m); err != nil || m == nil {
		return nil, assets.BadPointer(at, "expected a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, assets.BadPointer(at, "expected one JSON object and nothing behind it")
	}
	// In order, so that the same body always gets the same answer.
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, assets.BadPointer(at+"/"+escapePointer(shown(name)), "unknown member, expected "+strings.Join(known, ", "))
		}
	}
	return m, nil
}

// escapePointer writes a name for a JSON pointer.
func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// readEdit reads the resource of a PATCH.
func readEdit(raw json.RawMessage, at string) (models.AssetEdit, error) {
	var edit models.AssetEdit
	m, err := members(raw, at, "type", "id", "attributes")
	if err != nil {
		return edit, err
	}
	var kind, id string
	if json.Unmarshal(m["type"], &kind) != nil || kind != models.AssetTypeContainerImage {
		return edit, assets.BadPointer(at+"/type", "expected "+models.AssetTypeContainerImage)
	}
	u, bad := uuid.UUID{}, json.Unmarshal(m["id"], &id)
	if bad == nil {
		u, bad = uuid.Parse(id)
	}
	if bad != nil || len(id) != 36 {
		return edit, assets.BadPointer(at+"/id", "expected the id of an asset, a UUID")
	}
	edit.ID = u.String()
	at += "/attributes"
	if m["attributes"] == nil {
		return edit, assets.BadPointer(at, "expected attributes")
	}
	attributes, err := members(m["attributes"], at, "class", "labels", "tags")
	if err != nil {
		return edit, err
	}
	if len(attributes) == 0 {
		return edit, assets.BadPointer(at, "expected at least one of class, labels and tags")
	}
	if raw, ok := attributes["class"]; ok {
		if edit.Class, err = readClass(raw, at+"/class"); err != nil {
			return edit, err
		}
	}
	if raw, ok := attributes["labels"]; ok {
		if edit.Labels, err = readLabels(raw, at+"/labels"); err != nil {
			return edit, err
		}
	}
	if raw, ok := attributes["tags"]; ok {
		if edit.Tags, err = readTags(raw, at+"/tags"); err != nil {
			return edit, err
		}
	}
	return edit, nil
}

// readClass reads a class by name, by rank or by both, which must agree. null takes the class away.
func readClass(raw json.RawMessage, at string) (*models.AssetClassEdit, error) {
	if isNull(raw) {
		unlocked := false
		return &models.AssetClassEdit{Locked: &unlocked}, nil
	}
	m, err := members(raw, at, "display_name", "rank", "locked")
	if err != nil {
		return nil, err
	}
	edit := &models.AssetClassEdit{}
	if raw, ok := m["display_name"]; ok {
		if json.Unmarshal(raw, &edit.Class) != nil || !slices.Contains(models.AssetClasses, edit.Class) {
			return nil, assets.BadPointer(at+"/display_name", "expected A, B, C or D")
		}
	}
	if raw, ok := m["rank"]; ok {
		var rank int
		if isNull(raw) || json.Unmarshal(raw, &rank) != nil || rank < 1 || rank > len(models.AssetClasses) {
			return nil, assets.BadPointer(at+"/rank", "expected a rank from 1 to 4")
		}
		name := models.AssetClasses[rank-1]
		if edit.Class != "" && edit.Class != name {
			return nil, assets.BadPointer(at+"/rank", "rank and display_name name different classes")
		}
		edit.Class = name
	}
	if edit.Class == "" {
		return nil, assets.BadPointer(at, "expected display_name or rank")
	}
	if raw, ok := m["locked"]; ok {
		var locked bool
		if isNull(raw) || json.Unmarshal(raw, &locked) != nil {
			return nil, assets.BadPointer(at+"/locked", "expected true or false")
		}
		edit.Locked = &locked
	}
	return edit, nil
}

// readLabels reads a list, which replaces all labels, or what is to be added and removed. null removes all.
func readLabels(raw json.RawMessage, at string) (*models.AssetLabelsEdit, error) {
	if isNull(raw) {
		return &models.AssetLabelsEdit{Replace: []string{}}, nil
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		list, err := labelList(raw, at)
		return &models.AssetLabelsEdit{Replace: list}, err
	}
	m, err := members(raw, at, "add", "remove")
	if err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return nil, assets.BadPointer(at, "expected add or remove")
	}
	edit := &models.AssetLabelsEdit{}
	if raw, ok := m["add"]; ok {
		if edit.Add, err = labelList(raw, at+"/add"); err != nil {
			return nil, err
		}
	}
	if raw, ok := m["remove"]; ok {
		if edit.Remove, err = labelList(raw, at+"/remove"); err != nil {
			return nil, err
		}
	}
	for i, l := range edit.Remove {
		if slices.Contains(edit.Add, l) {
			return nil, assets.BadPointer(at+"/remove/"+strconv.Itoa(i), "the label is both added and removed")
		}
	}
	return edit, nil
}

func labelList(raw json.RawMessage, at string) ([]string, error) {
	list, err := textList(raw, at, models.MaxAssetLabels, "labels")
	for i, l := range list {
		if m := models.CheckAssetLabel(l); m != "" {
			return nil, assets.BadPointer(at+"/"+strconv.Itoa(i), m)
		}
	}
	return list, err
}

func textList(raw json.RawMessage, at string, most int, what string) ([]string, error) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return nil, assets.BadPointer(at, "expected a list of texts")
	}
	if len(items) > most {
		return nil, assets.BadPointer(at, fmt.Sprintf("expected at most %d %s", most, what))
	}
	list := make([]string, len(items))
	for i, t := range items {
		if isNull(t) || json.Unmarshal(t, &list[i]) != nil {
			return nil, assets.BadPointer(at+"/"+strconv.Itoa(i), "expected a text")
		}
	}
	return list, nil
}

// readTags reads an object of texts, which replaces all tags, or what is to be added and removed; null removes all. By
// its shape alone {"add": "x"} could be both: it is an update only where all its members are add and remove and have the
// types of an update.
func readTags(raw json.RawMessage, at string) (*models.AssetTagsEdit, error) {
	if isNull(raw) {
		return &models.AssetTagsEdit{Replace: map[string]string{}}, nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return nil, assets.BadPointer(at, "expected an object")
	}
	update := len(m) > 0
	for name, v := range m {
		start := bytes.TrimSpace(v)[0]
		update = update && (name == "add" && start == '{' || name == "remove" && start == '[')
	}
	if !update {
		tags, err := tagObject(raw, at)
		return &models.AssetTagsEdit{Replace: tags}, err
	}
	edit := &models.AssetTagsEdit{}
	var err error
	if raw, ok := m["add"]; ok {
		if edit.Add, err = tagObject(raw, at+"/add"); err != nil {
			return nil, err
		}
	}
	if raw, ok := m["remove"]; ok {
		if edit.Remove, err = textList(raw, at+"/remove", models.MaxAssetTags, "keys"); err != nil {
			return nil, err
		}
	}
	for i, k := range edit.Remove {
		pointer := at + "/remove/" + strconv.Itoa(i)
		if m := models.CheckAssetTagKey(k); m != "" {
			return nil, assets.BadPointer(pointer, m)
		}
		if _, both := edit.Add[k]; both {
			return nil, assets.BadPointer(pointer, "the tag is both added and removed")
		}
	}
	return edit, nil
}

func tagObject(raw json.RawMessage, at string) (map[string]string, error) {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return nil, assets.BadPointer(at, "expected an object whose values are texts")
	}
	if len(m) > models.MaxAssetTags {
		return nil, assets.BadPointer(at, fmt.Sprintf("expected at most %d tags", models.MaxAssetTags))
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	tags := make(map[string]string, len(m))
	for _, k := range keys {
		pointer := at + "/" + escapePointer(shown(k))
		if m := models.CheckAssetTagKey(k); m != "" {
			return nil, assets.BadPointer(pointer, m)
		}
		var value string
		if isNull(m[k]) || json.Unmarshal(m[k], &value) != nil {
			return nil, assets.BadPointer(pointer, "expected a text")
		}
		if m := models.CheckAssetTagValue(value); m != "" {
			return nil, assets.BadPointer(pointer, m)
		}
		tags[k] = value
	}
	return tags, nil
}

// readSearch reads the body of a search, which may be absent.
func readSearch(raw []byte) (assets.SearchRequest, error) {
	var r assets.SearchRequest
	if len(raw) == 0 {
		return r, nil
	}
	top, err := readData(raw)
	if err != nil {
		return r, err
	}
	data, err := members(top, "/data", "type", "attributes")
	if err != nil {
		return r, err
	}
	var kind string
	if json.Unmarshal(data["type"], &kind) != nil || kind != "searches" {
		return r, assets.BadPointer("/data/type", "expected searches")
	}
	if data["attributes"] == nil {
		return r, nil
	}
	a, err := members(data["attributes"], "/data/attributes", "filter", "sort", "limit", "meta_count")
	if err != nil {
		return r, err
	}
	if raw, ok := a["filter"]; ok {
		if json.Unmarshal(raw, &r.Filter) != nil || r.Filter == nil {
			return r, assets.BadPointer("/data/attributes/filter", "expected a text")
		}
	}
	if raw, ok := a["sort"]; ok {
		if isNull(raw) || json.Unmarshal(raw, &r.Sort) != nil {
			return r, assets.BadPointer("/data/attributes/sort", "expected a text")
		}
	}
	if raw, ok := a["limit"]; ok {
		if json.Unmarshal(raw, &r.Limit) != nil || r.Limit < 10 || r.Limit > 100 {
			return r, assets.BadPointer("/data/attributes/limit", "expected a whole number from 10 to 100")
		}
	}
	if raw, ok := a["meta_count"]; ok {
		if json.Unmarshal(raw, &r.Count) != nil || r.Count != assets.CountWith && r.Count != assets.CountOnly {
			return r, assets.BadPointer("/data/attributes/meta_count", "expected with or only")
		}
	}
	return r, nil
}
