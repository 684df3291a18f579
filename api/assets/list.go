package assets

import (
	"context"

	"slipway/assets"
)

// list answers GET on the assets.
func (s *surface) list(ctx context.Context, c *call) (*document, error) {
	paging, err := c.parameters.paging(10)
	if err != nil {
		return nil, err
	}
	count, err := c.parameters.count()
	if err != nil {
		return nil, err
	}
	l, err := s.Service.List(ctx, assets.ListRequest{Scope: c.scope, Filter: c.parameters.text("filter"), Sort: c.parameters["sort"], Paging: paging, Count: count})
	if err != nil {
		return nil, err
	}
	return c.page(l, count == assets.CountOnly), nil
}

// page makes the document of a page.
func (c *call) page(l *assets.List, countOnly bool) *document {
	d := &document{Links: links(c.http, c.parameters, l.Next, l.Prev)}
	if l.Count != nil {
		d.Meta = &meta{Count: l.Count}
	}
	if countOnly {
		d.Links = pageLinks{Self: d.Links.Self}
		return d
	}
	data := make([]resource, len(l.Assets))
	for i := range l.Assets {
		data[i] = c.image(&l.Assets[i])
	}
	d.Data = data
	return d
}

// get answers GET on one asset.
func (s *surface) get(ctx context.Context, c *call) (*document, error) {
	id, err := c.uuidParam("asset_id")
	if err != nil {
		return nil, err
	}
	a, err := s.Service.Get(ctx, c.scope, id)
	if err != nil {
		return nil, err
	}
	return &document{Data: c.image(a), Links: pageLinks{Self: links(c.http, c.parameters, "", "").Self}}, nil
}
