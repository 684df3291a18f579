package blob_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
)

// stores opens one store of each kind that needs no network.
func stores(t *testing.T) map[string]*blob.Store {
	t.Helper()
	out := map[string]*blob.Store{}
	for name, address := range map[string]string{"folder": "file://" + filepath.Join(t.TempDir(), "made", "here"), "memory": "mem://"} {
		s, err := blob.Open(t.Context(), address)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		out[name] = s
	}
	return out
}

func keys(t *testing.T, s *blob.Store, prefix string) []string {
	t.Helper()
	var out []string
	require.NoError(t, s.List(t.Context(), prefix, func(o blob.Object) error {
		out = append(out, o.Key)
		return nil
	}))
	return out
}

func TestPutOpenListDelete(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			require.NoError(t, s.Ping(ctx))
			o, err := s.Put(ctx, "packages/ns/app.tgz", strings.NewReader("0123456789"))
			require.NoError(t, err)
			sum := sha256.Sum256([]byte("0123456789"))
			require.Equal(t, blob.Object{Key: "packages/ns/app.tgz", Size: 10, SHA256: hex.EncodeToString(sum[:])}, o)

			r, err := s.Open(ctx, o.Key)
			require.NoError(t, err)
			require.EqualValues(t, 10, r.Size())
			_, err = r.Seek(4, io.SeekStart)
			require.NoError(t, err)
			b, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, "456789", string(b))
			require.NoError(t, r.Close())

			_, err = s.Put(ctx, "packages/ns/other.tgz", strings.NewReader(""))
			require.NoError(t, err)
			require.Equal(t, []string{"packages/ns/app.tgz", "packages/ns/other.tgz"}, keys(t, s, "packages/"))
			require.NoError(t, s.Delete(ctx, o.Key))
			require.NoError(t, s.Delete(ctx, o.Key), "deleting what is gone is no error")
			_, err = s.Open(ctx, o.Key)
			require.ErrorIs(t, err, blob.ErrNotFound)
			n, err := s.DeletePrefix(ctx, "packages/")
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Empty(t, keys(t, s, ""))
		})
	}
}

func TestNothingIsVisibleBeforeCommit(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			w, err := s.Create(ctx, "a/b")
			require.NoError(t, err)
			_, err = w.Write([]byte("half"))
			require.NoError(t, err)
			_, err = s.Open(ctx, "a/b")
			require.ErrorIs(t, err, blob.ErrNotFound)
			w.Abort()
			w.Abort()
			require.Empty(t, keys(t, s, ""))

			broken := errors.New("the connection broke")
			_, err = s.Put(ctx, "a/b", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
			require.ErrorIs(t, err, broken)
			require.Empty(t, keys(t, s, ""))

			// A context that ends before the commit must not publish either.
			ended, cancel := context.WithCancel(ctx)
			w, err = s.Create(ended, "a/b")
			require.NoError(t, err)
			_, err = w.Write([]byte("half"))
			require.NoError(t, err)
			cancel()
			_, err = w.Commit()
			require.ErrorIs(t, err, context.Canceled)
			require.Empty(t, keys(t, s, ""))
		})
	}
}

func TestFolderIsMadeAgainAfterItWasDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "files")
	s, err := blob.Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, os.RemoveAll(dir))
	require.Empty(t, keys(t, s, ""))
	_, err = s.Put(t.Context(), "x/y", strings.NewReader("z"))
	require.NoError(t, err)
	require.Equal(t, []string{"x/y"}, keys(t, s, ""))
}

func TestPrefix(t *testing.T) {
	dir := t.TempDir()
	all, err := blob.Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	defer all.Close()
	part, err := blob.Open(t.Context(), "file://"+dir+"?prefix=part/")
	require.NoError(t, err)
	defer part.Close()
	_, err = part.Put(t.Context(), "x", strings.NewReader("1"))
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, keys(t, part, ""))
	require.Equal(t, []string{"part/x"}, keys(t, all, ""))
}

func TestKeysCannotLeaveTheFolder(t *testing.T) {
	parent := t.TempDir()
	s, err := blob.Open(t.Context(), "file://"+filepath.Join(parent, "files"))
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Put(t.Context(), "../../escaped", strings.NewReader("z"))
	if err == nil {
		require.Len(t, keys(t, s, ""), 1, "the key is escaped and stays inside")
	}
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestAddressesThatAreNoStorage(t *testing.T) {
	for _, address := range []string{"", "/var/lib", "nothing://x"} {
		_, err := blob.Open(t.Context(), address)
		require.Error(t, err, address)
	}
}
