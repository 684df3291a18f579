// Package packages is the HTTP surface of the Composer repository. One side manages packages, versions, consumers and
// permissions, with the paths and shapes of the API whose clients it serves: bare arrays, numbers as ids, times as Y-m-d
// H:i:s in UTC. The other side is what Composer itself asks for: packages.json, the p2 files, archives and reports of
// downloads.
package packages

import (
	"net/http"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/packages"
)

// Options are what the surface needs.
type Options struct {
	Store      *models.Store
	Service    *packages.Service
	Repository *packages.Repository
	Policy     api.Policy
	Scopes     *api.Scopes
	// PublicURL is what the addresses of archives begin with; "" takes the request's own scheme and host.
	PublicURL string
	// MaxArchive bounds an upload in bytes; 0 means the service's limit alone.
	MaxArchive int64
}

type surface struct{ Options }

// New makes the surface with its rows.
func New(o Options) api.Group {
	o.PublicURL = strings.TrimRight(o.PublicURL, "/")
	s := &surface{Options: o}
	return api.Group{
		Surface: &api.Surface{
			Name:       "packages",
			Title:      "Packages",
			Version:    "v1",
			Prefixes:   []string{"/packages", "/versions", "/consumers", "/permissions", rootPath, packagePrefix, distPrefix, downloadsPath},
			WriteError: writeError,
		},
		Rows: append(s.managingRows(), s.repositoryRows()...),
	}
}

// errorBody is every error: one message, and one or more for each member at fault.
type errorBody struct {
	Message string              `json:"message"`
	Errors  map[string][]string `json:"errors,omitempty"`
}

func writeError(w http.ResponseWriter, r *http.Request, e *problem.Error) {
	status := api.Status(e.Kind)
	if e.Kind == problem.Unauthenticated && isRepositoryPath(r.URL.Path) {
		// Composer asks its user for keys, or looks into auth.json.
		api.ChallengeBasic(w.Header())
	}
	b := errorBody{Message: e.Message}
	for _, f := range e.Fields {
		if b.Errors == nil {
			b.Errors = map[string][]string{}
		}
		b.Errors[f.Name] = append(b.Errors[f.Name], f.Message)
	}
	api.WriteJSON(w, r, status, b)
}
