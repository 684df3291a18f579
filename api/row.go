// Package api is Slipway's HTTP surface: one table of rows on plain Gin. A row says method, path, operation,
// permission and handler; Handle does everything that rows have in common, once: authenticate, parse, authorize, read
// the body, validate, call, write. Handlers hold no HTTP. The surfaces (releases, state, packages, assets, own) each
// have a package below this one that lists their rows and one Surface that gives answers and errors their shape.
package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Row is one operation of the route table.
type Row struct {
	// Method and Path as the contract prints them; path parameters stand in braces: /state/{project}/.
	Method, Path string
	// Operation is the operation id, unique in its surface.
	Operation string
	// Summary is one sentence for the OpenAPI document.
	Summary string
	// Permission says who may call it. A row without one keeps the process from starting.
	Permission Permission
	// Success is the status of a good answer; 0 means 200.
	Success int
	// Handler comes from Handle or Stream.
	Handler Handler
	// MaxBody is the limit of the request body in bytes; 0 means the surface's.
	MaxBody int64
	// Head lets a GET row whose handler is a stream answer HEAD, too. The handler must know the method: it writes headers
	// only, and does nothing else. All other GET rows answer HEAD by themselves, see AnswersHead.
	Head bool
	// Effects says that a GET changes something, because its clients expect so. It does not answer HEAD, which must not.
	Effects bool
	// Probe rows are asked by load balancers whether the process lives. No limit on requests keeps them from an answer.
	Probe bool
}

// AnswersHead says whether a row answers HEAD: the same as GET, permission, status and headers, without the body, which the
// server leaves out.
func (row Row) AnswersHead() bool {
	return row.Method == http.MethodGet && !row.Effects && (row.Head || !row.Handler.shape().stream)
}

// Permission is what a caller needs for a row: an action, looked up in the policy's data, and what it is done to.
type Permission struct {
	// Action is noun:verb, as in policies/data.json. Required unless Public.
	Action string
	// On finds the resource from the path parameters. Nil means the whole installation.
	On Resolver
	// Filtered rows are lists over everything: whoever is logged in may ask, and the handler shows what Policy.Visible
	// gives for Action, which may be nothing.
	Filtered bool
	// Public rows answer without a credential. A wrong credential is refused all the same.
	Public bool
	// ReadAction is what tells 404 from 403: a caller without Action who has ReadAction on the resource gets 403, one
	// without gets 404. Empty means the noun's read: "build:update" falls back to "project:read".
	ReadAction string
}

// Resolver finds the resource that a request is about, from its path parameters.
type Resolver func(r *Request) (Resource, error)

var paramName = regexp.MustCompile(`\{([a-zA-Z_]+)\}`)

// params lists the names of the path parameters in order.
func (row Row) params() []string {
	var names []string
	for _, m := range paramName.FindAllStringSubmatch(row.Path, -1) {
		names = append(names, m[1])
	}
	return names
}

// ginPath turns the contract's path into Gin's. Gin wants one name for a parameter at one place in all paths, while the
// contract's names differ ({tenant_id}, {group_field}), so each is named after its place.
func (row Row) ginPath() string {
	parts := strings.Split(row.Path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") && strings.HasSuffix(p, "}") {
			parts[i] = fmt.Sprintf(":p%d", i)
		}
	}
	return strings.Join(parts, "/")
}

// places maps a parameter's name to the name Gin knows it by.
func (row Row) places() map[string]string {
	m := map[string]string{}
	for i, p := range strings.Split(row.Path, "/") {
		if strings.HasPrefix(p, "{") && strings.HasSuffix(p, "}") {
			m[strings.Trim(p, "{}")] = fmt.Sprintf("p%d", i)
		}
	}
	return m
}

// check finds the mistakes in a row that must keep the process from starting.
func (row Row) check(known func(action string) bool) []error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("route %s %s (%s): %s", row.Method, row.Path, row.Operation, fmt.Sprintf(format, args...)))
	}
	switch row.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		bad("method %q is not one that rows use", row.Method)
	}
	if (row.Head || row.Effects) && row.Method != http.MethodGet {
		bad("only a GET answers HEAD, or says that it has effects")
	}
	if row.Head && row.Effects {
		bad("what has effects does not answer HEAD")
	}
	if row.Operation == "" {
		bad("no operation id")
	}
	switch {
	case row.Permission.Action == "" && !row.Permission.Public:
		bad("no permission, and not marked public")
	case row.Permission.Action != "" && !known(row.Permission.Action):
		bad("the policy does not know the action %q", row.Permission.Action)
	case row.Permission.Filtered && (row.Permission.On != nil || row.Permission.Public):
		bad("a filtered list asks about no resource and is not public")
	case row.Permission.ReadAction != "" && !known(row.Permission.ReadAction):
		bad("the policy does not know the action %q", row.Permission.ReadAction)
	}
	if row.Handler == nil {
		bad("no handler")
		return errs
	}
	have := map[string]bool{}
	for _, p := range row.params() {
		have[p] = true
		if !row.Handler.shape().hasPath(p) {
			bad("path parameter {%s} has no field in %s", p, row.Handler.shape().request)
		}
	}
	for _, f := range row.Handler.shape().fields {
		if f.in == inPath && !have[f.name] {
			bad("field %s reads path parameter {%s}, which the path does not have", f.goName, f.name)
		}
	}
	return errs
}
