package blob

import (
	"context"
	"io"
	"time"

	"gocloud.dev/blob"
)

// partsWriter writes a file to S3. A large one goes there in parts, which stay for ever, in no list and at a cost, unless
// whoever has begun the upload ends it. When the context of the driver's own writer ends, so does that of the call that would
// do so; therefore the driver reads from a pipe here, and an upload that is given up is one whose reader fails.
type partsWriter struct {
	ctx  context.Context // of the caller
	pipe *io.PipeWriter
	done chan error
}

// abortTimeout is how long ending an upload may take.
const abortTimeout = 30 * time.Second

func newPartsWriter(ctx context.Context, bucket *blob.Bucket, key string, o *blob.WriterOptions) *partsWriter {
	r, w := io.Pipe()
	p := &partsWriter{ctx: ctx, pipe: w, done: make(chan error, 1)}
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = w.CloseWithError(context.Cause(ctx))
		time.AfterFunc(abortTimeout, cancel)
	})
	go func() {
		defer cancel()
		err := bucket.Upload(calls, key, r, o)
		stop()
		_ = r.CloseWithError(err) // nil, after all was read, reads as a closed pipe
		p.done <- err
	}()
	return p
}

// Write implements io.Writer.
func (p *partsWriter) Write(b []byte) (int, error) { return p.pipe.Write(b) }

// Close ends the upload: well, unless its context has ended before.
func (p *partsWriter) Close() error {
	_ = p.pipe.CloseWithError(context.Cause(p.ctx)) // nil is the end of the file; an error that was set before stays
	return <-p.done
}
