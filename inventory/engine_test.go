package inventory_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
	"slipway/internal/engine"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/internal/testenv"
	"slipway/inventory"
	"slipway/models"
	"slipway/policies"
)

// onBothDatabases runs a test with an inventory on a fresh SQLite file and on a fresh PostgreSQL database.
func onBothDatabases(t *testing.T, test func(t *testing.T, s *inventory.Service)) {
	t.Helper()
	run := func(t *testing.T, address string) {
		store, err := models.Open(t.Context(), address, models.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		require.NoError(t, store.Migrate(t.Context()))
		files, err := blob.Open(t.Context(), "mem://")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, files.Close()) })
		test(t, &inventory.Service{Store: store, Blob: files})
	}
	t.Run("sqlite", func(t *testing.T) { run(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db")) })
	t.Run("postgres", func(t *testing.T) { run(t, testenv.Postgres(t)) })
}

func newPolicy(t *testing.T) *policies.Engine {
	t.Helper()
	p, err := policies.New(policies.Options{})
	require.NoError(t, err)
	return p
}

func newProject(t *testing.T, s *inventory.Service, name string) *models.Project {
	t.Helper()
	p := &models.Project{Name: name}
	require.NoError(t, s.Store.CreateProject(t.Context(), p))
	return p
}

func metadata(t *testing.T, document string) *release.Metadata {
	t.Helper()
	m, err := release.Decode([]byte(document))
	require.NoError(t, err)
	return m
}

// archive makes a package with one file.
func archive(t *testing.T, m *release.Metadata) []byte {
	t.Helper()
	sum := md5.Sum([]byte("content"))
	m.Files = map[string]string{"file": hex.EncodeToString(sum[:])}
	var b bytes.Buffer
	require.NoError(t, release.WriteArchive(&b, m, fstest.MapFS{"file": {Data: []byte("content"), Mode: 0o644}}))
	return b.Bytes()
}

func opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// A run that was cut off does everything again, and must find its own release and nobody else's.
func TestAnExecutionRepeatsItself(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		p := newProject(t, s, "demo")
		first := inventory.ForExecution{Service: s, Policy: newPolicy(t), Subject: inventory.ProjectSubject(p), ExecutionID: models.NewID()}
		other := first
		other.ExecutionID = models.NewID()

		next, err := first.NextVersion(ctx, "demo", "app", "0.1.")
		require.NoError(t, err)
		require.Equal(t, "0.1.0", next)
		m := metadata(t, `{"name":"app","version":"0.1.0","project":"demo","description":"one","provides":["web"],"depends":["demo/base-v1"]}`)
		require.NoError(t, first.Register(ctx, m))
		n, err := s.Store.NamespaceByName(ctx, "demo")
		require.NoError(t, err)
		require.Equal(t, &p.ID, n.ProjectID, "the namespace belongs to the project of its name")
		require.ErrorIs(t, other.Register(ctx, m), engine.ErrExists)

		again := metadata(t, `{"name":"app","version":"0.1.0","project":"demo","description":"two","provides":["http"],"depends":["demo/base-v2"]}`)
		require.NoError(t, first.Register(ctx, again))
		found, err := first.Release(ctx, release.ID{Project: "demo", Name: "app", Version: "latest"})
		require.NoError(t, err)
		require.Equal(t, "two", found.Description)
		requireSecondTerms(t, s)

		id := release.ID{Project: "demo", Name: "app", Version: "0.1.0"}
		_, err = first.Package(ctx, id)
		require.ErrorIs(t, err, engine.ErrNotFound)
		b := archive(t, again)
		require.NoError(t, first.Upload(ctx, id, opener(b)))
		require.NoError(t, first.Upload(ctx, id, opener(b)))
		require.ErrorIs(t, other.Upload(ctx, id, opener(b)), engine.ErrExists)
		require.NoError(t, first.Register(ctx, m), "with a package there is nothing to replace")
		found, err = first.Release(ctx, id)
		require.NoError(t, err)
		require.Equal(t, "two", found.Description)

		r, err := first.Package(ctx, release.ID{Project: "demo", Name: "app", Version: "0.1.@"})
		require.NoError(t, err)
		have, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, b, have)
		_, err = first.Release(ctx, release.ID{Project: "demo", Name: "app", Version: "9"})
		require.ErrorIs(t, err, engine.ErrNotFound)
		require.ErrorIs(t, first.Upload(ctx, release.ID{Project: "demo", Name: "app", Version: "9"}, opener(b)), engine.ErrNotFound)
	})
}

// A replaced release gives its place as provider back to a lower one.
func TestReplacingARestoresTheLowerProvider(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		e := inventory.ForExecution{Service: s, Policy: newPolicy(t), Subject: inventory.ProjectSubject(newProject(t, s, "demo")), ExecutionID: models.NewID()}
		require.NoError(t, e.Register(ctx, metadata(t, `{"name":"app","version":"1","project":"demo","provides":["web"]}`)))
		require.NoError(t, e.Register(ctx, metadata(t, `{"name":"app","version":"2","project":"demo","provides":["web"]}`)))
		require.NoError(t, e.Register(ctx, metadata(t, `{"name":"app","version":"2","project":"demo"}`)))
		list, err := s.Store.ProvidersOf(ctx, "web", policies.Visible{All: true})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "1", list[0].Version)
	})
}

// S4, S6: an execution has its project's rights and no others.
func TestS6AnExecutionStaysInItsProject(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *inventory.Service) {
		ctx := t.Context()
		policy := newPolicy(t)
		mine, theirs := newProject(t, s, "mine"), newProject(t, s, "theirs")
		me := inventory.ForExecution{Service: s, Policy: policy, Subject: inventory.ProjectSubject(mine), ExecutionID: models.NewID()}
		they := inventory.ForExecution{Service: s, Policy: policy, Subject: inventory.ProjectSubject(theirs), ExecutionID: models.NewID()}
		secret := metadata(t, `{"name":"secret","version":"3","project":"theirs"}`)
		id := secret.ID()
		b := archive(t, secret)
		err := me.Register(ctx, secret)
		require.True(t, problem.Is(err, problem.Forbidden), err)
		require.EqualError(t, err, "project mine may not push releases into the namespace 'theirs'")
		require.NoError(t, they.Register(ctx, secret))
		require.True(t, problem.Is(me.Upload(ctx, id, opener(b)), problem.Forbidden))
		require.NoError(t, they.Upload(ctx, id, opener(b)))

		_, err = me.Release(ctx, id)
		require.ErrorIs(t, err, engine.ErrNotFound)
		_, err = me.Package(ctx, id)
		require.ErrorIs(t, err, engine.ErrNotFound)
		next, err := me.NextVersion(ctx, "theirs", "secret", "")
		require.NoError(t, err)
		require.Equal(t, "0", next)
		// Namespaces of nobody's are not for the taking.
		for _, namespace := range []string{"_", "nobody"} {
			m := metadata(t, `{"name":"app","version":"1","project":"`+namespace+`"}`)
			require.True(t, problem.Is(me.Register(ctx, m), problem.Forbidden), namespace)
		}
		// A grant opens the door.
		guest := me
		guest.Subject = inventory.ProjectSubject(mine, policies.Grant{Scope: theirs.ID, Role: policies.RoleRead})
		_, err = guest.Release(ctx, id)
		require.NoError(t, err)
		require.True(t, problem.Is(guest.Register(ctx, metadata(t, `{"name":"x1","version":"1","project":"theirs"}`)), problem.Forbidden))
	})
}
