package inventory_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/engine"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/inventory"
	"slipway/models"
	"slipway/policies"
)

// versionOf makes metadata that says which try it is, and the package that belongs to it.
func versionOf(t *testing.T, text, more string) (*release.Metadata, []byte) {
	t.Helper()
	sum := md5.Sum([]byte(text))
	m := metadata(t, `{"name":"app","version":"1","project":"demo","description":"`+text+`","files":{"file":"`+hex.EncodeToString(sum[:])+`"}`+more+`}`)
	var b bytes.Buffer
	require.NoError(t, release.WriteArchive(&b, m, fstest.MapFS{"file": {Data: []byte(text), Mode: 0o644}}))
	return m, b.Bytes()
}

// calls is a reader that calls a function at its end.
type calls func() error

func (c calls) Read([]byte) (int, error) {
	if err := c(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// requireSecondTerms checks that a release which another took the place of is found by what the new one provides and depends
// on, http and base-v2, and no longer by web and base-v1.
func requireSecondTerms(t *testing.T, s *inventory.Service) {
	t.Helper()
	for name, count := range map[string]int{"web": 0, "http": 1} {
		list, err := s.Store.ProvidersOf(t.Context(), name, policies.Visible{All: true})
		require.NoError(t, err)
		require.Len(t, list, count, name)
	}
	for version, count := range map[string]int{"1": 0, "2": 1} {
		list, err := s.Store.DownstreamOf(t.Context(), "demo", "base", version, policies.Visible{All: true})
		require.NoError(t, err)
		require.Len(t, list, count, version)
	}
}

// isWhole reads a release with its package and requires that both are of the same try.
func isWhole(t *testing.T, s *inventory.Service) string {
	t.Helper()
	p, err := s.Download(t.Context(), "demo", "app", "1")
	require.NoError(t, err)
	defer p.Close()
	known, err := p.Found.Metadata()
	require.NoError(t, err)
	packaged, err := release.CheckArchive(p, known.ID(), release.DefaultLimits)
	require.NoError(t, err)
	require.NoError(t, release.CheckAgrees(packaged, known))
	return known.Description
}

func TestForcedPushReplacesTheRelease(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		var events int
		s.OnUpload = func(context.Context, *models.Store, inventory.Upload) error { events++; return nil }
		p := newProject(t, s, "demo")
		first := inventory.ForExecution{Service: s, Policy: newPolicy(t), Subject: inventory.ProjectSubject(p), ExecutionID: models.NewID()}
		second := first
		second.ExecutionID = models.NewID()
		one, oneArchive := versionOf(t, "one", `,"provides":["web"],"depends":["demo/base-v1"]`)
		id := one.ID()
		require.ErrorIs(t, first.Replace(ctx, one, opener(oneArchive)), engine.ErrNotFound, "there is no namespace yet")
		require.NoError(t, first.Register(ctx, one))
		require.NoError(t, first.Upload(ctx, id, opener(oneArchive)))
		require.NoError(t, s.Tag(ctx, id, "stable", first.Subject))
		registered, err := s.Find(ctx, "demo", "app", "1")
		require.NoError(t, err)
		running, err := s.Download(ctx, "demo", "app", "1")
		require.NoError(t, err)

		two, twoArchive := versionOf(t, "two", `,"provides":["http"],"depends":["demo/base-v2"]`)
		require.ErrorIs(t, second.Register(ctx, two), engine.ErrExists)
		require.NoError(t, second.Replace(ctx, two, opener(twoArchive)))
		require.Equal(t, "two", isWhole(t, s))
		require.Equal(t, 2, events)
		requireSecondTerms(t, s)
		now, err := s.Find(ctx, "demo", "app", "stable")
		require.NoError(t, err, "tags stay")
		require.Equal(t, registered.Release.ID, now.Release.ID)
		require.Equal(t, registered.Release.RegisteredAt, now.Release.RegisteredAt)
		require.Equal(t, "two", now.Application.Description)
		require.Equal(t, second.ExecutionID, now.Release.ExecutionID)

		// The run that replaced it was cut off and does it all again; the one that was replaced does not come back.
		require.NoError(t, second.Register(ctx, two))
		require.NoError(t, second.Upload(ctx, id, opener(twoArchive)))
		require.ErrorIs(t, first.Register(ctx, one), engine.ErrExists)

		// The old file serves the download that has begun, and is then swept.
		old, err := io.ReadAll(running)
		require.NoError(t, errors.Join(err, running.Close()))
		require.Equal(t, oneArchive, old)
		n, err := s.Sweep(ctx, s.Store.Now().Add(-time.Hour))
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = s.Sweep(ctx, s.Store.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = s.Blob.Open(ctx, registered.Release.PackageKey)
		require.Error(t, err)
		require.Equal(t, "two", isWhole(t, s))

		list, err := s.Store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{ProjectID: p.ID})
		require.NoError(t, err)
		require.Equal(t, "release:replace", list[0].Action)
		require.Equal(t, "demo/app-v1", list[0].ResourceName)
		require.Equal(t, registered.Release.PackageSHA256, list[0].Detail["replaced_sha256"])
	})
}

