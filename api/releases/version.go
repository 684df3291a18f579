package releases

import (
	"context"

	"slipway/api"
)

func (s *surface) getVersion(context.Context, *struct{}) (api.Text, error) {
	return api.Text("Slipway Release Inventory v" + s.Version), nil
}

func (s *surface) health(context.Context, *struct{}) (api.Text, error) {
	return api.Text(s.Version), nil
}
