// Package assets is the assets surface: container images as JSON:API, in three scopes that have the same ten operations.
// Paths, members and answers are those of an existing API whose clients work here unchanged.
package assets

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"slipway/api"
	"slipway/assets"
	"slipway/internal/problem"
	"slipway/internal/rsql"
	"slipway/models"
)

// mediaType is the only type of bodies, without a charset: JSON:API allows no parameters but ext and profile.
const mediaType = "application/vnd.api+json"

// Options are what the surface needs.
type Options struct {
	Service *assets.Service
	Scopes  *api.Scopes
	// PublicURL begins the address of a search's results, as in https://slipway.example.com; without one it is taken from
	// the request.
	PublicURL string
	Logger    *slog.Logger
}

type surface struct {
	Options
}

// New gives the surface with its rows.
func New(o Options) api.Group {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &surface{Options: o}
	return api.Group{Surface: Surface(), Rows: s.rows()}
}

// Surface is the shape of the surface's answers and errors.
func Surface() *api.Surface {
	return &api.Surface{
		Name:        "assets",
		Title:       "Slipway: assets",
		Version:     servedVersion,
		Prefixes:    []string{"/tenants/", "/orgs/", "/groups/"},
		Strict:      true,
		MaxBody:     1 << 20,
		OwnQuery:    true,
		WriteResult: writeResult,
		WriteError:  writeError,
	}
}

// writeResult writes a document.
func writeResult(w http.ResponseWriter, r *http.Request, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		writeError(w, r, problem.Wrap(problem.Internal, err, "internal error"))
		return
	}
	setHeaders(w, r)
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// setHeaders sets what every answer has, errors included.
func setHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Accept")
	id := requestIDOf(r)
	if id == "" {
		id = uuid.NewString()
	}
	h.Set("Snyk-Request-Id", id)
	if v := requestedVersion(r); v != "" {
		h.Set("Snyk-Version-Requested", v)
	} else {
		h.Set("Snyk-Version-Requested", servedDate)
	}
	h.Set("Snyk-Version-Served", servedVersion)
	h.Set("Snyk-Version-Lifecycle-Stage", "beta")
}

// requestIDOf is the id that the caller gave the request, "" for none or one that is no UUID.
func requestIDOf(r *http.Request) string {
	id := r.Header.Get("Snyk-Request-Id")
	if u, err := uuid.Parse(id); err == nil && len(id) == 36 {
		return u.String()
	}
	return ""
}

type jsonapi struct {
	Version string `json:"version"`
}

var jsonapiVersion = jsonapi{Version: "1.0"}

type errorDocument struct {
	JSONAPI jsonapi       `json:"jsonapi"`
	Errors  []errorObject `json:"errors"`
}

type errorObject struct {
	ID     string         `json:"id"`
	Status string         `json:"status"`
	Code   string         `json:"code,omitempty"`
	Title  string         `json:"title,omitempty"`
	Detail string         `json:"detail"`
	Source *errorSource   `json:"source,omitempty"`
	Meta   map[string]any `json:"meta,omitempty"`
}

type errorSource struct {
	// Pointer is "" for the whole body.
	Pointer   *string `json:"pointer,omitempty"`
	Parameter string  `json:"parameter,omitempty"`
}

// writeError writes a problem, with an error object for each field at fault.
func writeError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	status := api.Status(p.Kind)
	if p.Kind == problem.Exists || p.Kind == problem.Conflict {
		status = http.StatusConflict
	}
	var fault *assets.Fault
	code := strings.ReplaceAll(string(p.Kind), "_", "-")
	if errors.As(p, &fault) {
		if fault.Status != 0 {
			status = fault.Status
		}
		code = fault.Code
	}
	base := errorObject{ID: uuid.NewString(), Status: strconv.Itoa(status), Code: code, Title: http.StatusText(status), Detail: p.Message}
	if p.Kind == problem.Internal {
		// Let it lead to the log.
		base.Detail += " (request " + api.RequestID(r.Context()) + ")"
	}
	var list []errorObject
	switch {
	case fault != nil:
		switch {
		case fault.Parameter != "":
			base.Source = &errorSource{Parameter: fault.Parameter}
		case fault.Pointer != "" || fault.Code == assets.CodeInvalidBody:
			base.Source = &errorSource{Pointer: &fault.Pointer}
		}
		if fault.Position != rsql.NoPosition || len(fault.Expected) > 0 {
			base.Meta = map[string]any{}
			if fault.Position != rsql.NoPosition {
				base.Meta["position"] = fault.Position
			}
			if len(fault.Expected) > 0 {
				base.Meta["expected"] = fault.Expected
			}
		}
		list = append(list, base)
	default:
		for _, f := range p.Fields {
			o := base
			o.ID, o.Detail, o.Source = uuid.NewString(), f.Message, &errorSource{Parameter: f.Name}
			list = append(list, o)
		}
		if list == nil {
			list = append(list, base)
		}
	}
	b, err := json.Marshal(errorDocument{JSONAPI: jsonapiVersion, Errors: list})
	if err != nil { // texts always marshal
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	setHeaders(w, r)
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// editProblem says which resource of a body an edit's error is about. bulk is false where the body holds one.
func editProblem(err error, bulk bool) error {
	at := func(index int) string {
		if bulk {
			return "/data/" + strconv.Itoa(index)
		}
		return "/data"
	}
	var missing *models.MissingAssetError
	var wrong *models.AssetEditError
	switch {
	case errors.As(err, &missing) && bulk:
		p := assets.BadPointer(at(missing.Index)+"/id", "no such asset: nothing was changed").(*problem.Error)
		p.Kind, p.Cause.(*assets.Fault).Code = problem.NotFound, assets.CodeNotFound
		return p
	case errors.As(err, &wrong):
		return assets.BadPointer(at(wrong.Index)+"/attributes/"+wrong.Member, wrong.Message)
	}
	return err
}
