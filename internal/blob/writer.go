package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"gocloud.dev/blob"
)

// Writer writes one file and hashes what goes through it. Nothing of the file is visible before Commit; exactly one of
// Commit and Abort must be called. It is not safe for concurrent use.
type Writer struct {
	key    string
	bucket *blob.Bucket
	w      io.WriteCloser
	file   *os.File // what the driver of a folder writes to; nil elsewhere
	depth  int      // folders that the file is in, the storage's own included
	cancel context.CancelFunc
	hash   hash.Hash
	size   int64
	ended  bool
}

// What one file on its way to a cloud may hold in memory: the drivers' defaults are up to 40 MiB, and packages are uploaded
// several at a time. Parts of S3 have 5 MiB at least, and there are at most 10,000 of them.
const (
	partSize    = 5 << 20
	partsAtOnce = 2
)

// Create begins a file. A file of the same key is replaced at Commit. When ctx ends before Commit, nothing is kept.
func (s *Store) Create(ctx context.Context, key string) (*Writer, error) {
	// Closing the bucket's writer publishes the file, unless its context has ended: that is how to abort.
	ctx, cancel := context.WithCancel(ctx)
	out := &Writer{key: key, bucket: s.bucket, depth: strings.Count(s.prefix+key, "/") + 1, cancel: cancel, hash: sha256.New()}
	options := &blob.WriterOptions{ContentType: "application/octet-stream", DisableContentTypeDetection: true, BufferSize: partSize, MaxConcurrency: partsAtOnce,
		BeforeWrite: func(as func(any) bool) error {
			_ = as(&out.file) // only a folder has one
			return nil
		}}
	if s.parts {
		out.w = newPartsWriter(ctx, s.bucket, key, options)
		return out, nil
	}
	w, err := s.bucket.NewWriter(ctx, key, options)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("write %s: %w", key, err)
	}
	out.w = w
	return out, nil
}

// Write adds to the file.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write %s: %w", w.key, err)
	}
	return n, nil
}

// Size is the number of bytes written so far.
func (w *Writer) Size() int64 { return w.size }

// Commit makes the file visible and describes it. After an error there is no file. In a folder, what is written is on
// the disk before the file gets its name, and the name is when Commit returns.
func (w *Writer) Commit() (Object, error) {
	if err := w.syncFile(); err != nil {
		w.Abort()
		return Object{}, fmt.Errorf("write %s: %w", w.key, err)
	}
	defer w.cancel()
	w.ended = true
	path := w.temporary()
	if err := w.w.Close(); err != nil {
		return Object{}, fmt.Errorf("write %s: %w", w.key, err)
	}
	if err := syncFolders(path, w.depth); err != nil {
		_ = w.bucket.Delete(context.Background(), w.key)
		return Object{}, fmt.Errorf("write %s: %w", w.key, err)
	}
	return Object{Key: w.key, Size: w.size, SHA256: hex.EncodeToString(w.hash.Sum(nil))}, nil
}

// Abort throws away what was written. After Commit it does nothing, so that it can be deferred.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	w.cancel()
	_ = w.w.Close() // reports that its context has ended, which is what was asked for
}
