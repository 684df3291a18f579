// Package password hashes, checks and makes passwords.
package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
)

// MinLength is how many characters a password has at least. Length is the only rule: rules about kinds of characters make
// passwords that are harder to remember and no harder to guess.
const MinLength = 12

// maxBytes bounds what is hashed. Longer is no safer, and hashing megabytes is work for an attacker to order.
const maxBytes = 1024

// params follow OWASP's recommendation for argon2id: 19 MiB, two passes, one lane, about 20 ms.
var params = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// slots bounds how many hashes are computed at once: each takes its memory, and a flood of wrong passwords must not take
// the server's.
var slots = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))

// ErrTooLong says that a password is over the limit.
var ErrTooLong = fmt.Errorf("the password is longer than %d bytes", maxBytes)

// Check returns an error for people where text is not allowed as a new password.
func Check(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("the password is not valid UTF-8 text")
	case utf8.RuneCountInString(text) < MinLength:
		return fmt.Errorf("the password is too short: at least %d characters", MinLength)
	case len(text) > maxBytes:
		return ErrTooLong
	}
	return nil
}

// Hash gives what is stored of a password: argon2id in its usual text form, with its own salt.
func Hash(ctx context.Context, text string) (string, error) {
	if err := Check(text); err != nil {
		return "", err
	}
	if err := acquire(ctx); err != nil {
		return "", err
	}
	defer release()
	return argon2id.CreateHash(text, params)
}

// unknown is compared with when there is no such account, so that the answer takes as long as for a wrong password.
const unknown = "$argon2id$v=19$m=19456,t=2,p=1$c2xpcHdheS1uby11c2VyIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// Verify says whether a password belongs to a hash, in constant time. An empty hash, of an account without a password,
// takes the same time and is never right.
func Verify(ctx context.Context, text, hash string) (bool, error) {
	if len(text) > maxBytes {
		return false, nil
	}
	if err := acquire(ctx); err != nil {
		return false, err
	}
	defer release()
	if hash == "" {
		_, err := argon2id.ComparePasswordAndHash(text, unknown)
		return false, err
	}
	return argon2id.ComparePasswordAndHash(text, hash)
}

// Generate makes a password of 26 characters that are easy to read out.
func Generate() string { return rand.Text() }

func acquire(ctx context.Context) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func release() { <-slots }
