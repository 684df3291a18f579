// Package assets is what Slipway does with container images beyond storing them: lists with filters, orders and cursors,
// groups and suggestions, edits, searches that run apart from the request, and the two ways in, imports and scans of
// registries. It stands between the API, the commands and the workers, and knows no HTTP.
package assets

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"slipway/executions"
	"slipway/internal/rsql"
	"slipway/models"
)

// Kinds of scopes, which are also kinds of organizations.
const (
	Tenant = models.OrganizationTenant
	Group  = models.OrganizationGroup
	Org    = models.OrganizationOrg
)

// Scope is the place in the tree of organizations at which a caller looks: at the assets of the organization and of all
// that are below it.
type Scope struct{ Kind, ID string }

// text names the scope in cursors and ids.
func (s Scope) text() string { return s.Kind + "/" + s.ID }

// Executions starts executions. *executions.Service is one.
type Executions interface {
	Trigger(ctx context.Context, r executions.TriggerRequest) (*models.Execution, error)
}

// Config tunes a Service. The zero value is right.
type Config struct {
	// SearchKept is how many results a search keeps; 0 means 100,000.
	SearchKept int64
	// SearchExpiry is how long results can be read; 0 means an hour.
	SearchExpiry time.Duration
	// SearchWait is how long a reader of results waits for the end of the search; 0 means 10 s, negative not at all.
	SearchWait time.Duration
	// FilterTime is how long a list may take to find what its filter selects; 0 means 10 s. Searches have longer.
	FilterTime time.Duration
}

// Service is safe for concurrent use.
type Service struct {
	store      *models.Store
	executions Executions // nil where only lists and imports are needed
	cursors    *rsql.Cursors
	cfg        Config
	log        *slog.Logger

	mu    sync.Mutex
	below map[string]belowEntry
}

type belowEntry struct {
	ids     []string
	version uint64
	read    time.Time
}

// New makes a Service. secret signs cursors: all processes of an installation need the same, of 32 bytes or more.
func New(store *models.Store, ex Executions, secret []byte, log *slog.Logger, cfg Config) (*Service, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("the secret for cursors has %d bytes, expected 32 or more", len(secret))
	}
	// Not the secret itself: what else it is used for must not be open to what is signed here.
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("slipway asset cursors"))
	cursors, err := rsql.NewCursors(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	if cfg.SearchKept == 0 {
		cfg.SearchKept = 100_000
	}
	if cfg.SearchExpiry == 0 {
		cfg.SearchExpiry = time.Hour
	}
	if cfg.SearchWait == 0 {
		cfg.SearchWait = 10 * time.Second
	}
	if cfg.FilterTime == 0 {
		cfg.FilterTime = 10 * time.Second
	}
	if log == nil {
		log = slog.Default()
	}
	return &Service{store: store, executions: ex, cursors: cursors, cfg: cfg, log: log, below: map[string]belowEntry{}}, nil
}

// maxScopeAge is how old what is known about the tree may be.
const maxScopeAge = time.Second

// organizations gives the ids of the organizations that a scope sees.
func (s *Service) organizations(ctx context.Context, scope Scope) ([]string, error) {
	version := models.IdentityVersion()
	s.mu.Lock()
	e, ok := s.below[scope.ID]
	s.mu.Unlock()
	if ok && e.version == version && time.Since(e.read) < maxScopeAge {
		return e.ids, nil
	}
	read := time.Now()
	ids, err := s.store.OrganizationsBelow(ctx, scope.ID)
	if err != nil {
		return nil, fmt.Errorf("find the organizations below %s: %w", scope.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.below) > 10_000 {
		clear(s.below)
	}
	s.below[scope.ID] = belowEntry{ids: ids, version: version, read: read}
	return ids, nil
}
