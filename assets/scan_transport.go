package assets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"slipway/internal/periodic"
)

// ScanLimits bound what a registry may make a scan do. Zero members have the defaults.
type ScanLimits struct {
	// Repositories and Tags (of one repository) are how many are read; Pages how many pages of a list, so that one that
	// never ends does.
	Repositories, Tags, Pages int
	// Response is the size of one answer in bytes, Total that of all answers of a scan.
	Response, Total int64
	// Kept is how much is kept of the images of one repository until it is read, in bytes.
	Kept int64
	// Request is the time for one request with its answer.
	Request time.Duration
	// Repository is the time for one repository, and for the list of them.
	Repository time.Duration
	// Failures is how many repositories in a row may fail before the registry is given up, and how many tags before the
	// repository is.
	Failures int
}

func (l ScanLimits) withDefaults() ScanLimits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Repositories, 100_000)
	set(&l.Tags, 10_000)
	set(&l.Pages, 2_000)
	set(&l.Failures, 10)
	if l.Response == 0 {
		l.Response = 8 << 20
	}
	if l.Total == 0 {
		l.Total = 16 << 30
	}
	if l.Kept == 0 {
		l.Kept = 256 << 20
	}
	if l.Request == 0 {
		l.Request = time.Minute
	}
	if l.Repository == 0 {
		l.Repository = time.Hour
	}
	return l
}

// errLimit says that an answer was over a limit.
var errLimit = errors.New("over the limit")

// boundedTransport holds every answer of a registry to the limits, those of token services and redirects included.
type boundedTransport struct {
	next   http.RoundTripper
	limits ScanLimits
	// secure refuses what is not HTTPS, whoever asks for it: the library tries both at private addresses, and a registry can
	// redirect to the other.
	secure bool
	total  atomic.Int64
}

// waits is how often a request is sent again because the registry said when.
const waits = 3

// RoundTrip implements http.RoundTripper. A registry that limits how much it is asked is asked again when it says, if that
// is soon.
func (t *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.secure && r.URL.Scheme != "https" {
		return nil, errors.New("the registry's URL says https: nothing is asked without")
	}
	for n := 0; ; n++ {
		res, err := t.once(r)
		if err != nil || res.StatusCode != http.StatusTooManyRequests || n == waits || r.Body != nil && r.Body != http.NoBody {
			return res, err
		}
		wait, ok := retryAfter(res.Header.Get("Retry-After"), time.Now())
		if !ok || wait > t.limits.Request {
			return res, nil
		}
		_ = res.Body.Close()
		if periodic.Pause(r.Context(), wait) != nil {
			return nil, r.Context().Err()
		}
	}
}

// retryAfter reads a header of that name: seconds, or a time.
func retryAfter(text string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(n, 0), 1<<30)) * time.Second, true
	}
	at, err := http.ParseTime(text)
	return max(at.Sub(now), 0), err == nil
}

// once sends a request.
func (t *boundedTransport) once(r *http.Request) (*http.Response, error) {
	// The time is for the body too: a registry that sends a byte a minute is as slow as one that sends none.
	ctx, cancel := context.WithTimeout(r.Context(), t.limits.Request)
	res, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	if res.ContentLength > t.limits.Response {
		cancel()
		_ = res.Body.Close()
		return nil, fmt.Errorf("an answer of %d bytes: %w of %d bytes", res.ContentLength, errLimit, t.limits.Response)
	}
	res.Body = &boundedBody{body: res.Body, left: t.limits.Response, transport: t, cancel: cancel}
	return res, nil
}

type boundedBody struct {
	body      io.ReadCloser
	left      int64
	transport *boundedTransport
	cancel    context.CancelFunc
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, fmt.Errorf("an answer: %w of %d bytes", errLimit, b.transport.limits.Response)
	}
	if b.transport.total.Add(int64(n)) > b.transport.limits.Total {
		return n, fmt.Errorf("all answers together: %w of %d bytes", errLimit, b.transport.limits.Total)
	}
	return n, err
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.body.Close()
}
