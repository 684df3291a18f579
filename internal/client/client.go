// Package client talks to the API over HTTP: to the state and releases surfaces through documented paths only, and to
// Slipway's own. The command line and the demo use it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/internal/periodic"
)

// maxAnswer is the most that is read of an answer that is not a package, in bytes.
const maxAnswer = 32 << 20

// Client calls one server as one subject. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client

	// Patience is how long a server that does not answer is asked again while something is followed: it may be restarting.
	// 0 means a second or two.
	Patience time.Duration
}

// New makes a client for a server, such as http://127.0.0.1:7770. token may be empty where the server asks for none. httpClient may
// be nil; set one for certificates or a proxy.
func New(server, token string, httpClient *http.Client) (*Client, error) {
	parsed, err := url.Parse(server)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return nil, fmt.Errorf("'%s' is not the address of a server: expected one such as http://127.0.0.1:7770", server)
	}
	if httpClient == nil {
		// No timeout over all: packages may be large and logs long. Every call has a context.
		httpClient = &http.Client{}
	}
	return &Client{base: strings.TrimSuffix(server, "/"), token: token, http: httpClient}, nil
}

// Error is an answer that is not the success of the call.
type Error struct {
	Method, Path string
	Status       int
	// RequestID leads to the server's log; "" where the answer has none.
	RequestID string
	// Body is what the server said, trimmed; empty for a 404 of the surfaces with plain text errors.
	Body string
}

func (e *Error) Error() string {
	text := e.Body
	if text == "" {
		text = http.StatusText(e.Status)
	}
	return fmt.Sprintf("%s %s: %d: %s", e.Method, e.Path, e.Status, text)
}

// path builds a path from a pattern with %s for each part. Parts are escaped: a deployment's name may have slashes.
func path(pattern string, parts ...string) string {
	escaped := make([]any, len(parts))
	for i, part := range parts {
		escaped[i] = url.PathEscape(part)
	}
	return fmt.Sprintf(pattern, escaped...)
}

// call sends body as JSON (nil: none) and decodes a good answer into result (nil: ignored).
func (c *Client) call(ctx context.Context, method, path string, body, result any) error {
	response, err := c.sendJSON(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if result == nil {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if text, ok := result.(*string); ok {
		*text = string(content)
		return nil
	}
	return decode(method, path, content, result)
}

func decode(method, path string, content []byte, result any) error {
	if err := json.Unmarshal(content, result); err != nil {
		return fmt.Errorf("%s %s: the answer is not what was expected: %w", method, path, err)
	}
	return nil
}

// sendJSON sends body as JSON (nil: none) and returns a good answer. The caller closes its body.
func (c *Client) sendJSON(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		reader = bytes.NewReader(encoded)
	}
	return c.send(ctx, method, path, reader, "application/json")
}

// send sends a request and returns a good answer; any other becomes an [Error]. The caller closes the body.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	request.Header.Set("Accept", accept)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.do(request, path)
}

// do sends a request of a path as the client's subject and returns a good answer; any other becomes an [Error].
func (c *Client) do(request *http.Request, path string) (*http.Response, error) {
	c.authorize(request.Header)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err // names the method, the address and the cause
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return nil, &Error{Method: request.Method, Path: path, Status: response.StatusCode, RequestID: response.Header.Get("X-Request-Id"), Body: message(text)}
	}
	return response, nil
}

// message is what an answer says to people: plain text as it is, and of the own surface's errors the message.
func message(body []byte) string {
	var own struct {
		Error struct {
			Message string `json:"message"`
			Fields  []struct {
				Name    string `json:"name"`
				Message string `json:"message"`
			} `json:"fields"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &own) != nil || own.Error.Message == "" {
		return strings.TrimSpace(string(body))
	}
	text := own.Error.Message
	for _, f := range own.Error.Fields {
		if f.Message != "" && !strings.Contains(text, f.Message) {
			text += "; " + f.Name + ": " + f.Message
		}
	}
	return text
}

// Server is the address of the server, without a slash at its end.
func (c *Client) Server() string { return c.base }

func (c *Client) authorize(header http.Header) {
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
}

// Healthy waits until the server answers GET /health with a success, or ctx ends.
func (c *Client) Healthy(ctx context.Context) error {
	for {
		err := c.call(ctx, http.MethodGet, "/health", nil, nil)
		if err == nil {
			return nil
		}
		if pauseErr := periodic.Pause(ctx, 50*time.Millisecond); pauseErr != nil {
			return fmt.Errorf("the server is not healthy: %w", err)
		}
	}
}
