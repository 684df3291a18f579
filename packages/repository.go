package packages

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"slipway/models"
	"slipway/policies"
)

// Repository answers what Composer asks for. What it has read it keeps in memory until something changes; a change by this
// process shows in the next answer, one by another process within a tenth of a second. It is safe for concurrent use.
type Repository struct {
	service  *Service
	revision *revision
	flight   singleflight.Group

	// limit bounds what is kept, in bytes. Beyond it everything is dropped and read again.
	limit int64

	mu       sync.Mutex
	views    map[string]*View // by "consumer " and public key, or by "organization " and id
	packages map[int64]*packageData
	spent    int64
}

// maxKept is the limit of what is kept, in bytes.
const maxKept = 256 << 20

// What things cost on top of their texts, roughly.
const (
	viewCost       = 2 << 10
	permissionCost = 200
	fileCost       = 256
)

// NewRepository makes the repository over a service's packages. now replaces the clock, for tests; nil is the real one.
func NewRepository(s *Service, now func() time.Time) *Repository {
	if now == nil {
		now = time.Now
	}
	return &Repository{service: s, revision: &revision{store: s.Store, now: now}, limit: maxKept, views: map[string]*View{}, packages: map[int64]*packageData{}}
}

// ErrWrongKeys says that there is no consumer of that public key, or that its private key is another one.
var ErrWrongKeys = errors.New("the keys are not those of a consumer")

// Authenticate finds the view of the consumer that a pair of keys belongs to, or ErrWrongKeys. Keys are compared in
// constant time, also where there is no such consumer.
func (r *Repository) Authenticate(ctx context.Context, public, private string) (*View, error) {
	v, err := r.consumer(ctx, public)
	want := ""
	switch {
	case err == nil:
		want = v.private
	case !errors.Is(err, models.ErrNotFound):
		return nil, err
	}
	// Of equal length, or the comparison would tell the length.
	have, stored := sha256.Sum256([]byte(private)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(have[:], stored[:]) != 1 || want == "" {
		return nil, ErrWrongKeys
	}
	return v, nil
}

// consumer finds the view of a consumer by its public key, without any check; models.ErrNotFound.
func (r *Repository) consumer(ctx context.Context, public string) (*View, error) {
	return r.view(ctx, "consumer "+public, func(ctx context.Context, old *View) (*View, error) {
		c, err := r.service.Store.ConsumerByPublicKey(ctx, public)
		if err != nil {
			return nil, err
		}
		// Whatever changes what a consumer sees moves its Last-Modified, so one that did not move is as it was.
		if old != nil && old.ConsumerID == c.ID && old.modified == c.Modified {
			return old, nil
		}
		private, err := r.service.Store.PrivateKey(c)
		if err != nil {
			return nil, err
		}
		v := &View{repository: r, ConsumerID: c.ID, OrganizationID: c.OrganizationID, private: private, modified: c.Modified}
		v.subject = policies.Subject{Kind: policies.KindConsumer, ID: strconv.FormatInt(c.ID, 10), Name: c.Email,
			Grants: []policies.Grant{{Scope: c.OrganizationID, Role: policies.RoleRead}}}.Prepare()
		admitted, err := r.service.Store.AdmittedPackages(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		return v, v.admit(admitted)
	})
}

// Organization gives the view of somebody who may see every package of an organization.
func (r *Repository) Organization(ctx context.Context, organizationID string) (*View, error) {
	return r.view(ctx, "organization "+organizationID, func(context.Context, *View) (*View, error) {
		return &View{repository: r, OrganizationID: organizationID}, nil
	})
}

// view gives a view that is not older than the last change, from memory or by load.
func (r *Repository) view(ctx context.Context, key string, load func(ctx context.Context, old *View) (*View, error)) (*View, error) {
	now, err := r.revision.current(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	v := r.views[key]
	r.mu.Unlock()
	if v != nil && v.checked.Load() >= now {
		return v, nil
	}
	v, err = load(ctx, v)
	if err != nil {
		if errors.Is(err, models.ErrNotFound) {
			r.mu.Lock()
			delete(r.views, key)
			r.mu.Unlock()
		}
		return nil, err
	}
	// The revision was read before the rest: what is seen is as old as it or younger.
	for {
		checked := v.checked.Load()
		if checked >= now || v.checked.CompareAndSwap(checked, now) {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.views[key] != v {
		r.spend(viewCost + permissionCost*len(v.byID))
		r.views[key] = v
	}
	return v, nil
}

// spend accounts for something that is kept. r.mu must be held.
func (r *Repository) spend(bytes int) {
	if r.spent += int64(bytes); r.spent > r.limit {
		clear(r.views)
		clear(r.packages)
		r.spent = int64(bytes)
	}
}

// data gives a package as it is now; models.ErrNotFound where it is not there or disabled.
func (r *Repository) data(ctx context.Context, organizationID, name string) (*packageData, error) {
	p, err := r.service.Store.PackageByName(ctx, organizationID, name)
	if err != nil {
		return nil, err
	}
	if p.Status != models.StatusEnabled {
		return nil, models.ErrNotFound
	}
	r.mu.Lock()
	d := r.packages[p.ID]
	r.mu.Unlock()
	if d != nil && d.revision == p.Revision {
		return d, nil
	}
	v, err, _ := r.flight.Do(name+" "+organizationID, func() (any, error) {
		versions, err := r.service.Store.PublishedVersions(context.WithoutCancel(ctx), p.ID)
		if err != nil {
			return nil, err
		}
		// The versions may be younger than the revision, which does no harm: they are read again when it is seen.
		d, err := newPackageData(p, versions)
		if err != nil {
			return nil, err
		}
		r.keep(d)
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	d = v.(*packageData)
	if d.revision < p.Revision {
		// Another caller has read it before this one's change.
		return r.data(ctx, organizationID, name)
	}
	return d, nil
}

func (r *Repository) keep(d *packageData) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spend(d.size)
	r.packages[d.id] = d
}

// View is what one consumer sees of the repository, or everything of an organization. It is as old as the last change when
// it was asked for.
type View struct {
	repository *Repository
	// ConsumerID is 0 where everything is seen.
	ConsumerID     int64
	OrganizationID string

	subject  policies.Subject
	private  string
	modified int64
	checked  atomic.Int64 // the revision at which it was found unchanged

	// The consumer's packages, those that are enabled.
	byID   map[int64]*admittedPackage
	byName map[string]*admittedPackage

	mu    sync.Mutex
	files map[string][]byte // nil for one that is not there
}
