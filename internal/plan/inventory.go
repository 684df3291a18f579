package plan

import (
	"context"
	"errors"

	"slipway/internal/release"
)

// ErrNotFound is what an Inventory returns, wrapped or not, for a release that does not exist.
var ErrNotFound = errors.New("release not found")

// Inventory is what compiling needs to know of other releases.
type Inventory interface {
	// Release returns the metadata of a release; the id may be a version query or a tag. The error is ErrNotFound if
	// there is none.
	Release(ctx context.Context, id release.ID) (*release.Metadata, error)
	// NextVersion returns the version that follows the existing ones under a prefix such as "" or "1.0.".
	NextVersion(ctx context.Context, project, name, prefix string) (string, error)
}
