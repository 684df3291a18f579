package assets

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"slipway/internal/rsql"
	"slipway/models"
)

// Field is a field that lists can be grouped or filtered by. Its id is made from the kind of scope and its name, so it is
// the same in every process and needs no table.
type Field struct {
	ID   string
	Name string
	Type string // string, datetime, array, object; only of filter fields
	// Values says that the field's values can be listed.
	Values bool
	object bool
}

var fieldNamespace = uuid.MustParse("b7a6a1a8-2f4e-4a3e-9a54-0d8a5f5f7c01")

// valueID makes the id of a field or a value.
func valueID(parts ...string) string {
	return uuid.NewSHA1(fieldNamespace, []byte(strings.Join(parts, "|"))).String()
}

// GroupFields lists what the assets of a scope can be grouped by.
func GroupFields(scope Scope) []Field {
	var list []Field
	for _, name := range models.AssetGroups {
		list = append(list, Field{ID: valueID(scope.Kind, "group", name), Name: name, Values: true})
	}
	return list
}

// FilterFields lists what the assets of a scope can be filtered by. q is among them: it is written like a field.
func FilterFields(scope Scope) []Field {
	var list []Field
	for _, f := range models.AssetFields() {
		list = append(list, Field{ID: valueID(scope.Kind, "filter", f.Name), Name: f.Name, Type: f.Type, Values: f.Values, object: f.Key})
	}
	return list
}

func findField(list []Field, id string) (Field, error) {
	// Ids are compared as UUIDs, which may be written in capitals.
	i := slices.IndexFunc(list, func(f Field) bool { return strings.EqualFold(f.ID, id) })
	if i < 0 || !list[i].Values {
		return Field{}, models.ErrNotFound
	}
	return list[i], nil
}

// Value is a value of a field.
type Value struct {
	ID    string
	Key   string // of an object
	Value string
	Count int64
	// Detail is what the assets of a group have, where it was asked for.
	Detail *models.GroupDetail
}

// Values is a page of values.
type Values struct {
	Field      Field
	Values     []Value
	Next, Prev string
}

// GroupRequest asks for the values that assets have in a field.
type GroupRequest struct {
	Scope   Scope
	FieldID string
	Filter  *string
	// Sort is count (the default), -count, value or -value. Equal counts are sorted by value.
	Sort string
	// Labels, Tags and Times ask for more than the number, BuiltAt as in models.GroupDetailQuery.
	Labels, Tags, Times bool
	BuiltAt             string
	Paging
}

