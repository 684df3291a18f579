package keyring

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t testing.TB, path string) *Keyring {
	t.Helper()
	k, err := Open(path)
	require.NoError(t, err)
	return k
}

func sealed(t testing.TB, k *Keyring, plain, place string) []byte {
	t.Helper()
	out, err := k.Encrypt([]byte(plain), place)
	require.NoError(t, err)
	require.NotContains(t, string(out), plain)
	return out
}

func requirePlain(t testing.TB, k *Keyring, value []byte, place, want string) {
	t.Helper()
	plain, err := k.Decrypt(value, place)
	require.NoError(t, err)
	require.Equal(t, want, string(plain))
}

// S11: a value can be read back only as it was, where it was, with the right key.
func TestS11EncryptionFailsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "keys.json")
	k := open(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	place := "builds/private_key/1"
	value := sealed(t, k, "a very secret key", place)
	requirePlain(t, k, value, place, "a very secret key")
	requirePlain(t, open(t, path), value, place, "a very secret key")
	require.NotEqual(t, value, sealed(t, k, "a very secret key", place), "the same value never looks the same")
	empty, err := k.Encrypt(nil, place)
	require.NoError(t, err)
	requirePlain(t, k, empty, place, "")

	for _, other := range []string{"builds/private_key/2", "builds/password/1", "tokens/private_key/1", ""} {
		_, err := k.Decrypt(value, other)
		require.ErrorIs(t, err, ErrDecrypt)
	}
	for i := range value {
		changed := bytes.Clone(value)
		changed[i] ^= 1
		_, err := k.Decrypt(changed, place)
		require.ErrorIs(t, err, ErrDecrypt, "byte %d", i)
		_, err = k.Decrypt(value[:i], place)
		require.ErrorIs(t, err, ErrDecrypt, "cut at %d", i)
	}
	_, err = open(t, filepath.Join(t.TempDir(), "other")).Decrypt(value, place)
	require.ErrorIs(t, err, ErrDecrypt)
	require.EqualError(t, err, "the stored value cannot be decrypted: it was encrypted with a key that is not in the keyring, or it was changed or moved")
	require.NotContains(t, err.Error(), "secret")
}

// S11: keys are replaced while everything runs; another process follows without a restart.
func TestS11Rotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	k, other := open(t, path), open(t, path)
	old := sealed(t, k, "old value", "p")
	require.NoError(t, k.Rotate())
	require.Len(t, k.IDs(), 2)
	fresh := sealed(t, k, "new value", "p")
	for _, ring := range []*Keyring{k, other, open(t, path)} {
		requirePlain(t, ring, old, "p", "old value")
		requirePlain(t, ring, fresh, "p", "new value")
	}
	require.Len(t, other.IDs(), 2)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, k.Prune())
	require.Len(t, k.IDs(), 1)
	requirePlain(t, k, fresh, "p", "new value")
	key, ok := KeyOf(fresh)
	require.True(t, ok)
	require.Equal(t, k.Primary(), key)
	_, err = k.Decrypt(old, "p")
	require.ErrorIs(t, err, ErrDecrypt)
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{path, path + ".lock"}, left)
}

// S11: where machines have copies of the file, a key is known everywhere before it encrypts anything; a process that only
// encrypts takes it up as well.
func TestS11AddThenRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	k, other := open(t, path), open(t, path)
	first := k.Primary()
	added, err := k.Add()
	require.NoError(t, err)
	require.Equal(t, first, k.Primary())
	require.NoError(t, k.Rotate())
	require.Equal(t, added, k.Primary(), "the key that was added, not another one")
	require.Equal(t, []uint32{first, added}, k.IDs())
	require.Eventually(t, func() bool {
		key, ok := KeyOf(sealed(t, other, "value", "p"))
		return ok && key == added
	}, 10*time.Second, 10*time.Millisecond)
	_, ok := KeyOf([]byte("not encrypted at all"))
	require.False(t, ok)
}

// Processes that start at the same time, or rotate at the same time, end up with the same keys and lose none.
func TestS11AtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	rings := make([]*Keyring, 8)
	var group sync.WaitGroup
	for i := range rings {
		group.Go(func() {
			k, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			rings[i] = k
		})
	}
	group.Wait()
	value := sealed(t, rings[0], "value", "p")
	for _, k := range rings {
		requirePlain(t, k, value, "p", "value")
		group.Go(func() {
			if err := k.Rotate(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, open(t, path).IDs(), len(rings)+1)
	for i, k := range rings {
		value := sealed(t, k, fmt.Sprint("value", i), "p")
		for _, reader := range rings {
			requirePlain(t, reader, value, "p", fmt.Sprint("value", i))
		}
	}
}

func TestS11BadKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	open(t, path)
	good, err := os.ReadFile(path)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(path, 0o644))
	_, err = Open(path)
	require.ErrorContains(t, err, "can be read by others (mode 0644); it must have mode 0600")
	require.NoError(t, os.Chmod(path, 0o600))
	for _, bad := range []string{"", "{}", "nonsense", string(good[:len(good)/2]), strings.Replace(string(good), "AesGcmKey", "HmacKey", 1)} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		_, err = Open(path)
		require.ErrorContains(t, err, "read the encryption keys: they are not")
		left, readErr := os.ReadFile(path)
		require.NoError(t, readErr)
		require.Equal(t, bad, string(left), "a damaged file is never replaced")
	}
	_, err = Open(filepath.Join(path, "below-a-file"))
	require.Error(t, err)
}

func FuzzDecrypt(f *testing.F) {
	k, err := Open(filepath.Join(f.TempDir(), "keys.json"))
	require.NoError(f, err)
	value, err := k.Encrypt([]byte("value"), "p")
	require.NoError(f, err)
	f.Add(value[:len(value)-1])
	f.Add([]byte("\x00\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if plain, err := k.Decrypt(data, "p"); err == nil && !bytes.Equal(data, value) {
			t.Fatalf("decrypted %q", plain)
		}
	})
}

func BenchmarkDecrypt(b *testing.B) {
	k := open(b, filepath.Join(b.TempDir(), "keys.json"))
	value := sealed(b, k, "a value of usual length", "p")
	for b.Loop() {
		if _, err := k.Decrypt(value, "p"); err != nil {
			b.Fatal(err)
		}
	}
}
