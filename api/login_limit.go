package api

import (
	"strings"
	"sync"
	"time"
)

// LoginLimits bound wrong passwords. Each is a bucket that a wrong password fills by one and that empties by one every
// Decay; a full bucket refuses further attempts without looking at the password. Passwords that were right a moment ago
// and tokens are not affected, so that nobody locks out a running client.
type LoginLimits struct {
	// PerPair is for one account from one address.
	PerPair int
	// PerAccount is for one account from everywhere. It is higher, or a stranger could keep its owner out with ease.
	PerAccount int
	// PerAddress is for one address (IPv6: its /64) and all accounts.
	PerAddress int
	// Decay is how long until one wrong password is forgotten.
	Decay time.Duration
}

// DefaultLoginLimits allow ten wrong passwords, then ten a minute.
var DefaultLoginLimits = LoginLimits{PerPair: 10, PerAccount: 50, PerAddress: 100, Decay: 6 * time.Second}

// maxBuckets bounds the memory of made-up names and addresses.
const maxBuckets = 50_000

type loginLimiter struct {
	limits  LoginLimits
	now     func() time.Time
	mu      sync.Mutex
	buckets map[string]time.Time // when the bucket will be empty
}

func newLoginLimiter(l LoginLimits, now func() time.Time) *loginLimiter {
	return &loginLimiter{limits: l, now: now, buckets: map[string]time.Time{}}
}

// take counts an attempt. It returns how long to wait if one of the buckets is full, and else a function that takes the
// attempt back because the password was right.
func (l *loginLimiter) take(account, address string) (giveBack func(), wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	buckets := []struct {
		key  string
		size int
	}{{"p" + account + "\x00" + address, l.limits.PerPair}, {"n" + account, l.limits.PerAccount}, {"a" + address, l.limits.PerAddress}}
	for _, b := range buckets {
		// Full means that one more would take longer than the whole bucket to empty.
		if over := max(0, l.buckets[b.key].Sub(now)) + l.limits.Decay - time.Duration(b.size)*l.limits.Decay; over > wait {
			wait = over
		}
	}
	if wait > 0 {
		return func() {}, wait
	}
	l.prune(now)
	for _, b := range buckets {
		l.add(b.key, now, l.limits.Decay)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		now := l.now()
		for _, b := range buckets {
			l.add(b.key, now, -l.limits.Decay)
		}
	}, 0
}

func (l *loginLimiter) add(key string, now time.Time, d time.Duration) {
	empty := l.buckets[key]
	if empty.Before(now) {
		empty = now
	}
	if empty = empty.Add(d); empty.After(now) {
		l.buckets[key] = empty
	} else {
		delete(l.buckets, key)
	}
}

// prune makes room when there are too many buckets: the empty ones go, then accounts' until half is free, since with so
// many made-up names the limit per address still holds, and then all. Halving keeps the work of it rare.
func (l *loginLimiter) prune(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for key, empty := range l.buckets {
		if !empty.After(now) {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) <= maxBuckets/2 {
			return
		}
		if !strings.HasPrefix(key, "a") {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) > maxBuckets/2 {
		clear(l.buckets)
	}
}
