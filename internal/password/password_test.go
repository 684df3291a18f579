package password

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHashAndVerify(t *testing.T) {
	ctx := t.Context()
	hash, err := Hash(ctx, "correct horse battery")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$"), hash)
	require.NotContains(t, hash, "correct")
	other, err := Hash(ctx, "correct horse battery")
	require.NoError(t, err)
	require.NotEqual(t, hash, other, "each hash has its own salt")
	for text, want := range map[string]bool{"correct horse battery": true, "correct horse batterz": false, "": false, strings.Repeat("x", 5000): false} {
		ok, err := Verify(ctx, text, hash)
		require.NoError(t, err)
		require.Equal(t, want, ok, "%.20q", text)
	}
	ok, err := Verify(ctx, "anything at all", "")
	require.NoError(t, err, "the hash of nobody must be well-formed")
	require.False(t, ok)
	_, err = Verify(ctx, "anything at all", "not a hash")
	require.Error(t, err)
}

func TestCheck(t *testing.T) {
	require.ErrorContains(t, Check("elevenchars"), "at least 12")
	require.NoError(t, Check("twelve chars"))
	require.NoError(t, Check("zwölf Zeiche"), "characters count, not bytes")
	require.ErrorIs(t, Check(strings.Repeat("x", 1025)), ErrTooLong)
	require.Error(t, Check("\xff\xfe aaaaaaaaaaaa"))
	require.NoError(t, Check(Generate()))
	require.NotEqual(t, Generate(), Generate())
}

func TestWaitingForASlotEndsWithTheContext(t *testing.T) {
	for range cap(slots) {
		slots <- struct{}{}
	}
	defer func() {
		for range cap(slots) {
			<-slots
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Verify(ctx, "x", "")
	require.ErrorIs(t, err, context.Canceled)
	_, err = Hash(ctx, "correct horse battery")
	require.ErrorIs(t, err, context.Canceled)
}
