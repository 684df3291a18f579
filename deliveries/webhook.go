package deliveries

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"slipway/internal/netguard"
	"slipway/models"
)

// Headers of webhooks.
const (
	// HeaderSignature proves that a webhook comes from who knows the secret: t=TIMESTAMP,v1=SIGNATURE. TIMESTAMP is in
	// seconds since 1970; SIGNATURE the HMAC-SHA256 of the timestamp, a dot and the body, in hexadecimal digits. It is left
	// out where there is no secret.
	HeaderSignature = "X-Slipway-Signature"
	// HeaderEvent is what happened, HeaderDelivery the delivery's id, the same in every attempt, HeaderAttempt its number.
	HeaderEvent    = "X-Slipway-Event"
	HeaderDelivery = "X-Slipway-Delivery"
	HeaderAttempt  = "X-Slipway-Attempt"
)

// Sign gives the value of HeaderSignature.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// signatureAge is how far the clocks of sender and receiver may be apart.
const signatureAge = 5 * time.Minute

// Verify says whether a HeaderSignature was made with the secret for this body, no more than five minutes ago. It is what
// receivers do.
func Verify(signature, secret string, body []byte, now time.Time) bool {
	stamp, _, ok := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	if !ok {
		return false
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return false
	}
	at := time.Unix(seconds, 0)
	return now.Sub(at).Abs() <= signatureAge && hmac.Equal([]byte(signature), []byte(Sign(secret, at, body)))
}

const (
	maxResponseHeader = 64 << 10
	// readAnswer is how much of an answer is read: more than is kept, so that a secret across the cut is seen whole.
	readAnswer = models.MaxDeliveryAnswer + 8<<10
)

// newClient makes the client of all webhooks. Every address is checked when it is dialled; redirects are answers like any
// other.
func newClient(network netguard.Policy) *http.Client {
	t := network.Transport()
	t.MaxResponseHeaderBytes = maxResponseHeader
	t.DisableCompression = true
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// result is how one attempt went. Its texts are for people; secrets are not masked yet.
type result struct {
	code   int
	answer string
	// problem is why it did not arrive, "" where it did. again says that another attempt may help, after, where set, when.
	problem string
	again   bool
	after   time.Duration
}

// post makes one attempt at a webhook.
func (s *Service) post(ctx context.Context, d *models.Delivery, secret models.DeliverySecret, number int) result {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	body := secret.Body
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, secret.URL, strings.NewReader(body))
	if err != nil || models.CheckWebhookURL(secret.URL) != nil {
		return result{problem: "its address cannot be read"}
	}
	for name, value := range secret.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "slipway/"+s.Version)
	request.Header.Set(HeaderEvent, d.Event)
	request.Header.Set(HeaderDelivery, d.ID)
	request.Header.Set(HeaderAttempt, strconv.Itoa(number))
	request.Header.Set("Idempotency-Key", d.ID)
	if secret.Secret != "" {
		request.Header.Set(HeaderSignature, Sign(secret.Secret, s.Store.Now(), []byte(body)))
	}
	response, err := s.http.Do(request)
	if err != nil {
		return s.unanswered(err)
	}
	defer response.Body.Close()
	// What is not read ends with the connection.
	text, err := io.ReadAll(io.LimitReader(response.Body, readAnswer))
	r := result{code: response.StatusCode, answer: string(text)}
	status := strconv.Itoa(r.code)
	switch {
	case r.code >= 200 && r.code < 300:
		if err != nil {
			s.Log.DebugContext(ctx, "the answer to a webhook broke off", "delivery", d.ID, "error", err)
		}
	case r.code >= 300 && r.code < 400:
		r.problem = "it answered " + status + ", and redirects are not followed: set the address that it leads to"
	case r.code == http.StatusRequestTimeout, r.code == http.StatusTooEarly, r.code == http.StatusTooManyRequests, r.code >= 500:
		r.problem, r.again, r.after = "it answered "+status, true, retryAfter(response.Header, s.Store.Now())
	default:
		r.problem = "it answered " + status
	}
	return r
}

// unanswered says why no answer came. An address that may not be reached is a matter of configuration; everything else
// may pass.
func (s *Service) unanswered(err error) result {
	var refused *netguard.RefusedError
	var wrapped *url.Error
	var timeout net.Error
	switch {
	case errors.As(err, &refused):
		return result{problem: refused.Error()}
	case errors.As(err, &timeout) && timeout.Timeout():
		return result{problem: "no answer within " + s.Timeout.String(), again: true}
	case errors.Is(err, context.Canceled):
		return result{problem: "the attempt was broken off", again: true}
	case errors.As(err, &wrapped):
		// The outer error holds the whole address.
		err = wrapped.Err
	}
	return result{problem: err.Error(), again: true}
}
