package models

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
	"slipway/internal/problem"
)

func setQuota(t testing.TB, s *Store, organization, resource string, maximum int64) {
	t.Helper()
	require.NoError(t, s.SetQuota(t.Context(), organization, resource, &maximum))
}

// usedOf gives how much an organization has of a resource.
func usedOf(t testing.TB, s *Store, organization, resource string) int64 {
	t.Helper()
	list, err := s.QuotasOf(t.Context(), organization)
	require.NoError(t, err)
	for _, u := range list {
		if u.Resource == resource {
			return u.Used
		}
	}
	t.Fatal("no such resource: ", resource)
	return 0
}

// parallel calls f 64 times at once, and gives how often it succeeded; all other calls must be refused by a quota.
func parallel(t *testing.T, f func(n int) error) int64 {
	t.Helper()
	var wg sync.WaitGroup
	var succeeded atomic.Int64
	for n := range 64 {
		wg.Go(func() {
			switch err := f(n); {
			case err == nil:
				succeeded.Add(1)
			case !problem.Is(err, problem.LimitReached):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return succeeded.Load()
}

// S19: of 64 calls at once exactly as many add something as the quota has room for, and what ends or goes gives its room
// back.
func TestS19QuotasAreAtomicUnder64ParallelCalls(t *testing.T) {
	const room = 10
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		for _, kind := range []string{KindBuild, KindPipeline} {
			t.Run(QuotaExecutions+" "+kind, func(t *testing.T) {
				h := newShop(t, s)
				organization := h.project.OrganizationID
				setQuota(t, s, organization, QuotaExecutions, room)
				var open sync.Map
				require.EqualValues(t, room, parallel(t, func(int) error {
					e, err := h.trigger(kind, nil)
					if err == nil {
						open.Store(e.ID, e)
					}
					return err
				}))
				require.EqualValues(t, room, usedOf(t, s, organization, QuotaExecutions))
				var es []*Execution
				numbers := map[int64]bool{}
				open.Range(func(_, e any) bool {
					es = append(es, e.(*Execution))
					numbers[e.(*Execution).Number] = true
					return true
				})
				for n := range int64(room) {
					require.True(t, numbers[n+1], "a trigger that is refused draws no number")
				}
				for _, e := range es[:3] {
					h.end(e)
				}
				require.NoError(t, s.AbandonExecution(t.Context(), es[3].ID, "not started"))
				require.EqualValues(t, 4, parallel(t, func(int) error { _, err := h.trigger(kind, nil); return err }))
				require.NoError(t, s.SetQuota(t.Context(), organization, QuotaExecutions, nil))
				require.EqualValues(t, 64, parallel(t, func(int) error { _, err := h.trigger(kind, nil); return err }))
				require.NoError(t, s.write.Exec("UPDATE executions SET status = 'ok'").Error)
				require.NoError(t, s.DeleteProjectContents(t.Context(), h.project.ID))
			})
		}
		t.Run(QuotaProjects, func(t *testing.T) {
			organization := newOrganization(t, s, "acme", OrganizationTenant, nil).ID
			setQuota(t, s, organization, QuotaProjects, room)
			var made sync.Map
			create := func(n int) error {
				p := &Project{OrganizationID: organization, Name: fmt.Sprint("project-", n)}
				err := s.CreateProject(t.Context(), p)
				if err == nil {
					made.Store(p.ID, n)
				}
				return err
			}
			require.EqualValues(t, room, parallel(t, create))
			require.EqualValues(t, room, usedOf(t, s, organization, QuotaProjects))
			deleted := 0
			made.Range(func(id, n any) bool {
				require.NoError(t, s.DeleteProject(t.Context(), id.(string)))
				deleted++
				return deleted < 3
			})
			require.EqualValues(t, 3, parallel(t, func(n int) error { return create(n + 100) }))
		})
		t.Run(QuotaAssets, func(t *testing.T) {
			organization := newOrganization(t, s, "images", OrganizationTenant, nil).ID
			setQuota(t, s, organization, QuotaAssets, room)
			put := func(digests ...int) error {
				var images []Image
				for _, n := range digests {
					images = append(images, Image{Registry: "docker.io", Repository: "library/app", ConfigDigest: fmt.Sprintf("sha256:%064x", n)})
				}
				_, err := s.PutImages(t.Context(), organization, images, true)
				return err
			}
			require.EqualValues(t, room/2, parallel(t, func(n int) error { return put(1000+2*n, 1001+2*n) }))
			require.EqualValues(t, room, usedOf(t, s, organization, QuotaAssets))
			var there int64
			require.NoError(t, s.read.Table("assets").Where("organization_id = ?", organization).Count(&there).Error)
			require.EqualValues(t, room, there)
			var known []string
			require.NoError(t, s.read.Table("assets").Where("organization_id = ?", organization).Pluck("config_digest", &known).Error)
			_, err := s.PutImages(t.Context(), organization, []Image{{Registry: "docker.io", Repository: "library/app", ConfigDigest: known[0], OS: "linux"}}, true)
			require.NoError(t, err, "what is there can be changed")
		})
		t.Run(QuotaStorage, func(t *testing.T) {
			organization := newOrganization(t, s, "store", OrganizationTenant, nil)
			setQuota(t, s, organization.ID, QuotaStorage, room*100)
			u := newUploads(t, s, organization.ID)
			require.EqualValues(t, room, parallel(t, func(n int) error {
				if n%2 == 0 {
					return u.release(n, 100)
				}
				return u.archive(n, "", 100)
			}))
			require.EqualValues(t, room*100, usedOf(t, s, organization.ID, QuotaStorage))
		})
	})
}

// S19: with everything at once that takes locks (limits on parallel executions, deployments, cancellations of older ones, ends,
// parts of pipelines), there are never more than the quota says, nobody waits in a ring, and nothing fails.
func TestS19QuotasUnderMixedLoad(t *testing.T) {
	for _, busy := range []string{BusyQueue, BusyCancelOlder} {
		t.Run(busy, func(t *testing.T) { mixedLoad(t, busy) })
	}
}

func mixedLoad(t *testing.T, busy string) {
	const room = 5
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		h := newShop(t, s)
		h.limit(2, busy)
		organization := h.project.OrganizationID
		setQuota(t, s, organization, QuotaExecutions, room)
		var wg sync.WaitGroup
		var started, refused, most atomic.Int64
		for n := range 16 {
			wg.Go(func() {
				kind := []string{KindBuild, KindDeployment, KindPipeline}[n%3]
				for range 12 {
					e, err := h.trigger(kind, nil)
					if problem.Is(err, problem.LimitReached) {
						refused.Add(1)
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					started.Add(1)
					used, err := s.used(t.Context(), organization, QuotaExecutions)
					if err != nil {
						t.Error(err)
					}
					for old := most.Load(); used > old && !most.CompareAndSwap(old, used); old = most.Load() {
					}
					if kind == KindPipeline {
						if _, err := h.trigger(KindBuild, e); err != nil {
							t.Error(err)
						}
					}
					if _, err := s.ClaimExecution(t.Context(), e.ID, "run", changes(kind)); err != nil {
						t.Error(err)
					}
					if _, err := s.FinishExecution(t.Context(), e.ID, StatusOK, ""); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, most.Load(), int64(room))
		require.Positive(t, started.Load())
		require.Positive(t, refused.Load())
		require.EqualValues(t, 16*12, started.Load()+refused.Load())
		require.Zero(t, usedOf(t, s, organization, QuotaExecutions))
		require.Zero(t, deadlocks(t, s))
	})
}

// uploads are releases and versions of a Composer package that wait for their files.
type uploads struct {
	t        *testing.T
	s        *Store
	releases [64]*Release
	versions [64]*PackageVersion
	pack     *Package
}

func newUploads(t *testing.T, s *Store, organization string) *uploads {
	t.Helper()
	ctx := t.Context()
	u := &uploads{t: t, s: s, pack: &Package{OrganizationID: organization, Name: "acme/" + organization, Status: StatusEnabled}}
	require.NoError(t, s.CreatePackage(ctx, u.pack))
	space := &Namespace{Name: "space-" + organization, ProjectID: &newProject(t, s, organization, "stored").ID}
	require.NoError(t, s.CreateNamespace(ctx, space))
	for n := range u.releases {
		require.NoError(t, s.Tx(ctx, func(tx *Store) error {
			var err error
			u.releases[n], err = tx.RegisterRelease(ctx, space.ID, NewRelease{Application: "app", Version: fmt.Sprint(n), Metadata: "{}"})
			return err
		}))
		u.versions[n] = &PackageVersion{PackageID: u.pack.ID, Name: fmt.Sprint(n), Normalized: fmt.Sprint(n)}
		require.NoError(t, s.CreatePackageVersion(ctx, u.versions[n]))
	}
	return u
}

// release completes the upload of a release's package.
func (u *uploads) release(n int, size int64) error {
	ctx := u.t.Context()
	key := NewID()
	if err := u.s.BeginUpload(ctx, key); err != nil {
		return err
	}
	return u.s.Tx(ctx, func(tx *Store) error {
		return tx.CompleteUpload(ctx, u.releases[n], blob.Object{Key: key, Size: size}, "ann")
	})
}

// archive completes the upload of a version's archive in the place of the one with a key.
func (u *uploads) archive(n int, replaces string, size int64) error {
	ctx := u.t.Context()
	key := NewID()
	if err := u.s.BeginUpload(ctx, key); err != nil {
		return err
	}
	err := u.s.CompletePackageUpload(ctx, u.versions[n], replaces, PackageArchive{Object: blob.Object{Key: key, Size: size}, Metadata: "{}"})
	if err == nil {
		u.versions[n].ArchiveKey, u.versions[n].ArchiveSize = key, size
	}
	return err
}

func TestStorageQuotas(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		organization := newOrganization(t, s, "acme", OrganizationTenant, nil).ID
		u := newUploads(t, s, organization)
		left := func(replaced int64) int64 {
			l, err := s.StorageLeftForRelease(ctx, u.releases[0].ApplicationID, replaced)
			require.NoError(t, err)
			p, err := s.StorageLeftForPackage(ctx, u.pack.ID, replaced)
			require.NoError(t, err)
			require.Equal(t, p.Bytes, l.Bytes)
			return l.Bytes
		}
		require.Greater(t, left(0), int64(1<<62), "no quota, no bound")
		setQuota(t, s, organization, QuotaStorage, 1000)
		require.NoError(t, u.release(0, 400))
		require.NoError(t, u.archive(0, "", 600))
		require.EqualValues(t, 0, left(0))
		require.EqualValues(t, 600, left(600))
		err := u.release(1, 1)
		require.True(t, problem.Is(err, problem.LimitReached))
		require.EqualError(t, err, "organization 'acme' may store no more than 1000 bytes of packages")
		r, err := s.ReleaseByID(ctx, u.releases[1].ID)
		require.NoError(t, err)
		require.Empty(t, r.PackageKey, "nothing half made")
		require.True(t, problem.Is(u.archive(1, "", 1), problem.LimitReached))
		v, err := s.PackageVersionByID(ctx, u.versions[1].ID)
		require.NoError(t, err)
		require.Empty(t, v.ArchiveKey)

		// What is replaced gives its bytes back.
		require.True(t, problem.Is(u.archive(0, u.versions[0].ArchiveKey, 601), problem.LimitReached))
		require.NoError(t, u.archive(0, u.versions[0].ArchiveKey, 500))
		require.EqualValues(t, 100, left(0))
		overwrite := func(size int64) error {
			key := NewID()
			require.NoError(t, s.BeginUpload(ctx, key))
			return s.Tx(ctx, func(tx *Store) error {
				old, err := tx.LockRelease(ctx, u.releases[0].ApplicationID, "0")
				if err != nil {
					return err
				}
				return tx.OverwriteRelease(ctx, old, NewRelease{Application: "app", Version: "0", Metadata: "{}"}, blob.Object{Key: key, Size: size})
			})
		}
		require.True(t, problem.Is(overwrite(501), problem.LimitReached))
		require.NoError(t, overwrite(500))

		// A quota that was lowered keeps what is there, and lets it shrink.
		setQuota(t, s, organization, QuotaStorage, 10)
		require.EqualValues(t, 0, left(0))
		require.NoError(t, overwrite(450))
		require.NoError(t, u.archive(0, u.versions[0].ArchiveKey, 450))
		require.EqualValues(t, 900, usedOf(t, s, organization, QuotaStorage))

		// What is deleted gives back, too.
		require.NoError(t, s.DeletePackageVersion(ctx, u.versions[0]))
		require.EqualValues(t, 450, usedOf(t, s, organization, QuotaStorage))
		namespace, err := s.NamespaceByName(ctx, "space-"+organization)
		require.NoError(t, err)
		require.NoError(t, s.DeleteNamespace(ctx, namespace.ID))
		require.EqualValues(t, 0, usedOf(t, s, organization, QuotaStorage))

		// An upload stops where the quota is reached, not where the sender has had enough.
		l, err := s.StorageLeftForPackage(ctx, u.pack.ID, 0)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, l.Reader(strings.NewReader("0123456789")))
		require.NoError(t, err)
		require.EqualValues(t, 10, n)
		n, err = io.Copy(io.Discard, l.Reader(io.LimitReader(endless{}, 1<<40)))
		require.True(t, problem.Is(err, problem.LimitReached))
		require.Less(t, n, int64(1<<20))
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A quota is for an organization with all below it, and of several the one that is reached first says no.
func TestQuotasHoldForWhatIsBelow(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		tenant := newOrganization(t, s, "tenant", OrganizationTenant, nil)
		group := newOrganization(t, s, "group", OrganizationGroup, tenant)
		one, two := newOrganization(t, s, "one", OrganizationOrg, group), newOrganization(t, s, "two", OrganizationOrg, tenant)
		other := newOrganization(t, s, "other", OrganizationTenant, nil)
		setQuota(t, s, tenant.ID, QuotaProjects, 3)
		setQuota(t, s, one.ID, QuotaProjects, 2)
		create := func(o *Organization, name string) error {
			return s.CreateProject(ctx, &Project{OrganizationID: o.ID, Name: name})
		}
		require.NoError(t, create(one, "aa"))
		require.NoError(t, create(one, "bb"))
		require.EqualError(t, create(one, "cc"), "organization 'one' may have no more than 2 projects")
		require.NoError(t, create(two, "aa"))
		require.EqualError(t, create(two, "bb"), "organization 'tenant' may have no more than 3 projects")
		require.EqualError(t, create(group, "aa"), "organization 'tenant' may have no more than 3 projects")
		require.NoError(t, create(other, "aa"))
		require.ErrorIs(t, create(other, "aa"), ErrExists)
		require.EqualValues(t, 3, usedOf(t, s, tenant.ID, QuotaProjects))
		require.EqualValues(t, 2, usedOf(t, s, group.ID, QuotaProjects))

		// Who has moved elsewhere counts there.
		require.NoError(t, s.MoveOrganization(ctx, one.ID, &other.ID))
		require.EqualValues(t, 1, usedOf(t, s, tenant.ID, QuotaProjects))
		require.EqualValues(t, 3, usedOf(t, s, other.ID, QuotaProjects))
		require.NoError(t, create(two, "bb"))
	})
}

func TestQuotasOfExecutions(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		organization := h.project.OrganizationID
		search := func() (*Execution, error) {
			e, _, err := s.CreateExecution(ctx, NewExecution{Kind: KindAssetSearch, OrganizationID: organization, SubjectID: organization, SubjectName: "assets", Definition: map[string]any{}})
			return e, err
		}
		setQuota(t, s, organization, QuotaExecutions, 2)
		pipeline := h.triggered(KindPipeline)
		found, err := search()
		require.NoError(t, err)
		require.EqualValues(t, 2, usedOf(t, s, organization, QuotaExecutions), "a search is an execution of the organization")
		_, err = search()
		require.EqualError(t, err, "record the execution: organization 'default' may have no more than 2 executions that have not ended: wait for an end, or cancel some")
		var p *problem.Error
		require.ErrorAs(t, err, &p)
		require.NotContains(t, p.Message, "record")

		// What a pipeline consists of does not count: it must be able to end.
		for range 3 {
			_, err = h.trigger(KindBuild, pipeline)
			require.NoError(t, err)
		}
		require.EqualValues(t, 2, usedOf(t, s, organization, QuotaExecutions))

		// What is refused leaves nothing, and what is rolled back gives back.
		h.end(found)
		broken := errors.New("broken")
		n := NewExecution{Kind: KindBuild, ProjectID: h.project.ID, SubjectID: h.build.ID, SubjectName: "web", Definition: h.build.Definition(),
			Within: func(*Store, *Execution) error { return broken }}
		_, _, err = s.CreateExecution(ctx, n)
		require.ErrorIs(t, err, broken)
		require.EqualValues(t, 1, usedOf(t, s, organization, QuotaExecutions))
		e := h.triggered(KindBuild)
		require.EqualValues(t, 4, e.Number, "three parts of the pipeline came before")
		line := &AuditEntry{Action: "build:trigger", ActorKind: "user", ActorID: "u"}
		_, _, err = s.CreateExecution(ctx, NewExecution{Kind: KindBuild, ProjectID: h.project.ID, SubjectID: h.build.ID, Definition: h.build.Definition(), Audit: line})
		require.True(t, problem.Is(err, problem.LimitReached))
		var lines int64
		require.NoError(t, s.read.Model(&AuditEntry{}).Where("action = 'build:trigger'").Count(&lines).Error)
		require.Zero(t, lines)

		// The same trigger again is the execution that it was.
		h.end(e)
		n.Within, n.IdempotencyKey = nil, "once"
		first, isNew, err := s.CreateExecution(ctx, n)
		require.NoError(t, err)
		require.True(t, isNew)
		again, isNew, err := s.CreateExecution(ctx, n)
		require.NoError(t, err)
		require.False(t, isNew)
		require.Equal(t, first.ID, again.ID)

		// What its limit lets skip is not open.
		h.claim(first)
		h.limit(1, BusySkip)
		skipped, err := h.trigger(KindBuild, nil)
		require.NoError(t, err)
		require.Equal(t, StatusSkipped, skipped.Status)

		// A quota of 0 stops everything new; nothing that is deleted is taken for it.
		setQuota(t, s, organization, QuotaExecutions, 0)
		_, err = search()
		require.True(t, problem.Is(err, problem.LimitReached))
		h.end(first)
		require.NoError(t, s.write.Exec("UPDATE execution_counters SET last = -1 WHERE subject_id = ?", h.build.ID).Error)
		_, err = h.trigger(KindBuild, nil)
		require.ErrorIs(t, err, ErrDeleted)
		require.NoError(t, s.SetQuota(ctx, organization, QuotaExecutions, nil))
		_, err = h.trigger(KindBuild, nil)
		require.ErrorIs(t, err, ErrDeleted)
	})
}

