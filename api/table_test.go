package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/policies"
)

type nobody struct{}

func (nobody) Authenticate(context.Context, *http.Request) (policies.Subject, error) {
	return policies.Subject{Kind: policies.KindAnonymous}, nil
}

// knows is a policy that allows nothing and knows one action.
type knows string

func (knows) Allow(context.Context, policies.Subject, string, policies.Resource) (bool, error) {
	return false, nil
}

func (knows) Visible(context.Context, policies.Subject, string) (policies.Visible, error) {
	return policies.Visible{}, nil
}

func (k knows) Known(action string) bool { return action == string(k) }

type named struct {
	Name string `path:"name"`
}

func noop(context.Context, *named) (api.Empty, error) { return api.Empty{}, nil }

func nothing(context.Context, *struct{}) (api.Empty, error) { return api.Empty{}, nil }

// TestTheProcessRefusesToStart has every mistake in a table that must not reach anybody.
func TestTheProcessRefusesToStart(t *testing.T) {
	good := api.Row{Method: http.MethodGet, Path: "/things/{name}/", Operation: "getThing", Permission: api.Permission{Action: "thing:read"}, Handler: api.Handle(noop)}
	start := func(rows ...api.Row) error {
		surface := &api.Surface{Name: "test", WriteError: func(http.ResponseWriter, *http.Request, *problem.Error) {}}
		_, err := api.New(api.Options{Groups: []api.Group{{Surface: surface, Rows: rows}}, Authenticator: nobody{}, Policy: knows("thing:read")})
		return err
	}
	require.NoError(t, start(good))
	for name, c := range map[string]struct {
		change  func(r *api.Row)
		message string
	}{
		"no permission":          {func(r *api.Row) { r.Permission = api.Permission{} }, "no permission, and not marked public"},
		"an unknown action":      {func(r *api.Row) { r.Permission.Action = "thing:raed" }, `the policy does not know the action "thing:raed"`},
		"an unknown read action": {func(r *api.Row) { r.Permission.ReadAction = "x:y" }, `the policy does not know the action "x:y"`},
		"a parameter, no field":  {func(r *api.Row) { r.Handler = api.Handle(nothing) }, "path parameter {name} has no field"},
		"a field, no parameter":  {func(r *api.Row) { r.Path = "/things/" }, "reads path parameter {name}, which the path does not have"},
		"no handler":             {func(r *api.Row) { r.Handler = nil }, "no handler"},
		"no operation":           {func(r *api.Row) { r.Operation = "" }, "no operation id"},
		"a strange method":       {func(r *api.Row) { r.Method = "FETCH" }, `method "FETCH" is not one that rows use`},
		"a public filtered list": {func(r *api.Row) { r.Permission.Public, r.Permission.Filtered = true, true }, "a filtered list"},
		"a filtered list of some": {func(r *api.Row) {
			r.Permission.Filtered, r.Permission.On = true, func(*api.Request) (api.Resource, error) { return api.Resource{}, nil }
		}, "a filtered list"},
	} {
		t.Run(name, func(t *testing.T) {
			row := good
			c.change(&row)
			require.ErrorContains(t, start(row), c.message)
		})
	}
	twice := good
	twice.Path = "/things/{other}/"
	require.ErrorContains(t, start(good, twice), "operation getThing stands twice")
	require.ErrorContains(t, start(good, twice), "is the route of getThing and of getThing", "two names for one parameter are one route")
}

func TestRoutesPrintTheTable(t *testing.T) {
	rows := []api.Row{
		{Method: http.MethodGet, Path: "/a/{name}/", Operation: "getA", Permission: api.Permission{Action: "thing:read"}, Handler: api.Handle(noop)},
		{Method: http.MethodGet, Path: "/b", Operation: "getB", Permission: api.Permission{Public: true}, Handler: api.Handle(nothing)},
	}
	shared := []api.Row{{Method: http.MethodGet, Path: "/", Operation: "home", Permission: api.Permission{Public: true}}}
	got := api.Routes([]api.Group{{Surface: &api.Surface{Name: "test"}, Rows: rows, Shared: shared}})
	require.Equal(t, "GET\t/a/{name}/\tgetA\tthing:read\ttest\nGET\t/b\tgetB\tpublic\ttest\nGET\t/\thome\tpublic\ttest\n", string(got))
}

type tree struct {
	Name     string          `json:"name" validate:"required,max=10"`
	Children []tree          `json:"children" validate:"max=5,dive"`
	Notes    map[string]*int `json:"notes"`
	hidden   int
}

type treeRequest struct {
	named
	Size int  `query:"size" validate:"min=1,max=9"`
	Body tree `body:"json"`
}

func TestOpenAPIDescribesTypes(t *testing.T) {
	row := api.Row{Method: http.MethodPut, Path: "/trees/{name}", Operation: "putTree", Permission: api.Permission{Action: "thing:read"}, Success: 201,
		Handler: api.Handle(func(context.Context, *treeRequest) (*tree, error) { return &tree{hidden: 1}, nil })}
	doc, err := api.OpenAPI(api.Group{Surface: &api.Surface{Name: "test", Title: "Test", Version: "1"}, Rows: []api.Row{row}})
	require.NoError(t, err)
	text := string(doc)
	for _, want := range []string{`"operationId": "putTree"`, `"x-slipway-action": "thing:read"`, `"201"`, `"maximum": 9`, `"maxLength": 10`, `"maxItems": 5`,
		`"$ref": "#/components/schemas/Tree"`, `"required": [`, `"nullable": true`} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "hidden")
}
