package packages

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
	"slipway/models"
)

type noSecrets struct{}

func (noSecrets) Encrypt(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (noSecrets) Decrypt(cipher []byte, _ string) ([]byte, error) { return cipher, nil }

func newRepository(t *testing.T, now func() time.Time) (*Repository, *models.Organization) {
	ctx := t.Context()
	store, err := models.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(ctx))
	store.UseEncrypter(noSecrets{})
	o, err := store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	return NewRepository(&Service{Store: store}, now), o
}

// publish adds a package with enabled versions that have an archive.
func publish(t *testing.T, r *Repository, o *models.Organization, name string, versions ...string) *models.Package {
	t.Helper()
	ctx, store := t.Context(), r.service.Store
	p := &models.Package{OrganizationID: o.ID, Name: name, Status: models.StatusEnabled}
	require.NoError(t, store.CreatePackage(ctx, p))
	for _, text := range versions {
		v := &models.PackageVersion{PackageID: p.ID, Name: text, Normalized: text + ".0", Status: models.StatusEnabled}
		require.NoError(t, store.CreatePackageVersion(ctx, v))
		key := name + text
		require.NoError(t, store.BeginUpload(ctx, key))
		require.NoError(t, store.CompletePackageUpload(ctx, v, "", models.PackageArchive{Object: blob.Object{Key: key},
			Metadata: fmt.Sprintf(`{"name":%q,"version":%q}`, name, text)}))
	}
	return p
}

func consume(t *testing.T, r *Repository, o *models.Organization, key string, p *models.Package, constraint string) {
	t.Helper()
	ctx, store := t.Context(), r.service.Store
	c := &models.Consumer{OrganizationID: o.ID, Email: key + "@example.com", PublicKey: key}
	require.NoError(t, store.CreateConsumer(ctx, c, "private"))
	require.NoError(t, store.CreatePackagePermission(ctx, &models.PackagePermission{ConsumerID: c.ID, PackageID: p.ID, Version: constraint}))
}

func TestConsumersWhoSeeTheSameShareAFile(t *testing.T) {
	r, o := newRepository(t, nil)
	p := publish(t, r, o, "acme/hello", "1.0.0", "1.1.0", "2.0.0")
	consume(t, r, o, "a", p, "1.*")
	consume(t, r, o, "b", p, "<2.0")
	consume(t, r, o, "c", p, "2.*")
	file := func(key string) []byte {
		v, err := r.Authenticate(t.Context(), key, "private")
		require.NoError(t, err)
		b, err := v.PackageFile(t.Context(), "http://x", "acme/hello", false)
		require.NoError(t, err)
		return b
	}
	require.Same(t, &file("a")[0], &file("b")[0])
	require.NotEqual(t, file("a"), file("c"))
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	r, o := newRepository(t, nil)
	r.limit = 50_000
	for i := range 30 {
		name := fmt.Sprintf("acme/p%d", i)
		p := publish(t, r, o, name, "1.0.0")
		consume(t, r, o, name, p, "*")
		v, err := r.Authenticate(t.Context(), name, "private")
		require.NoError(t, err)
		for host := range 10 {
			b, err := v.PackageFile(t.Context(), fmt.Sprintf("http://host-%d", host), name, false)
			require.NoError(t, err)
			require.Contains(t, string(b), fmt.Sprintf("http://host-%d/dist/%s/", host, name))
		}
		r.mu.Lock()
		require.LessOrEqual(t, r.spent, r.limit)
		require.Less(t, len(r.views), 20)
		require.Less(t, len(r.packages), 20)
		r.mu.Unlock()
	}
}

// As long as nothing changes and the moment is not over, a known consumer costs no query.
func TestTheDatabaseIsAskedOnceInAMoment(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r, o := newRepository(t, func() time.Time { return now })
	p := publish(t, r, o, "acme/hello", "1.0.0")
	consume(t, r, o, "a", p, "*")
	_, err := r.Authenticate(t.Context(), "a", "private")
	require.NoError(t, err)
	away, cancel := context.WithCancel(t.Context())
	cancel() // whoever asks the database with this gets an error
	v, err := r.Authenticate(away, "a", "private")
	require.NoError(t, err)
	_, err = v.PackageFile(t.Context(), "http://x", "acme/hello", false)
	require.NoError(t, err)
	_, err = v.PackageFile(away, "http://x", "acme/hello", false)
	require.NoError(t, err)
	_, err = r.Authenticate(away, "nobody", "private")
	require.ErrorIs(t, err, context.Canceled)

	// This process's own change is seen although no time passes.
	require.NoError(t, r.service.Store.DeleteConsumer(t.Context(), v.ConsumerID))
	_, err = r.Authenticate(t.Context(), "a", "private")
	require.ErrorIs(t, err, ErrWrongKeys)
}

func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	letters := map[rune]int{}
	for range 200 {
		k := NewKey()
		require.Regexp(t, `^[A-Za-z0-9]{60}$`, k)
		require.False(t, seen[k])
		seen[k] = true
		for _, c := range k {
			letters[c]++
		}
	}
	require.Len(t, letters, 62, "every letter and digit comes")
}
