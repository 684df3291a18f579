package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"gocloud.dev/blob"
)

// Writer writes one file and hashes what goes through it. Nothing of the file is visible before Commit; exactly one of
// Commit and Abort must be called. It is not safe for concurrent use.
type Writer struct {
	key    string
	w      *blob.Writer
	cancel context.CancelFunc
	hash   hash.Hash
	size   int64
	ended  bool
}

// Create begins a file. A file of the same key is replaced at Commit. When ctx ends before Commit, nothing is kept.
func (s *Store) Create(ctx context.Context, key string) (*Writer, error) {
	// Closing the bucket's writer publishes the file, unless its context has ended: that is how to abort.
	ctx, cancel := context.WithCancel(ctx)
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream", DisableContentTypeDetection: true})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("write %s: %w", key, err)
	}
	return &Writer{key: key, w: w, cancel: cancel, hash: sha256.New()}, nil
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

// Commit makes the file visible and describes it. After an error there is no file.
func (w *Writer) Commit() (Object, error) {
	defer w.cancel()
	w.ended = true
	if err := w.w.Close(); err != nil {
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
