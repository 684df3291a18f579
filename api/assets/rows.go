package assets

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"slipway/api"
	"slipway/assets"
	"slipway/models"
)

// scope is one of the three places of the operations.
type scope struct {
	kind   string // of the organization
	path   string
	param  string
	suffix string // of the operation ids
}

var (
	tenants = scope{kind: assets.Tenant, path: "/tenants/{tenant_id}", param: "tenant_id", suffix: "InTenant"}
	orgs    = scope{kind: assets.Org, path: "/orgs/{org_id}", param: "org_id", suffix: "InOrg"}
	groups  = scope{kind: assets.Group, path: "/groups/{group_id}", param: "group_id", suffix: "InGroup"}
)

// handlers are the ten operations of a scope.
type handlers struct {
	bulk, list, update, get, search, results, groupFields, groupValues, filterFields, filterValues api.Handler
}

func (s *surface) rows() []api.Row {
	return slices.Concat(
		s.scopeRows(tenants, handlers{
			bulk: handle[bulkInTenant](s.bulk), list: handle[listInTenant](s.list), update: handle[updateInTenant](s.update), get: handle[getInTenant](s.get),
			search: handle[bulkInTenant](s.search), results: handle[resultsInTenant](s.results), groupFields: handle[fieldsInTenant](s.groupFields),
			groupValues: handle[groupInTenant](s.groupValues), filterFields: handle[fieldsInTenant](s.filterFields), filterValues: handle[suggestInTenant](s.filterValues),
		}),
		s.scopeRows(orgs, handlers{
			bulk: handle[bulkInOrg](s.bulk), list: handle[listInOrg](s.list), update: handle[updateInOrg](s.update), get: handle[getInOrg](s.get),
			search: handle[bulkInOrg](s.search), results: handle[resultsInOrg](s.results), groupFields: handle[fieldsInOrg](s.groupFields),
			groupValues: handle[groupInOrg](s.groupValues), filterFields: handle[fieldsInOrg](s.filterFields), filterValues: handle[suggestInOrg](s.filterValues),
		}),
		s.scopeRows(groups, handlers{
			bulk: handle[bulkInGroup](s.bulk), list: handle[listInGroup](s.list), update: handle[updateInGroup](s.update), get: handle[getInGroup](s.get),
			search: handle[bulkInGroup](s.search), results: handle[resultsInGroup](s.results), groupFields: handle[fieldsInGroup](s.groupFields),
			groupValues: handle[groupInGroup](s.groupValues), filterFields: handle[fieldsInGroup](s.filterFields), filterValues: handle[suggestInGroup](s.filterValues),
		}),
	)
}

// scopeRows are the ten operations of a scope, in the order of the contract.
func (s *surface) scopeRows(in scope, h handlers) []api.Row {
	on := s.organization(in)
	may := func(action string) api.Permission {
		return api.Permission{Action: action, On: on, ReadAction: "asset:read"}
	}
	base := in.path + "/inventory/assets"
	return []api.Row{
		{Method: http.MethodPatch, Path: base, Operation: "bulkUpdateAssetAttributes" + in.suffix, Summary: "Update the attributes of up to 100 assets, all or none",
			Permission: may("asset:update"), Success: http.StatusNoContent, Handler: h.bulk, MaxBody: 4 << 20},
		{Method: http.MethodGet, Path: base, Operation: "listOrSearchAllAssets" + in.suffix, Summary: "List or search assets", Permission: may("asset:read"), Handler: h.list},
		{Method: http.MethodPatch, Path: base + "/{asset_id}", Operation: "updateAssetAttributes" + in.suffix, Summary: "Update the attributes of an asset",
			Permission: may("asset:update"), Handler: h.update},
		{Method: http.MethodGet, Path: base + "/{asset_id}", Operation: "getASingleAssetById" + in.suffix, Summary: "Get an asset", Permission: may("asset:read"), Handler: h.get},
		{Method: http.MethodPost, Path: base + "/searches", Operation: "createAnAssetSearch" + in.suffix, Summary: "Begin a search that runs apart from the request",
			Permission: may("asset-search:create"), Success: http.StatusFound, Handler: h.search},
		{Method: http.MethodGet, Path: base + "/searches/{search_id}/results", Operation: "retrieveAssetSearchResults" + in.suffix, Summary: "Read the results of a search",
			Permission: may("asset-search:read"), Handler: h.results},
		{Method: http.MethodGet, Path: base + "/groups", Operation: "getAvailableGroupFields" + in.suffix, Summary: "List the fields that assets can be grouped by",
			Permission: may("asset:read"), Handler: h.groupFields},
		{Method: http.MethodGet, Path: base + "/groups/{group_field}/values", Operation: "getGroupValueAggregation" + in.suffix, Summary: "Count assets by the values of a field",
			Permission: may("asset:read"), Handler: h.groupValues},
		{Method: http.MethodGet, Path: base + "/filters", Operation: "getAvailableFilterFields" + in.suffix, Summary: "List the fields that assets can be filtered by",
			Permission: may("asset:read"), Handler: h.filterFields},
		{Method: http.MethodGet, Path: base + "/filters/{filter_id}/values", Operation: "getFilterValueSuggestions" + in.suffix, Summary: "Suggest values of a field",
			Permission: may("asset:read"), Handler: h.filterValues},
	}
}

