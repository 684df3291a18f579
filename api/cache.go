package api

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"slipway/models"
)

// maxCached bounds each cache of identities: a scan with made-up names must not fill the memory.
const maxCached = 10_000

// identityCache keeps what was read about identities for a moment. An entry ends when it is older than the cache's time
// or when this process has changed an identity since, so that who was given a role can use it in his next request.
// Failures are not kept: what was missing may be there the next time.
type identityCache[V any] struct {
	keep   time.Duration
	now    func() time.Time
	flight singleflight.Group
	mu     sync.Mutex
	m      map[string]cached[V]
}

type cached[V any] struct {
	value   V
	read    time.Time // when reading began
	version uint64    // models.IdentityVersion before reading began
}

func newIdentityCache[V any](keep time.Duration, now func() time.Time) *identityCache[V] {
	return &identityCache[V]{keep: keep, now: now, m: map[string]cached[V]{}}
}

type maxAgeKey struct{}

// WithMaxAge gives a context in which no identity is taken from a cache that was read longer than d ago. It is for those
// who ask by themselves, again and again: their interval and the age of what they are told must stay below the second
// after which everybody sees a change.
func WithMaxAge(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, maxAgeKey{}, d)
}

// get gives the value of a key, from the cache or by load. Callers who ask for the same key at the same time share one
// load.
func (c *identityCache[V]) get(ctx context.Context, key string, load func(context.Context) (V, error)) (V, error) {
	version := models.IdentityVersion()
	keep := c.keep
	if d, ok := ctx.Value(maxAgeKey{}).(time.Duration); ok {
		keep = min(keep, d)
	}
	c.mu.Lock()
	e, ok := c.m[key]
	c.mu.Unlock()
	if ok && e.version == version && c.now().Sub(e.read) < keep {
		return e.value, nil
	}
	// The version is part of the shared load's key: who comes after a change must not be given what was read before it.
	result := c.flight.DoChan(strconv.FormatUint(version, 36)+" "+key, func() (any, error) {
		// One caller's end must not be the others' failure.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		read := c.now()
		v, err := load(ctx)
		if err == nil {
			c.put(key, cached[V]{value: v, read: read, version: version})
		}
		return v, err
	})
	select {
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	case r := <-result:
		v, _ := r.Val.(V)
		return v, r.Err
	}
}

func (c *identityCache[V]) put(key string, e cached[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxCached {
		now := c.now()
		for k, old := range c.m {
			if now.Sub(old.read) >= c.keep {
				delete(c.m, k)
			}
		}
		if len(c.m) >= maxCached {
			clear(c.m)
		}
	}
	c.m[key] = e
}