// After a replacement that was refused everything is as it was, and nothing is left in storage.
func TestForcedPushThatIsRefusedChangesNothing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		p := newProject(t, s, "demo")
		policy := newPolicy(t)
		owner := inventory.ForExecution{Service: s, Policy: policy, Subject: inventory.ProjectSubject(p), ExecutionID: models.NewID()}
		one, oneArchive := versionOf(t, "one", "")
		require.NoError(t, owner.Register(ctx, one))
		require.NoError(t, owner.Upload(ctx, one.ID(), opener(oneArchive)))
		two, twoArchive := versionOf(t, "two", "")

		writer := owner
		writer.ExecutionID = models.NewID()
		writer.Subject = policies.Subject{Kind: policies.KindServiceAccount, ID: "robot", Name: "robot", Grants: []policies.Grant{{Scope: p.ID, Role: policies.RoleWrite}}}.Prepare()
		err := writer.Replace(ctx, two, opener(twoArchive))
		require.EqualError(t, err, "robot may not replace releases in the namespace 'demo': that takes an owner")
		var forbidden *problem.Error
		require.ErrorAs(t, err, &forbidden)
		require.Equal(t, problem.Forbidden, forbidden.Kind)
		require.ErrorIs(t, writer.Upload(ctx, two.ID(), opener(twoArchive)), engine.ErrExists, "and it may not go around it")

		require.EqualError(t, owner.Replace(ctx, two, opener(oneArchive)),
			"The file 'file' of the package is not the one that was registered: its checksum is "+one.Files["file"]+", expected "+two.Files["file"])
		require.ErrorContains(t, owner.Replace(ctx, two, opener(twoArchive[:50])), "not a gzipped tar")
		bad := *two
		bad.Name = "Bad"
		require.Error(t, owner.Replace(ctx, &bad, opener(twoArchive)))
		other, otherArchive := versionOf(t, "one", "")
		other.Version = "2"
		require.ErrorIs(t, owner.Replace(ctx, other, opener(otherArchive)), engine.ErrNotFound, "there is nothing to replace")
		require.Equal(t, "one", isWhole(t, s))
		n, err := s.Blob.DeletePrefix(ctx, "packages/")
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

// Of many at once the last wins, as a whole, and readers never see a mixture.
func TestForcedPushesAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		p := newProject(t, s, "demo")
		e := inventory.ForExecution{Service: s, Policy: newPolicy(t), Subject: inventory.ProjectSubject(p), ExecutionID: models.NewID()}
		m, b := versionOf(t, "first", "")
		require.NoError(t, e.Register(ctx, m))
		require.NoError(t, e.Upload(ctx, m.ID(), opener(b)))
		const many = 8
		var wg sync.WaitGroup
		errs := make([]error, many)
		for i := range many {
			m, b := versionOf(t, fmt.Sprintf("try %d", i), fmt.Sprintf(`,"provides":["p%d"]`, i))
			mine := e
			mine.ExecutionID = models.NewID()
			wg.Go(func() { errs[i] = mine.Replace(ctx, m, opener(b)) })
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for reading := true; reading; {
			select {
			case <-done:
				reading = false
			default:
			}
			isWhole(t, s)
		}
		require.NoError(t, errors.Join(errs...))
		last := isWhole(t, s)
		require.Contains(t, last, "try ")
		for i := range many {
			list, err := s.Store.ProvidersOf(ctx, fmt.Sprintf("p%d", i), policies.Visible{All: true})
			require.NoError(t, err)
			require.Equal(t, last == fmt.Sprintf("try %d", i), len(list) == 1)
		}
		n, err := s.Sweep(ctx, s.Store.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, many, n)
	})
}

// An upload that was checked against metadata which is another one by now does not count.
func TestUploadAgainstReplacedMetadata(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		e := inventory.ForExecution{Service: s, Policy: newPolicy(t), Subject: inventory.ProjectSubject(newProject(t, s, "demo")), ExecutionID: models.NewID()}
		one, oneArchive := versionOf(t, "one", "")
		require.NoError(t, e.Register(ctx, one))
		two, twoArchive := versionOf(t, "two", "")
		between := func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(oneArchive), calls(func() error { return e.Register(ctx, two) }))), nil
		}
		require.ErrorIs(t, e.Upload(ctx, one.ID(), between), models.ErrConflict)
		_, err := s.Download(ctx, "demo", "app", "1")
		require.ErrorIs(t, err, models.ErrNotFound)
		require.NoError(t, e.Upload(ctx, two.ID(), opener(twoArchive)))
		require.Equal(t, "two", isWhole(t, s))
	})
}

// Deleting a namespace leaves nothing in storage.
func TestPackagesOfADeletedNamespaceAreSwept(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		e := inventory.ForExecution{Service: s, Policy: newPolicy(t), Subject: inventory.ProjectSubject(newProject(t, s, "demo")), ExecutionID: models.NewID()}
		m, b := versionOf(t, "one", "")
		require.NoError(t, e.Register(ctx, m))
		require.NoError(t, e.Upload(ctx, m.ID(), opener(b)))
		require.NoError(t, s.DeleteNamespace(ctx, "demo", e.Subject))
		n, err := s.Sweep(ctx, s.Store.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = s.Blob.DeletePrefix(ctx, "packages/")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}
