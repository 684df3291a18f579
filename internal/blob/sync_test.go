package blob

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// R18: what was acknowledged survives a power failure. The content is on the disk before the file has its name, and then
// the name is, with those of the folders above it.
func TestR18FilesAreOnTheDiskBeforeTheyAreVisible(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "files")
	s, err := Open(t.Context(), "file://"+dir+"?prefix=part/")
	require.NoError(t, err)
	defer s.Close()
	final := filepath.Join(dir, "part", "packages", "ns", "app.tgz")
	var synced []string
	fail := ""
	fsync = func(f *os.File) error {
		_, err := os.Stat(final)
		rel, relErr := filepath.Rel(dir, f.Name())
		require.NoError(t, relErr)
		if strings.HasSuffix(rel, ".tmp") {
			rel = "file"
			require.ErrorIs(t, err, os.ErrNotExist)
			info, err := f.Stat()
			require.NoError(t, err)
			require.EqualValues(t, 7, info.Size())
		} else {
			require.NoError(t, err)
		}
		synced = append(synced, rel)
		if rel == fail {
			return errors.New("no space left on device")
		}
		return f.Sync()
	}
	defer func() { fsync = (*os.File).Sync }()

	fail = "file"
	_, err = s.Put(t.Context(), "packages/ns/app.tgz", strings.NewReader("content"))
	require.ErrorContains(t, err, "no space left on device")
	entries, err := os.ReadDir(filepath.Dir(final))
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left of a file that cannot be forced to the disk")

	fail, synced = "", nil
	_, err = s.Put(t.Context(), "packages/ns/app.tgz", strings.NewReader("content"))
	require.NoError(t, err)
	require.Equal(t, []string{"file", "part/packages/ns", "part/packages", "part", "."}, synced)

	require.NoError(t, s.Delete(t.Context(), "packages/ns/app.tgz"))
	fail = "part/packages"
	_, err = s.Put(t.Context(), "packages/ns/app.tgz", strings.NewReader("content"))
	require.ErrorContains(t, err, "write packages/ns/app.tgz: no space left on device")
	require.NoFileExists(t, final)
}
