package api

import (
	"context"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"slipway/internal/problem"
	"slipway/policies"
)

// RateLimits bound how many requests are answered, each in requests a minute; 0 is any number. A limit is a bucket that
// holds what is allowed in a minute and fills up evenly, so that a burst of that many goes through at once. Buckets are
// kept in memory: with several API processes a caller gets as many times as much.
type RateLimits struct {
	// Caller is for one token, and for one user who logs in by password. Where authentication is off, for one address.
	Caller int
	// Organization is for all callers together, in what belongs to one root of the tree of organizations. What belongs to
	// none, such as lists over everything, does not count, nor do the logs that executions write.
	Organization int
	// Address is for requests without a good credential from one address (IPv6: its /64).
	Address int
}

// rates is the limits with their buckets.
type rates struct {
	caller, organization, address *buckets
	addressOf                     func(*http.Request) string
}

func newRates(l RateLimits, addressOf func(*http.Request) string, now func() time.Time) *rates {
	if now == nil {
		now = time.Now
	}
	if addressOf == nil {
		addressOf = ConnectionAddress
	}
	return &rates{caller: newBuckets(l.Caller, now), organization: newBuckets(l.Organization, now), address: newBuckets(l.Address, now), addressOf: addressOf}
}

// identified counts a request after its credential was looked at. refused is what came of that; it stays the answer where
// the limit is not reached. Errors that are no refusal, such as a database that is away, are not counted.
func (l *rates) identified(r *http.Request, s policies.Subject, refused error) error {
	var wait time.Duration
	switch {
	case refused != nil:
		if !problem.Is(refused, problem.Unauthenticated) && !problem.Is(refused, problem.Forbidden) {
			return refused
		}
		wait = l.unknown(r)
	case s.Kind == policies.KindAnonymous:
		wait = l.unknown(r)
	case l.caller == nil:
	case s.ID == AnonymousAdmin.ID: // everybody is, where authentication is off
		wait = l.caller.take(bucketKey{"address", l.addressOf(r)})
	case s.Token.ID != "":
		wait = l.caller.take(bucketKey{"token", s.Token.ID})
	default:
		wait = l.caller.take(bucketKey{s.Kind, s.ID})
	}
	if wait > 0 {
		return tooManyRequests(wait, "you send")
	}
	return refused
}

func (l *rates) unknown(r *http.Request) time.Duration {
	if l.address == nil {
		return 0
	}
	return l.address.take(bucketKey{"", l.addressOf(r)})
}

// authorized counts a request that the policy allows, for the organization that it is about.
func (l *rates) authorized(r *Request) error {
	scopes := r.Resource.Scopes
	if l.organization == nil || len(scopes) == 0 || r.Subject.Kind == policies.KindRun || r.Subject.Kind == policies.KindAnonymous {
		return nil
	}
	if wait := l.organization.take(bucketKey{"", scopes[len(scopes)-1]}); wait > 0 {
		return tooManyRequests(wait, "your organization sends")
	}
	return nil
}

func tooManyRequests(wait time.Duration, who string) error {
	e := problem.New(problem.TooMany, "%s more requests than allowed: slow down", who)
	e.RetryAfter = wait
	return e
}

// authenticate finds out who sends a request, and counts it.
func (s *Server) authenticate(ctx context.Context, r *Request) error {
	subject, err := s.auth.Authenticate(ctx, r.HTTP)
	if !r.Row.Probe {
		err = s.rates.identified(r.HTTP, subject, err)
	}
	r.Subject = subject
	return err
}

// bucketKey names a bucket. Two texts and not one, since joining them would cost more than looking it up.
type bucketKey struct{ kind, id string }

const (
	bucketShards = 64
	// maxShard bounds the memory of a shard's buckets: with all shards some 100,000 callers.
	maxShard = 1600
	// bucketTime is what a full bucket holds, in time: that of a minute's requests.
	bucketTime = int64(time.Minute)
)

// buckets are the buckets of one limit.
type buckets struct {
	cost  int64 // nanoseconds until one request is forgotten
	now   func() time.Time
	begin time.Time
	seed  maphash.Seed
	shard [bucketShards]bucketShard
}

// bucketShard has a share of the buckets and the lock for them.
type bucketShard struct {
	mu sync.Mutex
	// full is when a bucket will be full again, in nanoseconds since begin; one that is full already need not be there.
	full  map[bucketKey]int64
	swept int64
	_     [64]byte // a cache line of its own: the locks are taken by every request
}

// newBuckets gives nil for no limit.
func newBuckets(perMinute int, now func() time.Time) *buckets {
	if perMinute <= 0 {
		return nil
	}
	b := &buckets{cost: max(1, bucketTime/int64(perMinute)), now: now, begin: now(), seed: maphash.MakeSeed()}
	for i := range b.shard {
		b.shard[i].full = map[bucketKey]int64{}
	}
	return b
}

// take takes one request out of a bucket. Where it is empty nothing is taken, and it gives how long to wait for the next.
func (b *buckets) take(key bucketKey) time.Duration {
	now := int64(b.now().Sub(b.begin))
	s := &b.shard[maphash.String(b.seed, key.id)%bucketShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if now-s.swept >= bucketTime {
		s.sweep(now)
	}
	full, known := s.full[key]
	full = max(full, now) + b.cost
	if over := full - now - bucketTime; over > 0 {
		return time.Duration(over)
	}
	if !known && len(s.full) >= maxShard {
		s.makeRoom(now)
	}
	s.full[key] = full
	return 0
}

// sweep forgets the buckets that are full. It is done once a minute, after which every bucket that was not used is. The map
// is made anew: one that things are deleted from keeps its memory.
func (s *bucketShard) sweep(now int64) {
	s.swept = now
	kept := make(map[bucketKey]int64)
	for key, full := range s.full {
		if full > now {
			kept[key] = full
		}
	}
	s.full = kept
}

// makeRoom forgets what is full, and any bucket until half is free: with so many callers in a minute it is they that are the
// load, and not one of them.
func (s *bucketShard) makeRoom(now int64) {
	s.sweep(now)
	for key := range s.full {
		if len(s.full) <= maxShard/2 {
			return
		}
		delete(s.full, key)
	}
}
