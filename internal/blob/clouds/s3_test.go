package clouds_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
)

// s3 is as much of Amazon S3 as a storage needs: objects, ranges, lists, and uploads in parts.
type s3 struct {
	mu      sync.Mutex
	objects map[string][]byte
	parts   map[string]map[string][]byte // by upload, then by number
	lastID  int
}

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	key, q := strings.TrimPrefix(r.URL.Path, "/bucket/"), r.URL.Query()
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/xml")
		_ = xml.NewEncoder(w).Encode(v)
	}
	switch upload := q.Get("uploadId"); {
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=who/"):
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.lastID++
		id := fmt.Sprint(s.lastID)
		s.parts[id] = map[string][]byte{}
		answer(struct {
			XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
			UploadID string   `xml:"UploadId"`
		}{UploadID: id})
	case r.Method == http.MethodPut && upload != "":
		s.parts[upload][fmt.Sprintf("%010s", q.Get("partNumber"))] = body
		w.Header().Set("ETag", `"part"`)
	case r.Method == http.MethodPost && upload != "":
		var numbers []string
		for n := range s.parts[upload] {
			numbers = append(numbers, n)
		}
		slices.Sort(numbers)
		var whole []byte
		for _, n := range numbers {
			whole = append(whole, s.parts[upload][n]...)
		}
		s.objects[key] = whole
		delete(s.parts, upload)
		answer(struct {
			XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
			Key     string
		}{Key: key})
	case r.Method == http.MethodDelete && upload != "":
		delete(s.parts, upload)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		s.objects[key] = body
		w.Header().Set("ETag", `"whole"`)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && q.Get("list-type") == "2":
		type object struct {
			Key          string
			Size         int
			LastModified string
		}
		result := struct {
			XMLName  xml.Name `xml:"ListBucketResult"`
			Contents []object
		}{}
		for name, content := range s.objects {
			if strings.HasPrefix(name, q.Get("prefix")) {
				result.Contents = append(result.Contents, object{name, len(content), "2026-01-02T03:04:05.000Z"})
			}
		}
		answer(result)
	default:
		content, ok := s.objects[key]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
			}
			return
		}
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(content))
	}
}

// A bucket that speaks the protocol of S3, reached by its URL: what is written, in parts where it is large, can be read from
// any place, is seen when it is complete and not before, and goes without a trace.
func TestS3ByURL(t *testing.T) {
	server := &s3{objects: map[string][]byte{}, parts: map[string]map[string][]byte{}}
	ts := httptest.NewServer(server)
	t.Cleanup(ts.Close)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": ""} {
		t.Setenv(name, value)
	}
	ctx := t.Context()
	s, err := blob.Open(ctx, "s3://bucket?region=eu-central-1&endpoint="+ts.URL+"&use_path_style=true&prefix=slipway/")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Ping(ctx))
	for _, size := range []int{0, 1000, 20 << 20} {
		content := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		o, err := s.Put(ctx, "packages/a/file.tgz", bytes.NewReader(content))
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		require.Equal(t, blob.Object{Key: "packages/a/file.tgz", Size: int64(size), SHA256: hex.EncodeToString(sum[:])}, blob.Object{Key: o.Key, Size: o.Size, SHA256: o.SHA256})
		require.Contains(t, server.objects, "slipway/packages/a/file.tgz")
		r, err := s.Open(ctx, "packages/a/file.tgz")
		require.NoError(t, err)
		have, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, have))
		if size > 100 {
			_, err = r.Seek(int64(size-10), io.SeekStart)
			require.NoError(t, err)
			have, err = io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, content[size-10:], have)
		}
		require.NoError(t, r.Close())
	}
	require.Equal(t, 1, server.lastID, "a large one goes in parts")
	// One that is given up leaves nothing, however much of it was sent.
	w, err := s.Create(ctx, "packages/a/broken.tgz")
	require.NoError(t, err)
	_, err = w.Write(bytes.Repeat([]byte("x"), 30<<20))
	require.NoError(t, err)
	server.mu.Lock()
	require.Equal(t, 1, len(server.parts), "it is on its way")
	server.mu.Unlock()
	w.Abort()
	require.Zero(t, len(server.parts), "parts of it are left")
	_, err = s.Open(ctx, "packages/a/broken.tgz")
	require.ErrorIs(t, err, blob.ErrNotFound)
	// So does one whose sender has gone.
	sending, gone := context.WithCancel(ctx)
	w, err = s.Create(sending, "packages/a/broken.tgz")
	require.NoError(t, err)
	_, err = w.Write(bytes.Repeat([]byte("x"), 30<<20))
	require.NoError(t, err)
	gone()
	_, err = w.Commit()
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, len(server.parts), "parts of it are left")
	_, err = s.Open(ctx, "packages/a/broken.tgz")
	require.ErrorIs(t, err, blob.ErrNotFound)

	n, err := s.DeletePrefix(ctx, "packages/")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, server.objects)
	require.NoError(t, s.Delete(ctx, "packages/a/file.tgz"), "it is gone already")
}
