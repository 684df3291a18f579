package fetch

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/netguard"
	"slipway/internal/runner"
)

// download downloads into a new workspace and returns the file's text.
func (b bench) download(t testing.TB, d Download) (string, error) {
	t.Helper()
	space, err := b.spaces.Make()
	require.NoError(t, err)
	if err := b.Download(t.Context(), space, d); err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(space.Source, d.File))
	require.NoError(t, err)
	return string(data), nil
}

func TestDownload(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("/file.tar.gz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "not unpacked "+r.URL.RawQuery) })
	mux.HandleFunc("/jump", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Terraform-Get", server.URL+"/file.tar.gz")
		fmt.Fprint(w, "here")
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 3<<20)) })
	mux.HandleFunc("/closed", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	})
	mux.HandleFunc("/to/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("u"))
		w.WriteHeader(http.StatusFound)
	})
	policy := open
	policy.MaxBytes = 2 << 20
	policy.Network = netguard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	b := newBench(t, policy, runner.UserRange{})

	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("not unpacked a=b&c=d")))
	text, err := b.download(t, Download{URL: server.URL + "/file.tar.gz?a=b&c=d", File: "sub/dir/file", Checksum: "sha256:" + strings.ToUpper(sum[7:])})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, "not unpacked "))
	text, err = b.download(t, Download{URL: server.URL + "/to/?u=/file.tar.gz", File: "f"})
	require.NoError(t, err)
	require.Equal(t, "not unpacked ", text)
	text, err = b.download(t, Download{URL: server.URL + "/jump", File: "f"})
	require.NoError(t, err)
	require.Equal(t, "here", text)

	for _, test := range []struct {
		path, checksum string
		kind           Kind
		text           string
	}{
		{"/nothing", "", KindNotFound, "answered the download with status 404"},
		{"/closed", "", KindCredentials, "status 403"},
		{"/large", "", KindTooLarge, "larger than the allowed 2 MiB"},
		{"/broken", "", KindUnreachable, "broke off"},
		{"/file.tar.gz", "sha256:" + strings.Repeat("0", 64), KindChecksum, "does not have the expected checksum"},
		{"/to/?u=http://127.0.0.2/x", "", KindRefused, "connecting to 127.0.0.2 is not allowed: it is a loopback address"},
		{"/to/?u=http://169.254.169.254/x", "", KindRefused, "metadata"},
		{"/to/?u=file:///etc/passwd", "", KindRefused, "over file://"},
		{"/to/?u=/to/?u=%2Fto%2F%3Fu%3D", "", KindUnreachable, ""},
	} {
		_, err := b.download(t, Download{URL: server.URL + test.path, Checksum: test.checksum, File: "f"})
		failsWith(t, err, test.kind, test.text)
	}
}

// S13, S14: what a download must not name.
func TestS13S14Downloads(t *testing.T) {
	for _, test := range []struct {
		d    Download
		kind Kind
		text string
	}{
		{Download{URL: "http://example.com/a"}, KindURL, "not encrypted"},
		{Download{URL: "file:///etc/passwd"}, KindURL, "only https"},
		{Download{URL: "/etc/passwd"}, KindURL, "only https"},
		{Download{URL: "git::https://example.com/a"}, KindURL, "not supported"},
		{Download{URL: "s3::https://example.com/a"}, KindURL, "not supported"},
		{Download{URL: "https://example.com/a?checksum=file:/etc/passwd"}, KindURL, `"checksum"`},
		{Download{URL: "https://example.com/a?archive=zip"}, KindURL, `"archive"`},
		{Download{URL: "https://example.com/a?filename=../x"}, KindURL, `"filename"`},
		{Download{URL: "https://example.com/a//b"}, KindURL, "//"},
		{Download{URL: "https://127.0.0.1/a"}, KindRefused, "loopback"},
		{Download{URL: "https://example.com/a", Checksum: "file:https://x"}, KindChecksum, "sha256"},
		{Download{URL: "https://example.com/a", Checksum: "sha256:00"}, KindChecksum, "sha256"},
		{Download{URL: "https://example.com/a", File: "../x"}, KindURL, "below the source folder"},
		{Download{URL: "https://example.com/a", File: "/x"}, KindURL, "below the source folder"},
		{Download{URL: "https://example.com/a", File: "."}, KindURL, "below the source folder"},
	} {
		if test.d.File == "" {
			test.d.File = "f"
		}
		failsWith(t, test.d.check(Policy{}), test.kind, test.text)
	}
	require.NoError(t, Download{URL: "https://example.com/a?x=1", File: "a/b"}.check(Policy{}))
}

// S14: a repository's symbolic links do not lead a download out of the workspace.
func TestS14DownloadsDoNotFollowLinks(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "text") }))
	defer server.Close()
	outside := t.TempDir()
	kept := filepath.Join(outside, "kept")
	require.NoError(t, os.WriteFile(kept, []byte("kept"), 0o600))
	b := newBench(t, open, runner.UserRange{})
	space, err := b.spaces.Make()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(outside, filepath.Join(space.Source, "folder")))
	require.NoError(t, os.Symlink(kept, filepath.Join(space.Source, "file")))
	failsWith(t, b.Download(t.Context(), space, Download{URL: server.URL, File: "folder/new"}), KindURL, "cannot be")
	require.NoError(t, b.Download(t.Context(), space, Download{URL: server.URL, File: "file"}))
	data, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Equal(t, "kept", string(data))
	require.NoFileExists(t, filepath.Join(outside, "new"))
	data, err = os.ReadFile(filepath.Join(space.Source, "file"))
	require.NoError(t, err)
	require.Equal(t, "text", string(data))
}
