// Package releases is the inventory's HTTP surface: namespaces, units (applications), releases, tags, packages, hooks,
// and how to log in. It answers byte for byte like the inventory whose client it serves: paths with or without their
// trailing slash, plain-text errors, empty bodies, the order of members.
package releases

import (
	"errors"
	"net/http"
	"path"
	"strings"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/inventory"
	"slipway/models"
)

// prefix is where the inventory's own paths begin.
const prefix = "/api/v1/inventory"

// Options are what the surface needs.
type Options struct {
	Store     *models.Store
	Inventory *inventory.Service
	Policy    api.Policy
	Scopes    *api.Scopes
	// Login says how people and programs log in.
	Login Login
	// Development adds the row that wipes the inventory. It is refused unless authentication is off.
	Development bool
	// Stall is how long a sender or receiver of a package may do nothing before its connection is given up; 0 means a
	// minute.
	Stall time.Duration
	// Version of this program, without "v".
	Version string
}

type surface struct{ Options }

// New makes the surface with its rows.
func New(o Options) (api.Group, error) {
	if o.Development && o.Login.Mode != LoginNone {
		return api.Group{}, errors.New("development mode lets everybody wipe the inventory: it works only when authentication is off")
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	s := &surface{Options: o}
	return api.Group{
		Surface: &api.Surface{
			Name:       "releases",
			Title:      "Releases",
			Version:    "v1",
			Prefixes:   []string{"/", prefix, "/api/v1/internal/", "/api/v1/auth/"},
			MaxBody:    2 << 20,
			WriteError: s.writeError,
			NotFound:   notFound,
		},
		Rows: s.rows(),
	}, nil
}

// writeError gives errors the inventory's shape: the text alone, and for most kinds no text at all.
func (s *surface) writeError(w http.ResponseWriter, r *http.Request, e *problem.Error) {
	if redirected(w, r) {
		return
	}
	switch e.Kind {
	case problem.NotFound, problem.Internal:
		w.WriteHeader(api.Status(e.Kind))
	case problem.Unauthenticated:
		s.Login.challenge(w)
	case problem.Exists:
		api.WriteText(w, http.StatusConflict, "Resource already exists")
	case problem.LimitReached:
		api.WriteText(w, http.StatusPaymentRequired, "Plan limit exceeded")
	case problem.Invalid:
		api.WriteText(w, http.StatusBadRequest, badInput(e))
	default:
		api.WriteText(w, api.Status(e.Kind), e.Error())
	}
}

// badInput is the text of a refused input. Whatever is wrong with the JSON of a body, clients know one text for it.
func badInput(e *problem.Error) string {
	if strings.HasPrefix(e.Message, api.BodyError) {
		return api.BodyError
	}
	for _, f := range e.Fields {
		if strings.Contains(f.Message, ", got ") { // a member of the wrong type
			return api.BodyError
		}
	}
	return e.Error()
}

// notFound answers paths and methods that no row has.
func notFound(w http.ResponseWriter, r *http.Request) {
	if redirected(w, r) {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte("404 page not found\n"))
}

// redirected sends a path with doubled slashes or dots to its clean form, as the original's router does. An empty path
// parameter can look like a match to ours, so errors come here too. Only paths below the inventory are cleaned, and what
// they are cleaned to stays there: the answer can never lead to another host.
func redirected(w http.ResponseWriter, r *http.Request) bool {
	p := r.URL.EscapedPath()
	if !strings.HasPrefix(p, prefix+"/") {
		return false
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	if clean == p || !strings.HasPrefix(clean+"/", prefix+"/") {
		return false
	}
	if r.URL.RawQuery != "" {
		clean += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", clean)
	w.WriteHeader(http.StatusMovedPermanently)
	return true
}
