package models

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
)

// plainSecrets stands in for encryption, which packages of their own test.
type plainSecrets struct{}

func (plainSecrets) Encrypt(plain []byte, associated string) ([]byte, error) {
	return append([]byte(associated+"\x00"), plain...), nil
}

func (plainSecrets) Decrypt(cipher []byte, associated string) ([]byte, error) {
	head := associated + "\x00"
	if len(cipher) < len(head) || string(cipher[:len(head)]) != head {
		return nil, fmt.Errorf("sealed for another place than %s", associated)
	}
	return cipher[len(head):], nil
}

func newPackage(t *testing.T, s *Store, name string) *Package {
	t.Helper()
	o, err := s.OrganizationByCanonical(t.Context(), DefaultOrganization)
	require.NoError(t, err)
	p := &Package{OrganizationID: o.ID, Name: name, Status: StatusEnabled}
	require.NoError(t, s.CreatePackage(t.Context(), p))
	return p
}

func newConsumer(t *testing.T, s *Store, key string) *Consumer {
	t.Helper()
	s.UseEncrypter(plainSecrets{})
	o, err := s.OrganizationByCanonical(t.Context(), DefaultOrganization)
	require.NoError(t, err)
	c := &Consumer{OrganizationID: o.ID, Email: key + "@example.com", PublicKey: key}
	require.NoError(t, s.CreateConsumer(t.Context(), c, "private "+key))
	return c
}

func modified(t *testing.T, s *Store, c *Consumer) int64 {
	t.Helper()
	c, err := s.ConsumerByID(t.Context(), c.ID)
	require.NoError(t, err)
	return c.Modified
}

func TestEachChangeGivesEachConsumerASecondOfItsOwn(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		p := newPackage(t, s, "acme/hello")
		given := map[int64]bool{}
		var all []*Consumer
		for i := range 5 {
			k := newConsumer(t, s, fmt.Sprint("key", i))
			require.False(t, given[k.Modified])
			given[k.Modified] = true
			all = append(all, k)
			require.NoError(t, s.CreatePackagePermission(ctx, &PackagePermission{ConsumerID: k.ID, PackageID: p.ID, Version: "*"}))
			given[modified(t, s, k)] = true
		}
		for i := range 4 {
			if i == 2 {
				c.move(time.Hour) // from here on the real time is ahead
			}
			if i == 3 {
				c.move(-2 * time.Hour) // a clock that was set back gives nothing twice
			}
			require.NoError(t, s.UpdatePackage(ctx, p))
			for _, k := range all {
				m := modified(t, s, k)
				require.False(t, given[m], "%d was given before", m)
				given[m] = true
				if i == 2 {
					require.GreaterOrEqual(t, m, s.Now().Unix())
				}
			}
		}
		before, err := s.PackageClock(ctx)
		require.NoError(t, err)
		newPackage(t, s, "acme/nobodys")
		after, err := s.PackageClock(ctx)
		require.NoError(t, err)
		require.Greater(t, after, before, "the clock moves with every change")
	})
}

// A package is enabled while a permission for it is added: whoever commits last must see the other, or a consumer would
// keep an answer without it and never hear of it.
func TestChangesOfPackagesWaitForEachOther(t *testing.T) {
	s := onPostgres(t)
	ctx := t.Context()
	p, k := newPackage(t, s, "acme/hello"), newConsumer(t, s, "key")

	inside, release := make(chan struct{}), make(chan struct{})
	published, permitted := make(chan error, 1), make(chan error, 1)
	go func() {
		published <- s.Tx(ctx, func(tx *Store) error {
			err := tx.UpdatePackage(ctx, p)
			close(inside)
			<-release
			return err
		})
	}()
	<-inside
	go func() {
		permitted <- s.CreatePackagePermission(ctx, &PackagePermission{ConsumerID: k.ID, PackageID: p.ID, Version: "*"})
	}()
	require.Eventually(t, func() bool {
		var waiting int64
		return s.reader(ctx).Raw("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%package_clock%'").
			Scan(&waiting).Error == nil && waiting == 1
	}, 10*time.Second, 10*time.Millisecond, "the permission waits for the clock")
	select {
	case err := <-permitted:
		t.Fatal("the permission did not wait", err)
	default:
	}
	close(release)
	require.NoError(t, <-published)
	require.NoError(t, <-permitted)
}

func TestArchivesThatAreReplacedOrDeletedGoToTheSweeper(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		p := newPackage(t, s, "acme/hello")
		v := &PackageVersion{PackageID: p.ID, Name: "dev-main", Normalized: "dev-main"}
		require.NoError(t, s.CreatePackageVersion(ctx, v))
		upload := func(key, replaces string) error {
			require.NoError(t, s.BeginUpload(ctx, key))
			return s.CompletePackageUpload(ctx, v, replaces, PackageArchive{Object: blob.Object{Key: key}, Metadata: "{}"})
		}
		require.NoError(t, upload("a", ""))
		require.ErrorIs(t, upload("b", ""), ErrConflict, "somebody else was first")
		require.NoError(t, upload("c", "a"))
		require.ErrorIs(t, upload("d", "a"), ErrConflict)
		// One that the sweeper has given up does not count any more.
		require.NoError(t, s.BeginUpload(ctx, "late"))
		_, err := s.AbandonUploads(ctx, c.now().Add(time.Hour), 100)
		require.NoError(t, err)
		require.ErrorIs(t, s.CompletePackageUpload(ctx, v, "c", PackageArchive{Object: blob.Object{Key: "late"}}), ErrConflict)

		require.NoError(t, s.DeletePackage(ctx, p.ID))
		keys, err := s.AbandonUploads(ctx, c.now().Add(time.Hour), 100)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"a", "b", "c", "d", "late"}, keys)
		_, err = s.PackageVersionByID(ctx, v.ID)
		require.ErrorIs(t, err, ErrNotFound)
	})
}

func TestDownloadsOfOneVersionAreAllCounted(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		p := newPackage(t, s, "acme/hello")
		var ids []int64
		for i := range 3 {
			v := &PackageVersion{PackageID: p.ID, Name: fmt.Sprint(i), Normalized: fmt.Sprintf("%d.0.0.0", i)}
			require.NoError(t, s.CreatePackageVersion(ctx, v))
			ids = append(ids, v.ID)
		}
		done := make(chan error)
		for i := range 10 {
			go func() {
				order := []int64{ids[i%3], ids[(i+1)%3], ids[(i+2)%3]}
				done <- s.CountPackageDownloads(context.WithoutCancel(ctx), order)
			}()
		}
		for range 10 {
			require.NoError(t, <-done)
		}
		for _, id := range ids {
			v, err := s.PackageVersionByID(ctx, id)
			require.NoError(t, err)
			require.EqualValues(t, 10, v.Downloads)
		}
	})
}
