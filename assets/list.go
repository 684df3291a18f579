package assets

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/rsql"
	"slipway/models"
)

// Sorts are the fields that lists can be sorted by, SearchSorts those of a search's results. Images have no url and no
// scm: they sort as if all were equal.
var (
	Sorts       = []string{"created_at", "updated_at", "type", "class", "registry", "name"}
	SearchSorts = append(append([]string{}, Sorts...), "url", "scm")
)

// How many the count of a list is asked for.
const (
	CountWith = "with" // the assets and their number
	CountOnly = "only" // the number alone
)

// Paging says which page of a list is asked for.
type Paging struct {
	// Limit is 10 to 100.
	Limit int
	// StartingAfter and EndingBefore are cursors; at most one is set.
	StartingAfter, EndingBefore string
}

// ListRequest asks for a page of assets.
type ListRequest struct {
	Scope Scope
	// Filter is RSQL; nil for none.
	Filter *string
	Sort   string
	Paging
	// Count is "", CountWith or CountOnly.
	Count string
}

// List is a page of assets.
type List struct {
	Assets []models.Asset
	// Next and Prev are the cursors of the pages around this one, "" where there are none: Next for starting_after, Prev for
	// ending_before.
	Next, Prev string
	// Count is the number of assets in the whole list, where it was asked for.
	Count *int64
}

var defaultSort = rsql.Sort{{Field: "created_at"}}

// List gives a page of the assets that a scope sees.
func (s *Service) List(ctx context.Context, r ListRequest) (*List, error) {
	q, list, err := s.query(ctx, r)
	if err != nil {
		return nil, err
	}
	var l *List
	err = s.inFilterTime(ctx, r.Filter, func(ctx context.Context) error {
		l, err = s.page(ctx, q, list, r.Paging, r.Count)
		return err
	})
	return l, err
}

// inFilterTime runs what a filter selects from. A filter of hundreds of patterns that nothing matches has each asset read for
// each of them: that it takes too long is the client's mistake, and must not keep the database busy.
func (s *Service) inFilterTime(ctx context.Context, filter *string, run func(ctx context.Context) error) error {
	if filter == nil {
		return run(ctx)
	}
	return s.inTime(ctx, "filter", rsql.Error{Detail: "the filter takes longer than %s over these assets", Expected: []string{"a filter that asks for less at once", "a search, which may take longer"}}, run)
}

// inTime runs what may take too long because of a parameter. What is said then has %s for the time.
func (s *Service) inTime(ctx context.Context, parameter string, say rsql.Error, run func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, s.cfg.FilterTime)
	defer cancel()
	err := run(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		say.Code, say.Detail = rsql.CodeTooComplex, fmt.Sprintf(say.Detail, s.cfg.FilterTime)
		return BadText(parameter, &say)
	}
	return err
}

// query reads filter and sort of a request.
func (s *Service) query(ctx context.Context, r ListRequest) (models.AssetQuery, rsql.List, error) {
	q := models.AssetQuery{}
	list := rsql.List{Scope: r.Scope.text()}
	var err error
	if r.Filter != nil {
		if q.Filter, err = parseFilter("filter", *r.Filter); err != nil {
			return q, list, err
		}
		list.Filter = *r.Filter
	}
	if q.Sort, err = rsql.ParseSort(r.Sort, Sorts...); err != nil {
		return q, list, place("sort").wrong(err)
	}
	if q.Sort == nil {
		q.Sort = defaultSort
	}
	list.Sort = q.Sort
	q.Organizations, err = s.organizations(ctx, r.Scope)
	return q, list, err
}

// parseFilter reads a filter and checks it against the fields of assets.
func parseFilter(at place, text string) (rsql.Node, error) {
	n, err := rsql.Parse(text)
	if err == nil {
		err = models.CheckAssetFilter(n)
	}
	if err != nil {
		return nil, at.wrong(err)
	}
	return n, nil
}

// page reads one page.
func (s *Service) page(ctx context.Context, q models.AssetQuery, list rsql.List, p Paging, count string) (*List, error) {
	var err error
	if q.After, q.Backward, err = s.cursor(list, p); err != nil {
		return nil, err
	}
	q.Limit = p.Limit
	out := &List{}
	if count == CountOnly {
		n, err := s.store.CountAssets(ctx, q)
		out.Count = &n
		return out, err
	}
	q.Counted = count != ""
	page, err := s.store.ListAssets(ctx, q)
	if err != nil {
		return nil, err
	}
	out.Assets, out.Count = page.Assets, page.Count
	hasNext, hasPrev := around(p, page.More)
	if n := len(page.Assets); n > 0 {
		if hasNext {
			if out.Next, err = s.cursors.Encode(list, page.Cursor(q.Sort, n-1)); err != nil {
				return nil, err
			}
		}
		if hasPrev {
			if out.Prev, err = s.cursors.Encode(list, page.Cursor(q.Sort, 0)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// around says on which sides of a page the list goes on: on the side that was read, if there was more; on the other, if
// the page began at a cursor, since the cursor's own row is there.
func around(p Paging, more bool) (next, prev bool) {
	if p.EndingBefore != "" {
		return true, more
	}
	return more, p.StartingAfter != ""
}

// cursor reads the cursor of a request, if it has one.
func (s *Service) cursor(list rsql.List, p Paging) (after *rsql.Cursor, backward bool, err error) {
	parameter, text := "starting_after", p.StartingAfter
	switch {
	case p.StartingAfter != "" && p.EndingBefore != "":
		return nil, false, BadParameter("ending_before", string(rsql.CodeInvalidCursor), "starting_after and ending_before cannot be given together")
	case p.EndingBefore != "":
		parameter, text, backward = "ending_before", p.EndingBefore, true
	case text == "":
		return nil, false, nil
	}
	c, err := s.cursors.Decode(list, text)
	if err != nil {
		return nil, false, place(parameter).wrong(err)
	}
	return &c, backward, nil
}

// Get finds an asset that a scope sees; models.ErrNotFound where there is none.
func (s *Service) Get(ctx context.Context, scope Scope, id string) (*models.Asset, error) {
	organizations, err := s.organizations(ctx, scope)
	if err != nil {
		return nil, err
	}
	return s.store.AssetByID(ctx, organizations, id)
}

// CursorAt gives the cursor for the page behind a place in the default order: for those who know the place and would
// otherwise read thousands of pages to get there.
func (s *Service) CursorAt(scope Scope, created time.Time, id string) (string, error) {
	return s.cursors.Encode(rsql.List{Scope: scope.text(), Sort: defaultSort}, rsql.Cursor{Values: []any{created}, ID: id})
}
