package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Answer is an answer of the API: what was read of it, and all of it as it came, for programs.
type Answer[T any] struct {
	Value T
	JSON  json.RawMessage
}

// get asks for JSON and reads it.
func get[T any](ctx context.Context, c *Client, path string) (Answer[T], error) {
	var a Answer[T]
	if err := c.call(ctx, http.MethodGet, path, nil, &a.JSON); err != nil {
		return a, err
	}
	return a, decode(http.MethodGet, path, a.JSON, &a.Value)
}
