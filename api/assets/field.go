package assets

import (
	"context"
	"strings"
	"unicode/utf8"

	"slipway/assets"
	"slipway/internal/rsql"
)

type fieldAttributes struct {
	Name       string   `json:"name"`
	Type       string   `json:"type,omitempty"`
	AssetTypes []string `json:"asset_types"`
}

type fieldRelationships struct {
	Values related `json:"values"`
}

type valueAttributes struct {
	Key   string  `json:"key,omitempty"`
	Value *string `json:"value,omitempty"`
}

var imagesOnly = []string{"container_images"}

// fieldDocument lists fields. They are few: limit and cursors are read, so that a wrong limit is refused, and change
// nothing. of is the kind of resource, below the path of their values.
func (c *call) fieldDocument(list []assets.Field, of, below string) (*document, error) {
	if _, err := c.parameters.limit(10); err != nil {
		return nil, err
	}
	images, err := c.parameters.images()
	if err != nil {
		return nil, err
	}
	data := []resource{}
	for _, f := range list {
		if !images {
			break
		}
		r := resource{Type: of, ID: f.ID, Attributes: fieldAttributes{Name: f.Name, Type: f.Type, AssetTypes: imagesOnly}}
		if f.Values {
			r.Relationships = fieldRelationships{Values: related{Links: relatedLinks{Related: c.withVersion(c.base() + below + f.ID + "/values")}}}
		}
		data = append(data, r)
	}
	return &document{Data: data, Links: pageLinks{Self: links(c.http, c.parameters, "", "").Self}}, nil
}

// groupFields answers GET on groups. All are on one page, so that no cursor is one of this list; on filters they are ignored.
func (s *surface) groupFields(_ context.Context, c *call) (*document, error) {
	for _, name := range []string{"starting_after", "ending_before"} {
		if _, ok := c.parameters[name]; ok {
			return nil, assets.BadParameter(name, string(rsql.CodeInvalidCursor), "the list has one page: it gave no cursor")
		}
	}
	return c.fieldDocument(assets.GroupFields(c.scope), "group_fields", "/groups/")
}

// filterFields answers GET on filters.
func (s *surface) filterFields(_ context.Context, c *call) (*document, error) {
	return c.fieldDocument(assets.FilterFields(c.scope), "filter_fields", "/filters/")
}

// groupValues answers GET on the values of a group field.
func (s *surface) groupValues(ctx context.Context, c *call) (*document, error) {
	paging, err := c.parameters.paging(10)
	if err != nil {
		return nil, err
	}
	images, err := c.parameters.images()
	if err != nil {
		return nil, err
	}
	id, err := c.uuidParam("group_field")
	if err != nil {
		return nil, err
	}
	fields, err := c.parameters.metaFields()
	if err != nil {
		return nil, err
	}
	v, err := s.Service.GroupValues(ctx, assets.GroupRequest{Scope: c.scope, FieldID: id, Filter: c.parameters.text("filter"), Sort: c.parameters["sort"], Paging: paging,
		Labels: fields["labels"], Tags: fields["tags"], Times: fields["built_at"] || fields["last_seen_at"] || fields["updated_at"], BuiltAt: c.parameters["aggregate[built_at]"]})
	if err != nil {
		return nil, err
	}
	data := []resource{}
	if !images {
		v.Values, v.Next, v.Prev = nil, "", ""
	}
	for _, x := range v.Values {
		data = append(data, resource{Type: "group_values", ID: x.ID, Attributes: valueAttributes{Value: &x.Value}, Meta: groupMeta(x, fields)})
	}
	return &document{Data: data, Links: links(c.http, c.parameters, v.Next, v.Prev)}, nil
}

// groupMeta is what is told of a group: its number always, the rest where it is asked for.
func groupMeta(v assets.Value, fields map[string]bool) *resourceMeta {
	m := &resourceMeta{Count: v.Count}
	if v.Detail == nil {
		return m
	}
	if fields["labels"] {
		m.Labels = append([]string{}, v.Detail.Labels...)
	}
	if fields["tags"] {
		m.Tags = make([]groupTag, len(v.Detail.Tags))
		for i, t := range v.Detail.Tags {
			m.Tags[i] = groupTag{t.Key, t.Value}
		}
	}
	if fields["built_at"] {
		m.BuiltAt = v.Detail.BuiltAt
	}
	if fields["last_seen_at"] {
		m.LastSeenAt = v.Detail.LastSeenAt
	}
	if fields["updated_at"] {
		m.UpdatedAt = v.Detail.UpdatedAt
	}
	return m
}

// filterValues answers GET on the values of a filter field.
func (s *surface) filterValues(ctx context.Context, c *call) (*document, error) {
	limit, err := c.parameters.limit(10)
	if err != nil {
		return nil, err
	}
	r := assets.SuggestRequest{Scope: c.scope, Term: c.parameters["q"], Key: c.parameters["key"], Limit: limit}
	if utf8.RuneCountInString(r.Term) > 100 {
		return nil, assets.BadParameter("q", assets.CodeInvalidParameter, "expected at most 100 characters")
	}
	for _, name := range []string{"q", "key"} {
		if strings.ContainsRune(c.parameters[name], 0) {
			return nil, assets.BadParameter(name, string(rsql.CodeInvalidQuery), "expected text without NUL")
		}
	}
	if key, ok := c.parameters["key"]; ok && key == "" {
		return nil, assets.BadParameter("key", assets.CodeInvalidParameter, "expected a key")
	}
	switch v, ok := c.parameters["keys_only"]; {
	case v == "true":
		r.KeysOnly = true
	case ok && v != "false":
		return nil, assets.BadParameter("keys_only", assets.CodeInvalidParameter, "expected true or false")
	}
	if r.FieldID, err = c.uuidParam("filter_id"); err != nil {
		return nil, err
	}
	v, err := s.Service.Suggest(ctx, r)
	if err != nil {
		return nil, err
	}
	data := []resource{}
	for _, x := range v.Values {
		a := valueAttributes{Key: x.Key, Value: &x.Value}
		if r.KeysOnly {
			a.Value = nil
		}
		data = append(data, resource{Type: "filter_values", ID: x.ID, Attributes: a})
	}
	return &document{Data: data, Links: pageLinks{Self: links(c.http, c.parameters, "", "").Self}}, nil
}
