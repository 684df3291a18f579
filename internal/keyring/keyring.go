// Package keyring encrypts what Slipway stores: credentials, private keys, deployment state.
//
// Values are encrypted with AES-256-GCM by Google's tink. Each value gets a data key of its own, which is stored with it,
// encrypted by a key of the keyring (envelope encryption). A keyring holds several keys: the primary one encrypts, all
// decrypt, so a key is replaced by adding a new one and later removing the old. Associated data binds a value to the
// place it belongs to: copied to another row or column it cannot be decrypted.
package keyring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrDecrypt is wrapped by the error of a value that cannot be decrypted.
var ErrDecrypt = errors.New("the stored value cannot be decrypted")

// Keyring encrypts and decrypts. It is safe for concurrent use.
type Keyring struct {
	path    string
	current atomic.Pointer[state]
	// looked is when the file was last compared with what was read of it, in nanoseconds since 1970; file is what it was.
	looked atomic.Int64
	file   atomic.Pointer[fs.FileInfo]
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
	k.refresh()
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

// lookEvery is how long a process may go on encrypting with the old key after another one was made primary.
const lookEvery = time.Second

// refresh reads the file again where it is another one than before. It is asked before something is encrypted: whoever only
// encrypts would never meet a value that tells of the new key.
func (k *Keyring) refresh() {
	now, last := time.Now().UnixNano(), k.looked.Load()
	if now-last < int64(lookEvery) || !k.looked.CompareAndSwap(last, now) {
		return
	}
	info, err := os.Stat(k.path)
	if err != nil {
		return // what is known still holds
	}
	if was := k.file.Swap(&info); was == nil || !os.SameFile(*was, info) || !(*was).ModTime().Equal(info.ModTime()) {
		k.reload(k.current.Load())
	}
}

// KeyOf names the key of the keyring that a value was encrypted with; false is for what this package did not encrypt.
func KeyOf(sealed []byte) (uint32, bool) {
	// The data key comes first, behind its length in four bytes; it is encrypted in tink's format: a byte that is 1, the id
	// of the key in four bytes, the ciphertext.
	if len(sealed) < 9 || sealed[4] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[5:9]), true
}

// Primary is the key that encrypts.
func (k *Keyring) Primary() uint32 { return k.current.Load().handle.KeysetInfo().GetPrimaryKeyId() }

// IDs are the keys in the order in which they were added.
func (k *Keyring) IDs() []uint32 {
	var ids []uint32
	for _, key := range k.current.Load().handle.KeysetInfo().GetKeyInfo() {
		ids = append(ids, key.GetKeyId())
	}
	return ids
}

// Add adds a new key to the file, which encrypts nothing yet: where every machine has a copy of the file, all must have
// the key before anything is encrypted with it. It gives the key.
func (k *Keyring) Add() (uint32, error) {
	var id uint32
	err := k.change(func(m *keyset.Manager) (err error) {
		id, err = m.Add(aead.AES256GCMKeyTemplate())
		return err
	})
	return id, err
}

// Rotate makes the newest key of the file the one that encrypts; where it is that already, a new one is added before. What
// was encrypted before stays readable. Other processes learn of the key within a second, and at once when they meet a
// value encrypted with it.
func (k *Keyring) Rotate() error {
	return k.change(func(m *keyset.Manager) error {
		handle, err := m.Handle()
		if err != nil {
			return err
		}
		info := handle.KeysetInfo()
		newest := info.GetKeyInfo()[len(info.GetKeyInfo())-1].GetKeyId()
		if newest == info.GetPrimaryKeyId() {
			if newest, err = m.Add(aead.AES256GCMKeyTemplate()); err != nil {
				return err
			}
		}
		return m.SetPrimary(newest)
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

// change changes the file's keys as one step, also among several processes.
func (k *Keyring) change(apply func(*keyset.Manager) error) error {
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
