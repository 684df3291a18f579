package assets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/executions"
	"slipway/internal/periodic"
	"slipway/internal/problem"
	"slipway/internal/rsql"
	"slipway/models"
	"slipway/policies"
)

// SearchRequest asks for a search that runs apart from the request.
type SearchRequest struct {
	Scope  Scope
	By     policies.Subject
	Filter *string
	Sort   string
	// Limit is the page size that results have where their reader names none; 0 means 10.
	Limit int
	// Count is "", CountWith or CountOnly.
	Count string
	// RequestID, where the caller chose one, makes the same request twice one search.
	RequestID string
}

// pointers are where a search's attributes stand in the body.
const (
	pointerFilter place = "/data/attributes/filter"
	pointerSort   place = "/data/attributes/sort"
)

// StartSearch records a search and starts the workflow that runs it. Where Temporal is away nothing is left of it, and
// the error is a problem of kind Unavailable.
func (s *Service) StartSearch(ctx context.Context, r SearchRequest) (*models.AssetSearch, error) {
	a := &models.AssetSearch{ScopeID: r.Scope.ID, CreatedBy: r.By.ID, RequestID: r.RequestID, Sort: r.Sort, PageSize: r.Limit, WithCount: r.Count != "", OnlyCount: r.Count == CountOnly}
	if r.Filter != nil {
		if _, err := parseFilter(pointerFilter, *r.Filter); err != nil {
			return nil, err
		}
		a.Filter = *r.Filter
	}
	if _, err := rsql.ParseSort(r.Sort, SearchSorts...); err != nil {
		return nil, pointerSort.wrong(err)
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%t|%s|%q|%q|%d|%s", r.Filter != nil, r.Scope.text(), a.Filter, r.Sort, r.Limit, r.Count)))
	a.RequestHash = hex.EncodeToString(sum[:])
	a.ID, a.ExpiresAt = models.NewID(), s.store.Now().Add(s.cfg.SearchExpiry)
	var repeated *repeatedSearch
	_, err := s.executions.Trigger(ctx, executions.TriggerRequest{
		Kind: models.KindAssetSearch, OrganizationID: r.Scope.ID, SubjectID: r.Scope.ID, SubjectName: "assets",
		Trigger:    models.Trigger{Type: "api", SubjectKind: r.By.Kind, SubjectID: r.By.ID, SubjectName: r.By.Name},
		Definition: models.AssetSearchDefinition{SearchID: a.ID},
		// In one transaction with the execution: there is neither without the other.
		Within: func(tx *models.Store, e *models.Execution) error { return recordSearch(ctx, tx, a, e.ID) },
	})
	if errors.As(err, &repeated) {
		return repeated.earlier, nil
	}
	if err != nil {
		if ferr := s.store.FailAssetSearch(context.WithoutCancel(ctx), a.ID, "it could not be started"); ferr != nil {
			s.log.WarnContext(ctx, "a search that could not be started stays recorded until it expires", "search", a.ID, "error", ferr)
		}
		return nil, err
	}
	return a, nil
}

// repeatedSearch says that a request has begun a search before.
type repeatedSearch struct{ earlier *models.AssetSearch }

func (e *repeatedSearch) Error() string { return "the request has begun search " + e.earlier.ID }

// recordSearch records a search beside the execution that runs it. The transaction has drawn the execution's number, which
// those of other searches of the scope wait for: of a request that is sent twice at once, the second finds the first.
func recordSearch(ctx context.Context, tx *models.Store, a *models.AssetSearch, executionID string) error {
	if a.RequestID != "" {
		earlier, err := tx.AssetSearchByRequest(ctx, a.ScopeID, a.CreatedBy, a.RequestID, a.RequestHash)
		if err == nil && earlier.Status != models.StatusFailed {
			return &repeatedSearch{earlier}
		}
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
	}
	a.ExecutionID = executionID
	return tx.CreateAssetSearch(ctx, a)
}

// ResultsRequest asks for a page of a search's results.
type ResultsRequest struct {
	Scope    Scope
	SearchID string
	// Sort orders the results anew; "" keeps the search's own order.
	Sort string
	Paging
}

// Results are a page of a search's results.
type Results struct {
	List
	Search *models.AssetSearch
	// Running says that the search has not ended: there is no page yet.
	Running bool
}

// Results gives a page of what a search found. It waits for the search's end, up to a bound. A search that is not there,
// has expired or belongs to another scope is models.ErrNotFound; one that failed is a problem with its reason.
func (s *Service) Results(ctx context.Context, r ResultsRequest) (*Results, error) {
	order, err := rsql.ParseSort(r.Sort, SearchSorts...)
	if err != nil {
		return nil, place("sort").wrong(err)
	}
	if order == nil {
		order = rsql.Sort{{Field: models.SortOrdinal}}
	}
	// The cursor is checked first: whoever sends a bad one need not wait to hear of it.
	list := rsql.List{Scope: r.Scope.text() + "/searches/" + strings.ToLower(r.SearchID), Sort: order}
	if _, _, err := s.cursor(list, r.Paging); err != nil {
		return nil, err
	}
	a, err := s.awaitSearch(ctx, r.Scope, r.SearchID)
	if err != nil {
		return nil, err
	}
	switch a.Status {
	case models.StatusOK:
	case models.StatusFailed:
		return nil, &problem.Error{Kind: problem.Internal, Message: "the search failed: " + a.Reason}
	default:
		return &Results{Search: a, Running: true}, nil
	}
	if r.Limit == 0 {
		r.Limit = max(a.PageSize, 10)
	}
	out := &Results{Search: a}
	if a.WithCount {
		out.Count = &a.Found
	}
	if a.OnlyCount {
		return out, nil
	}
	organizations, err := s.organizations(ctx, r.Scope)
	if err != nil {
		return nil, err
	}
	l, err := s.page(ctx, models.AssetQuery{Organizations: organizations, Search: a.ID, Sort: order}, list, r.Paging, "")
	if err != nil {
		return nil, err
	}
	l.Count = out.Count
	out.List = *l
	return out, nil
}

// awaitSearch reads a search until it has ended or the time to wait is over.
func (s *Service) awaitSearch(ctx context.Context, scope Scope, id string) (*models.AssetSearch, error) {
	ctx, cancel := context.WithTimeout(ctx, max(s.cfg.SearchWait, time.Millisecond)+time.Minute)
	defer cancel()
	deadline := time.Now().Add(s.cfg.SearchWait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		a, err := s.store.AssetSearchByID(ctx, scope.ID, strings.ToLower(id))
		if err != nil || a.Status.Final() {
			return a, err
		}
		// The execution may have ended without the search: cancelled, or terminated in Temporal's Web UI.
		if a.ExecutionID != "" {
			e, err := s.store.ExecutionByID(ctx, a.ExecutionID)
			if err == nil && e.Status.Final() && e.Status != models.StatusOK {
				a.Status, a.Reason = models.StatusFailed, e.Reason
				return a, s.store.FailAssetSearch(ctx, a.ID, e.Reason)
			}
			if err != nil && !errors.Is(err, models.ErrNotFound) {
				return nil, err
			}
		}
		if time.Now().Add(pause).After(deadline) {
			return a, nil
		}
		if periodic.Pause(ctx, pause) != nil {
			return nil, ctx.Err()
		}
	}
}

// RunSearch finds what a recorded search looks for. It may be repeated: a search that has ended stays as it is. It gives
// the time for which the results are kept.
func (s *Service) RunSearch(ctx context.Context, d models.AssetSearchDefinition) (time.Duration, error) {
	a, err := s.store.AssetSearchToRun(ctx, d.SearchID)
	if errors.Is(err, models.ErrNotFound) {
		return 0, nil // expired before it could run
	}
	if err != nil {
		return 0, err
	}
	keep := a.ExpiresAt.Sub(s.store.Now())
	q := models.AssetQuery{}
	if a.Filter != "" {
		if q.Filter, err = parseFilter(pointerFilter, a.Filter); err != nil {
			return keep, err
		}
	}
	if q.Sort, err = rsql.ParseSort(a.Sort, SearchSorts...); err != nil {
		return keep, pointerSort.wrong(err)
	}
	if q.Sort == nil {
		q.Sort = defaultSort
	}
	if q.Organizations, err = s.organizations(ctx, Scope{ID: a.ScopeID}); err != nil {
		return keep, err
	}
	return keep, s.store.RunAssetSearch(ctx, a.ID, q, s.cfg.SearchKept)
}

// ExpireSearches removes all searches that have expired.
func (s *Service) ExpireSearches(ctx context.Context) error {
	for {
		n, err := s.store.DeleteExpiredAssetSearches(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}
