package packages

import (
	"crypto/rand"
	"strings"

	"slipway/models"
)

// keyLength is how many letters and digits a made key has: some 357 bits.
const keyLength = 60

const keyAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// NewKey makes a key of 60 letters and digits.
func NewKey() string {
	// Bytes from the largest multiple of 62 on are thrown away, or some letters would come more often.
	const even = 256 - 256%len(keyAlphabet)
	key := make([]byte, 0, keyLength)
	var random [2 * keyLength]byte
	for len(key) < keyLength {
		_, _ = rand.Read(random[:]) // never fails: the runtime ends the process instead
		for _, b := range random {
			if int(b) < even && len(key) < keyLength {
				key = append(key, keyAlphabet[int(b)%len(keyAlphabet)])
			}
		}
	}
	return string(key)
}

// Bounds of keys that callers bring along. A private key has to resist guessing at the pace that the limits on wrong keys
// leave.
const (
	maxKey        = 200
	minPrivateKey = 8
)

func checkPublicKey(f *fields, key string) {
	switch {
	case len(key) > maxKey || !printable(key):
		f.add("public_key", "must be at most 200 printable ASCII characters without spaces")
	case strings.Contains(key, ":"):
		f.add("public_key", "must not have a colon, which ends the user name of HTTP Basic")
	}
}

func checkPrivateKey(f *fields, key string) {
	switch {
	case len(key) < minPrivateKey || len(key) > maxKey || !printable(key):
		f.add("private_key", "must be 8 to 200 printable ASCII characters without spaces")
	case models.LooksLikeToken(key):
		f.add("private_key", "must not begin like an API token")
	}
}

func printable(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return true
}