// Who has no quota pays no round trip, whatever others have.
func TestExecutionsWithoutAQuotaAreRecordedAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		h := newShop(t, s)
		other := newOrganization(t, s, "other", OrganizationTenant, nil)
		counted := countStatements(t, s)
		h.triggered(KindBuild)
		none := counted()
		setQuota(t, s, other.ID, QuotaExecutions, 1)
		setQuota(t, s, h.project.OrganizationID, QuotaProjects, 1)
		counted()
		h.triggered(KindBuild) // finds out that there is one
		counted()
		h.triggered(KindBuild)
		if s.dialect == PostgreSQL {
			require.Equal(t, []int{1, 1}, []int{none, counted()})
		} else {
			require.Equal(t, none+1, counted(), "in one process it is a look, and no round trip")
		}
	})
}

func TestSetQuotaRefuses(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		one, less := int64(1), int64(-1)
		o, err := s.OrganizationByCanonical(t.Context(), DefaultOrganization)
		require.NoError(t, err)
		require.EqualError(t, s.SetQuota(t.Context(), o.ID, "builds", &one), "invalid input: resource: expected executions, projects, storage, assets")
		require.EqualError(t, s.SetQuota(t.Context(), o.ID, QuotaProjects, &less), "invalid input: maximum: must not be less than 0")
		require.ErrorIs(t, s.SetQuota(t.Context(), NewID(), QuotaProjects, &one), ErrNotFound)
		require.NoError(t, s.SetQuota(t.Context(), o.ID, QuotaProjects, nil), "there is none already")
	})
}
