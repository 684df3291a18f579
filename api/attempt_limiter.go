package api

import "time"

// AttemptLimiter is the limit on wrong passwords for other secrets that can be guessed, such as the keys of consumers.
type AttemptLimiter struct{ limiter *loginLimiter }

// NewAttemptLimiter makes a limiter; now nil is the real clock.
func NewAttemptLimiter(l LoginLimits, now func() time.Time) *AttemptLimiter {
	if now == nil {
		now = time.Now
	}
	return &AttemptLimiter{newLoginLimiter(l, now)}
}

// Take counts an attempt on an account from an address. It returns how long to wait if there were too many, and else a
// function that takes the attempt back because the secret was right.
func (a *AttemptLimiter) Take(account, address string) (giveBack func(), wait time.Duration) {
	return a.limiter.take(account, address)
}