// organization finds the scope that a path names. An organization of another kind is not there: /orgs/{id} with the id of
// a tenant would show more than an org.
func (s *surface) organization(in scope) api.Resolver {
	return func(r *api.Request) (api.Resource, error) {
		missing := api.MissingResource(in.kind)
		id, ok := canonicalUUID(r.Param(in.param))
		if !ok {
			return missing, nil
		}
		o, err := s.Scopes.Organization(r.HTTP.Context(), id)
		if errors.Is(err, models.ErrNotFound) || err == nil && o.Kind != in.kind {
			return missing, nil
		}
		if err != nil {
			return api.Resource{}, err
		}
		return o.Resource(in.kind, o.ID), nil
	}
}

// call is what the operations see of a request.
type call struct {
	http       *http.Request
	request    *api.Request
	scope      assets.Scope
	parameters parameters
	body       []byte
	// fields are the attributes of images that are asked for, unless allFields.
	fields    []string
	allFields bool
}

// uuidParam gives a path parameter in its canonical spelling. What is no UUID is the id of nothing.
func (c *call) uuidParam(name string) (string, error) {
	id, ok := canonicalUUID(c.request.Param(name))
	if !ok {
		return "", models.ErrNotFound
	}
	return id, nil
}

// canonicalUUID gives a UUID of 36 characters in lower case.
func canonicalUUID(text string) (string, bool) {
	id, err := uuid.Parse(text)
	return id.String(), err == nil && len(text) == 36
}

// handle makes a row's handler of an operation. Req names the parameters; what all operations check of a request is
// checked here, before the operation sees it.
func handle[Req, Res any](operation func(ctx context.Context, c *call) (Res, error)) api.Handler {
	allowed := parameterNames(reflect.TypeFor[Req]())
	return api.Handle(func(ctx context.Context, req *Req) (Res, error) {
		var none Res
		r := api.From(ctx)
		c := &call{http: r.HTTP, request: r, scope: assets.Scope{Kind: r.Resource.Kind, ID: r.Resource.ID}}
		if err := checkAccept(r.HTTP); err != nil {
			return none, err
		}
		var err error
		if c.parameters, err = readQuery(r.HTTP.URL.RawQuery, allowed); err != nil {
			return none, err
		}
		if v, ok := c.parameters["version"]; ok {
			if err := checkVersion(v, time.Now()); err != nil {
				return none, err
			}
		}
		if c.fields, c.allFields, err = c.parameters.imageFields(); err != nil {
			return none, err
		}
		if b, ok := any(req).(interface{ content() []byte }); ok {
			c.body = b.content()
			if len(c.body) > 0 {
				if err := checkContentType(r.HTTP); err != nil {
					return none, err
				}
			}
		}
		return operation(ctx, c)
	})
}
