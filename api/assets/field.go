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

// groupFields answers GET on groups.
func (s *surface) groupFields(_ context.Context, c *call) (*document, error) {
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
	v, err := s.Service.GroupValues(ctx, assets.GroupRequest{Scope: c.scope, FieldID: id, Filter: c.parameters.text("filter"), Sort: c.parameters["sort"], Paging: paging})
	if err != nil {
		return nil, err
	}
	data := []resource{}
	if !images {
		v.Values, v.Next, v.Prev = nil, "", ""
	}
	for _, x := range v.Values {
		data = append(data, resource{Type: "group_values", ID: x.ID, Attributes: valueAttributes{Value: &x.Value}, Meta: &resourceMeta{Count: x.Count}})
	}
	return &document{Data: data, Links: links(c.http, c.parameters, v.Next, v.Prev)}, nil
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
