package packages

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"slipway/models"
)

// maxRevisionAge is how late a change by another process may show here. This process's own changes show at once.
const maxRevisionAge = 100 * time.Millisecond

// revision knows the number of the last change of packages, versions, consumers or permissions. It asks the database at
// most once in maxRevisionAge, so that an answer that did not change costs no query.
type revision struct {
	store  *models.Store
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	number  int64
	version uint64    // models.PackagesVersion before it was read
	read    time.Time // before it was read
}

func (r *revision) current(ctx context.Context) (int64, error) {
	version := models.PackagesVersion()
	r.mu.Lock()
	number, fresh := r.number, !r.read.IsZero() && r.version == version && r.now().Sub(r.read) < maxRevisionAge
	r.mu.Unlock()
	if fresh {
		return number, nil
	}
	// Callers share a query only if they have seen the same version: one who comes after a change must not be given what
	// was read before it.
	v, err, _ := r.flight.Do(strconv.FormatUint(version, 36), func() (any, error) {
		read := r.now()
		// One caller's end must not be the others' failure.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		number, err := r.store.PackageClock(ctx)
		if err != nil {
			return int64(0), err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if version >= r.version {
			r.number, r.version, r.read = number, version, read
		}
		return number, nil
	})
	return v.(int64), err
}