// GroupValues gives a page of the values of a group field, each with the number of assets that have it. Assets without a
// value are in no group. An unknown field is models.ErrNotFound.
func (s *Service) GroupValues(ctx context.Context, r GroupRequest) (*Values, error) {
	field, err := findField(GroupFields(r.Scope), r.FieldID)
	if err != nil {
		return nil, err
	}
	list := rsql.List{Scope: r.Scope.text() + "/groups/" + field.Name}
	q := models.FacetQuery{Field: field.Name, Limit: r.Limit}
	if r.Filter != nil {
		if q.Filter, err = parseFilter("filter", *r.Filter); err != nil {
			return nil, err
		}
		list.Filter = *r.Filter
	}
	if list.Sort, err = rsql.ParseSort(r.Sort, "count", "value"); err != nil {
		return nil, place("sort").wrong(err)
	}
	switch len(list.Sort) {
	case 0:
		list.Sort = rsql.Sort{{Field: "count"}}
	case 1:
	default:
		return nil, BadParameter("sort", string(rsql.CodeInvalidSort), "expected one of count, -count, value and -value")
	}
	q.Sort, q.Descending = list.Sort[0].Field, list.Sort[0].Descending
	var after *rsql.Cursor
	if after, q.Backward, err = s.cursor(list, r.Paging); err != nil {
		return nil, err
	}
	if after != nil {
		n, _ := after.Values[0].(int64)
		q.After = &models.FacetValue{Value: after.ID, Count: n}
	}
	if q.Organizations, err = s.organizations(ctx, r.Scope); err != nil {
		return nil, err
	}
	out := &Values{Field: field}
	var more bool
	read := func(ctx context.Context) error {
		var found []models.FacetValue
		if found, more, err = s.store.ListFacets(ctx, q); err != nil {
			return err
		}
		for _, f := range found {
			out.Values = append(out.Values, Value{ID: valueID(r.Scope.Kind, "group", field.Name, f.Value), Value: f.Value, Count: f.Count})
		}
		return s.groupDetails(ctx, r, q, out.Values)
	}
	if err := s.inFilterTime(ctx, r.Filter, read); err != nil {
		return nil, err
	}
	hasNext, hasPrev := around(r.Paging, more)
	cursorOf := func(v Value) (string, error) {
		return s.cursors.Encode(list, rsql.Cursor{Values: []any{v.Count}, ID: v.Value})
	}
	if n := len(out.Values); n > 0 {
		if hasNext {
			if out.Next, err = cursorOf(out.Values[n-1]); err != nil {
				return nil, err
			}
		}
		if hasPrev {
			if out.Prev, err = cursorOf(out.Values[0]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// groupDetails adds what was asked for to the groups of a page.
func (s *Service) groupDetails(ctx context.Context, r GroupRequest, q models.FacetQuery, groups []Value) error {
	if !r.Labels && !r.Tags && !r.Times {
		return nil
	}
	d := models.GroupDetailQuery{Organizations: q.Organizations, Field: q.Field, Filter: q.Filter, Labels: r.Labels, Tags: r.Tags, Times: r.Times, BuiltAt: r.BuiltAt}
	for _, g := range groups {
		d.Values = append(d.Values, g.Value)
	}
	var details map[string]*models.GroupDetail
	say := rsql.Error{Detail: "to read what the groups have takes longer than %s", Expected: []string{"fewer fields", "a filter that selects fewer assets"}}
	err := s.inTime(ctx, "meta_fields", say, func(ctx context.Context) (err error) {
		details, err = s.store.GroupDetails(ctx, d)
		return err
	})
	if err != nil {
		return err
	}
	for i := range groups {
		groups[i].Detail = details[groups[i].Value]
	}
	return nil
}

// SuggestRequest asks for values that complete what somebody types.
type SuggestRequest struct {
	Scope   Scope
	FieldID string
	// Term is a part of the value, or of the key with KeysOnly; without case.
	Term string
	// KeysOnly gives the keys of an object. Key limits its values to those under one key.
	KeysOnly bool
	Key      string
	Limit    int
}

// Suggest gives values of a filter field in their order. An unknown field, and one whose values cannot be suggested, is
// models.ErrNotFound.
func (s *Service) Suggest(ctx context.Context, r SuggestRequest) (*Values, error) {
	field, err := findField(FilterFields(r.Scope), r.FieldID)
	if err != nil {
		return nil, err
	}
	if !field.object && r.KeysOnly {
		return nil, BadParameter("keys_only", CodeInvalidParameter, "field "+field.Name+" is not an object and has no keys")
	}
	if !field.object && r.Key != "" {
		return nil, BadParameter("key", CodeInvalidParameter, "field "+field.Name+" is not an object and has no keys")
	}
	organizations, err := s.organizations(ctx, r.Scope)
	if err != nil {
		return nil, err
	}
	found, _, err := s.store.ListFacets(ctx, models.FacetQuery{Organizations: organizations, Field: field.Name, Key: r.Key, KeysOnly: r.KeysOnly, Term: r.Term, Sort: "value", Limit: r.Limit, NoCounts: true})
	if err != nil {
		return nil, err
	}
	out := &Values{Field: field}
	for _, f := range found {
		out.Values = append(out.Values, Value{ID: valueID(r.Scope.Kind, "filter", field.Name, f.Key, f.Value), Key: f.Key, Value: f.Value, Count: f.Count})
	}
	return out, nil
}
