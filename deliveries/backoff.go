package deliveries

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// The times between attempts: 10 s, 30 s, 90 s and so on, an hour at most. Ten attempts take about four hours.
const (
	firstBackoff = 10 * time.Second
	maxBackoff   = time.Hour
)

// Backoff is the time to wait after an attempt, numbered from 1, that failed: three times as long each time, and up to a
// tenth more, so that a receiver that comes back is not asked by everybody at once.
func Backoff(attempt int) time.Duration {
	wait := firstBackoff
	for range attempt - 1 {
		if wait *= 3; wait >= maxBackoff {
			wait = maxBackoff
			break
		}
	}
	return wait + rand.N(wait/10)
}

// retryAfter reads the header Retry-After: seconds or a date, an hour at most. 0 where there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxBackoff))
}
