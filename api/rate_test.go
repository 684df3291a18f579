package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/problem"
	"slipway/policies"
)

// clock is one that stands still until it is moved.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_000_000, c.at.Load()) }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

func TestS19ABucketFillsUpEvenly(t *testing.T) {
	var c clock
	b := newBuckets(60, c.now)
	key := bucketKey{"token", "t1"}
	for range 60 {
		require.Zero(t, b.take(key))
	}
	require.Equal(t, time.Second, b.take(key), "a minute's requests at once, and then one a second")
	require.Equal(t, time.Second, b.take(key), "what is refused costs nothing")
	require.Zero(t, b.take(bucketKey{"token", "t2"}), "others have their own")
	c.forward(999 * time.Millisecond)
	require.Equal(t, time.Millisecond, b.take(key))
	c.forward(time.Millisecond)
	require.Zero(t, b.take(key))
	require.NotZero(t, b.take(key))
	c.forward(time.Hour)
	for range 60 {
		require.Zero(t, b.take(key))
	}
	require.NotZero(t, b.take(key), "an hour without requests saves up no more than a minute's")
	require.Nil(t, newBuckets(0, c.now), "0 is any number")
}

// S19: of 64 at once exactly those go through for which there is room.
func TestS19RatesAreAtomicUnder64ParallelCalls(t *testing.T) {
	var c clock
	b := newBuckets(100, c.now)
	var wg sync.WaitGroup
	var passed atomic.Int64
	for range 64 {
		wg.Go(func() {
			for range 10 {
				if b.take(bucketKey{"token", "t"}) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 100, passed.Load())
}

func (b *buckets) size() int {
	n := 0
	for i := range b.shard {
		n += len(b.shard[i].full)
	}
	return n
}

// S19: made-up callers cost no memory for long, and never more than so much.
func TestS19BucketsAreBounded(t *testing.T) {
	var c clock
	b := newBuckets(6000, c.now)
	for n := range 3 * bucketShards * maxShard {
		b.take(bucketKey{"", strconv.Itoa(n)})
	}
	require.LessOrEqual(t, b.size(), bucketShards*maxShard)
	require.Greater(t, b.size(), bucketShards*maxShard/3)
	c.forward(time.Minute)
	for n := range 100 * bucketShards {
		b.take(bucketKey{"", "again" + strconv.Itoa(n)})
	}
	require.LessOrEqual(t, b.size(), 100*bucketShards, "those of callers that are gone go")
}

// caller says who sends a request: what its header says.
type caller map[string]policies.Subject

func (c caller) Authenticate(_ context.Context, r *http.Request) (policies.Subject, error) {
	name := r.Header.Get("Caller")
	if name == "" {
		return policies.Subject{Kind: policies.KindAnonymous}, nil
	}
	s, ok := c[name]
	if !ok {
		return s, refused(wrongCredential)
	}
	return s, nil
}

// everything is a policy that allows anything.
type everything struct{}

func (everything) Allow(_ context.Context, s policies.Subject, _ string, r policies.Resource) (bool, error) {
	return s.Name != "stranger", nil
}
func (everything) Visible(context.Context, policies.Subject, string) (policies.Visible, error) {
	return policies.Visible{All: true}, nil
}
func (everything) Known(string) bool { return true }

// S19: whose request counts where.
func TestS19RatesOfCallersOrganizationsAndAddresses(t *testing.T) {
	var c clock
	user := func(name, token string) policies.Subject {
		return policies.Subject{Kind: policies.KindUser, ID: name, Name: name, Token: policies.Token{ID: token}}
	}
	callers := caller{"ann": user("ann", "t1"), "ann's other token": user("ann", "t2"), "ann's password": user("ann", ""), "bob": user("bob", "t3"), "stranger": user("stranger", "t4"),
		"run": {Kind: policies.KindRun, ID: "e1"}, "admin": AnonymousAdmin}
	in := func(scopes ...string) Resolver {
		return func(*Request) (Resource, error) {
			return Resource{Resource: policies.Resource{Kind: "thing", Scopes: scopes}}, nil
		}
	}
	none := Handle(func(context.Context, *struct{}) (Empty, error) { return Empty{}, nil })
	var asked []string
	rows := []Row{
		{Method: http.MethodGet, Path: "/project", Operation: "a", Permission: Permission{Action: "thing:read", On: in("p1", "o1", "root")}, Handler: none},
		{Method: http.MethodGet, Path: "/sibling", Operation: "b", Permission: Permission{Action: "thing:read", On: in("o2", "root")}, Handler: none},
		{Method: http.MethodGet, Path: "/other", Operation: "c", Permission: Permission{Action: "thing:read", On: in("o3")}, Handler: none},
		{Method: http.MethodGet, Path: "/list", Operation: "d", Permission: Permission{Action: "thing:read", Filtered: true}, Handler: none},
		{Method: http.MethodGet, Path: "/public", Operation: "e", Permission: Permission{Public: true}, Handler: none},
		{Method: http.MethodGet, Path: "/health", Operation: "f", Permission: Permission{Public: true}, Probe: true, Handler: none},
	}
	surface := &Surface{Name: "test", WriteError: func(w http.ResponseWriter, _ *http.Request, p *problem.Error) {
		asked = append(asked, p.Message)
		WriteText(w, Status(p.Kind), p.Error())
	}}
	s, err := New(Options{Groups: []Group{{Surface: surface, Rows: rows}}, Authenticator: callers, Policy: everything{}, Now: c.now,
		Rates: RateLimits{Caller: 6, Organization: 9, Address: 2}, Address: ForwardedAddress(nil)})
	require.NoError(t, err)
	send := func(who, path, address string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Caller", who)
		r.RemoteAddr = address + ":1"
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	times := func(n int, who, path, address string, status int) {
		t.Helper()
		for range n {
			require.Equal(t, status, send(who, path, address).Code, "%s %s", who, path)
		}
	}
	// One token; another one, and a password, are others.
	times(6, "ann", "/list", "192.0.2.1", 200)
	times(1, "ann", "/list", "192.0.2.1", 429)
	a := send("ann", "/list", "192.0.2.9")
	require.Equal(t, 429, a.Code, "from wherever")
	require.Equal(t, "10", a.Header().Get("Retry-After"))
	require.Equal(t, "you send more requests than allowed: slow down", a.Body.String())
	times(1, "ann's other token", "/list", "192.0.2.1", 200)
	times(6, "ann's password", "/list", "192.0.2.1", 200)
	times(1, "ann's password", "/list", "192.0.2.1", 429)
	times(1, "ann", "/health", "192.0.2.1", 200)

	// An organization with all below it, whoever asks; what the policy refuses does not count there.
	times(5, "ann's other token", "/project", "192.0.2.1", 200)
	times(5, "stranger", "/project", "192.0.2.1", 404)
	times(4, "bob", "/sibling", "192.0.2.1", 200)
	times(1, "bob", "/sibling", "192.0.2.1", 429)
	require.Equal(t, "your organization sends more requests than allowed: slow down", asked[len(asked)-1])
	times(1, "bob", "/other", "192.0.2.1", 200)
	times(1, "run", "/project", "192.0.2.1", 200)

	// Without a good credential the address counts; of IPv6 the network.
	times(1, "", "/public", "192.0.2.1", 200)
	times(1, "", "/list", "192.0.2.1", 401)
	times(1, "", "/public", "192.0.2.1", 429)
	times(1, "nobody knows", "/public", "192.0.2.1", 429)
	times(3, "", "/health", "192.0.2.1", 200)
	times(2, "nobody knows", "/public", "[2001:db8::1]", 401)
	times(1, "", "/public", "[2001:db8::2]", 429)
	times(1, "", "/public", "[2001:db8:1::2]", 200)
	times(1, "bob", "/public", "192.0.2.1", 429) // six by now
	times(1, "stranger", "/public", "192.0.2.1", 200)

	// Where authentication is off, everybody is one subject: the address tells them apart.
	times(6, "admin", "/list", "192.0.2.1", 200)
	times(1, "admin", "/list", "192.0.2.1", 429)
	times(1, "admin", "/list", "192.0.2.2", 200)

	c.forward(10 * time.Second)
	times(1, "ann", "/list", "192.0.2.1", 200)
	times(1, "ann", "/list", "192.0.2.1", 429)
}

// BenchmarkRates is what the limits cost a request: of one caller over and over, of many, and of both processors at once.
func BenchmarkRates(b *testing.B) {
	l := newRates(RateLimits{Caller: maxBenchRate, Organization: maxBenchRate, Address: maxBenchRate}, nil, nil)
	var subjects []policies.Subject
	for n := range 10_000 {
		subjects = append(subjects, policies.Subject{Kind: policies.KindUser, ID: "u", Token: policies.Token{ID: fmt.Sprintf("018f2f9e-0000-7000-8000-%012d", n)}})
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	one := func(b *testing.B, s policies.Subject) {
		if err := l.identified(r, s, nil); err != nil {
			b.Fatal(err)
		}
		request := Request{Subject: s, Resource: Resource{Resource: policies.Resource{Scopes: []string{"018f2f9e-0000-7000-8000-000000000000"}}}}
		if err := l.authorized(&request); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one caller", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			one(b, subjects[0])
		}
	})
	b.Run("10000 callers", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			one(b, subjects[n%len(subjects)])
			n++
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			n := 0
			for p.Next() {
				one(b, subjects[n%len(subjects)])
				n++
			}
		})
	})
	b.Run("nobody", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := l.identified(r, policies.Subject{Kind: policies.KindAnonymous}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// maxBenchRate is never reached.
const maxBenchRate = 60_000_000_000
