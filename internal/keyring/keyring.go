// Package keyring encrypts what Slipway stores: credentials, private keys, deployment state.
//
// Values are encrypted with AES-256-GCM by Google's tink. Each value gets a data key of its own, which is stored with it,
// encrypted by a key of the keyring (envelope encryption). A keyring holds several keys: the primary one encrypts, all
// decrypt, so a key is replaced by adding a new one and later removing the old. Associated data binds a value to the
// place it belongs to: copied to another row or column it cannot be decrypted.
package keyring

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrDecrypt is wrapped by the error of a value that cannot be decrypted.
var ErrDecrypt = errors.New("the stored value cannot be decrypted")

// Keyring encrypts and decrypts. It is safe for concurrent use.
type Keyring struct {
	path    string // empty when the keys came as text
	current atomic.Pointer[state]
}

type state struct {
	handle *keyset.Handle
	cipher tink.AEAD
}

// Open reads the keyring of a file. When there is no file, it makes a key and the file, readable for its owner only.
// Several processes may do that at the same time: one of them wins. A file that others may read is refused.
func Open(path string) (*Keyring, error) {
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("make the encryption keys: %w", err)
		}
		data, err = read(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the encryption keys: %w", err)
	}
	k := &Keyring{path: path}
	return k, k.load(data)
}

// Parse reads a keyring from text, as Open's file holds it or that in base64; it is meant for an environment variable.
func Parse(text string) (*Keyring, error) {
	text = strings.TrimSpace(text)
	data := []byte(text)
	if !strings.HasPrefix(text, "{") {
		var err error
		if data, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, errors.New("read the encryption keys: they are neither JSON nor base64")
		}
	}
	k := &Keyring{}
	return k, k.load(data)
}

// read reads the file, provided that it is closed to others.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o); it must have mode 0600", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}

// create makes a keyring file with one key, unless another process made it meanwhile.
func create(path string) error {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	part, err := writePart(path, handle)
	if err != nil {
		return err
	}
	defer os.Remove(part)
	// A link fails where the file exists; a rename would replace the keys of the one who was faster.
	if err := os.Link(part, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(path)
}

// writePart writes keys to a new file beside path. It is on disk when this returns: keys that encrypted something and
// are then lost in a power failure take everything with them.
func writePart(path string, handle *keyset.Handle) (string, error) {
	data, err := serialize(handle)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		os.Remove(file.Name())
	}
	return file.Name(), err
}

func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func serialize(handle *keyset.Handle) ([]byte, error) {
	var buffer bytes.Buffer
	err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&buffer))
	return buffer.Bytes(), err
}

// load makes data the current keys. Its errors say nothing of the data.
func (k *Keyring) load(data []byte) error {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		return errors.New("read the encryption keys: they are not a tink keyset in JSON form")
	}
	return k.use(handle)
}

func (k *Keyring) use(handle *keyset.Handle) error {
	keys, err := aead.New(handle)
	if err != nil {
		return errors.New("read the encryption keys: they are not keys of authenticated encryption (AEAD)")
	}
	k.current.Store(&state{handle: handle, cipher: aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), keys)})
	return nil
}

// Encrypt encrypts a value. The associated data names the place the value belongs to, such as
// "builds/private_key/0190...", and must be given again to decrypt it; see Place.
func (k *Keyring) Encrypt(plain []byte, associated string) ([]byte, error) {
	sealed, err := k.current.Load().cipher.Encrypt(plain, []byte(associated))
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return sealed, nil
}

// Decrypt decrypts a value. The error wraps ErrDecrypt when the keyring has not the right key, the value was changed, or
// it belongs to another place; which of them it was cannot be told.
func (k *Keyring) Decrypt(sealed []byte, associated string) ([]byte, error) {
	now := k.current.Load()
	plain, err := now.cipher.Decrypt(sealed, []byte(associated))
	if err != nil && k.reload(now) {
		plain, err = k.current.Load().cipher.Decrypt(sealed, []byte(associated))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it was encrypted with a key that is not in the keyring, or it was changed or moved", ErrDecrypt)
	}
	if plain == nil {
		plain = []byte{}
	}
	return plain, nil
}

// reload reads the file again, since another process may have added the key that encrypted a value. It reports whether
// there are other keys now.
func (k *Keyring) reload(old *state) bool {
	if k.path == "" {
		return false
	}
	data, err := read(k.path)
	if err != nil {
		return false
	}
	before, err := serialize(old.handle)
	if err != nil || bytes.Equal(before, data) {
		return false
	}
	return k.load(data) == nil
}

// Place is the associated data of a value in a column of a row.
func Place(table, column, id string) string { return table + "/" + column + "/" + id }

// Rotate adds a new key to the file and makes it the one that encrypts. What was encrypted before stays readable. Other
// processes learn of the key when they meet a value encrypted with it.
func (k *Keyring) Rotate() error {
	return k.change(func(m *keyset.Manager) error {
		id, err := m.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			return err
		}
		return m.SetPrimary(id)
	})
}

// Prune removes all keys but the primary one from the file. What is still encrypted with them is lost: everything must
// have been encrypted again before.
func (k *Keyring) Prune() error {
	return k.change(func(m *keyset.Manager) error {
		handle, err := m.Handle()
		if err != nil {
			return err
		}
		primary := handle.KeysetInfo().GetPrimaryKeyId()
		for _, key := range handle.KeysetInfo().GetKeyInfo() {
			if key.GetKeyId() != primary {
				if err := m.Delete(key.GetKeyId()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Keys is the number of keys, for the operator.
func (k *Keyring) Keys() int { return k.current.Load().handle.Len() }

// change changes the file's keys as one step, also among several processes.
func (k *Keyring) change(apply func(*keyset.Manager) error) error {
	if k.path == "" {
		return errors.New("the encryption keys were given as text, so they must be changed where that text is kept")
	}
	lock, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	data, err := read(k.path)
	if err != nil {
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	if err := k.load(data); err != nil {
		return err
	}
	manager := keyset.NewManagerFromHandle(k.current.Load().handle)
	if err := apply(manager); err != nil {
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	part, err := writePart(k.path, handle)
	if err != nil {
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	if err := os.Rename(part, k.path); err != nil {
		os.Remove(part)
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	if err := syncFolder(k.path); err != nil {
		return fmt.Errorf("change the encryption keys: %w", err)
	}
	return k.use(handle)
}

// Export is the keyring as text for Parse. Whoever has it can read everything.
func (k *Keyring) Export() (string, error) {
	data, err := serialize(k.current.Load().handle)
	return base64.StdEncoding.EncodeToString(data), err
}
