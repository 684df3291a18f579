package composer

import (
	"crypto/sha1" //nolint:gosec // the protocol's "shasum" is SHA-1; SHA-256 is kept beside it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Digest identifies the bytes of an archive.
type Digest struct {
	// Size is in bytes.
	Size int64
	// SHA1 and SHA256 are in hexadecimal. Composer verifies the first.
	SHA1, SHA256 string
}

// ErrTooLarge is the kind of error for an archive, or what is in it, beyond a limit.
var ErrTooLarge = errors.New("archive is too large")

// CopyDigest copies src to dst and computes the digest on the way, holding no more than a buffer of it. It fails with
// ErrTooLarge when src has more than limit bytes; at most limit bytes are written then. Other errors are those of src
// and dst.
func CopyDigest(dst io.Writer, src io.Reader, limit int64) (Digest, error) {
	weak, strong := sha1.New(), sha256.New() //nolint:gosec // see the import
	n, err := io.Copy(io.MultiWriter(dst, weak, strong), io.LimitReader(src, limit))
	if err != nil {
		return Digest{}, fmt.Errorf("copy archive: %w", err)
	}
	if n == limit {
		// One more byte decides between exactly at the limit and beyond it.
		if _, err := io.ReadFull(src, make([]byte, 1)); err == nil {
			return Digest{}, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
		} else if !errors.Is(err, io.EOF) {
			return Digest{}, fmt.Errorf("copy archive: %w", err)
		}
	}
	return Digest{Size: n, SHA1: hex.EncodeToString(weak.Sum(nil)), SHA256: hex.EncodeToString(strong.Sum(nil))}, nil
}
