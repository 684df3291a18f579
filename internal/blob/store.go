// Package blob keeps files: packages of releases, archives of Composer packages, logs of finished executions. Where they
// are kept is a URL: a folder (file:///var/lib/slipway/files), S3 (s3://bucket?region=eu-central-1), Google Cloud Storage
// (gs://bucket), Azure (azblob://container), or memory for tests (mem://). A query member prefix=some/folder/ puts
// everything below a prefix.
//
// The cloud providers' drivers are large, so they are linked in by importing package clouds, which the slipway command
// does.
//
// A file is visible only when it is complete: see Writer.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file://
	_ "gocloud.dev/blob/memblob"  // mem://
	"gocloud.dev/gcerrors"
)

// ErrNotFound says that there is no file with that key.
var ErrNotFound = errors.New("no such file in storage")

// Store keeps files by key. A key is a path with slashes. A Store is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	prefix string // of every key, of a storage that is a folder
	parts  bool   // uploads in parts have to be ended: see partsWriter
}

// Open connects to the storage at address. A folder is made if it is missing, now and again with each write.
func Open(ctx context.Context, address string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return nil, errors.New("the storage address must be a URL such as file:///var/lib/slipway/files or s3://bucket")
	}
	if u.Scheme == "file" {
		q := u.Query()
		q.Set("create_dir", "1")
		// Temporary files next to the final ones: a rename from another file system fails.
		q.Set("no_tmp_dir", "1")
		// No files with attributes beside ours: size and hash stand in the database.
		q.Set("metadata", "skip")
		if q.Get("dir_file_mode") == "" {
			q.Set("dir_file_mode", "448") // 0700
		}
		u.RawQuery = q.Encode()
	}
	if q := u.Query(); u.Scheme == "s3" && q.Get("response_checksum_validation") == "" {
		// Servers other than Amazon's send no checksums, and the driver would complain with each file. Whoever reads a package
		// checks it.
		q.Set("response_checksum_validation", "when_required")
		u.RawQuery = q.Encode()
	}
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("open the storage at %s: %w", u.Redacted(), err)
	}
	s := New(bucket)
	s.prefix, s.parts = u.Query().Get("prefix"), u.Scheme == "s3"
	return s, nil
}

// New makes a Store of an open bucket, which Close closes.
func New(bucket *blob.Bucket) *Store { return &Store{bucket: bucket} }

// Close ends the connections. Open readers and writers must be closed first.
func (s *Store) Close() error { return s.bucket.Close() }

// Ping asks the storage for an answer, for the readiness probe.
func (s *Store) Ping(ctx context.Context) error {
	if _, err := s.bucket.Exists(ctx, "ping"); err != nil {
		return fmt.Errorf("reach the storage: %w", err)
	}
	return nil
}

// Put writes a file from r until its end and gives its size and hash. An error of r leaves nothing behind.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (Object, error) {
	w, err := s.Create(ctx, key)
	if err != nil {
		return Object{}, err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Abort()
		return Object{}, err
	}
	return w.Commit()
}

// Open opens a file for reading. The caller closes it. Seeking is cheap until the next read, which opens a range.
func (s *Store) Open(ctx context.Context, key string) (*Reader, error) {
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, readError(key, err)
	}
	return r, nil
}

// Reader reads a file. It can seek, and knows Size in bytes and ModTime.
type Reader = blob.Reader

// Delete removes a file. One that is not there is no error: the aim is reached.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// DeletePrefix removes every file whose key begins with prefix and counts them. On a folder those include the
// unfinished files that a killed process left next to their final place.
func (s *Store) DeletePrefix(ctx context.Context, prefix string) (int, error) {
	var keys []string
	err := s.List(ctx, prefix, func(o Object) error {
		keys = append(keys, o.Key)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, key := range keys {
		if err := s.Delete(ctx, key); err != nil {
			return i, err
		}
	}
	return len(keys), nil
}

// Object describes a file.
type Object struct {
	Key string
	// Size in bytes.
	Size int64
	// SHA256 in hex; empty in what List gives.
	SHA256 string
	// ModTime is when it was written; zero in what a Writer gives.
	ModTime time.Time
}

// List calls f for every file whose key begins with prefix, in the order of the keys.
func (s *Store) List(ctx context.Context, prefix string, f func(Object) error) error {
	it := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		if o.IsDir || strings.HasSuffix(o.Key, "/") {
			continue
		}
		if err := f(Object{Key: o.Key, Size: o.Size, ModTime: o.ModTime}); err != nil {
			return err
		}
	}
}

func readError(key string, err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fmt.Errorf("read %s: %w", key, ErrNotFound)
	}
	return fmt.Errorf("read %s: %w", key, err)
}
