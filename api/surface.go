package api

import (
	"encoding/json"
	"net/http"

	"slipway/internal/problem"
)

// Surface is what one API gives its answers and errors: their shape. There is one value for each of releases, state,
// packages, assets, organizations and own.
type Surface struct {
	// Name as in the contract.
	Name string
	// Title and Version head the OpenAPI document.
	Title, Version string
	// Prefixes are the paths that belong to the surface; requests below them that match no row get its NotFound.
	Prefixes []string
	// Strict surfaces refuse unknown members in request bodies.
	Strict bool
	// MaxBody is the limit of JSON bodies in bytes; 0 means 1 MiB.
	MaxBody int64
	// OwnQuery surfaces read the query themselves, from the raw text. Query fields of their requests name the parameters and
	// stay empty.
	OwnQuery bool
	// WriteResult writes a good answer; nil means WriteJSON.
	WriteResult func(w http.ResponseWriter, r *http.Request, status int, v any)
	// WriteError writes an error. The request id is in the response header X-Request-Id already.
	WriteError func(w http.ResponseWriter, r *http.Request, e *problem.Error)
	// NotFound answers a path or method that no row has; nil means WriteError with a not-found problem.
	NotFound http.HandlerFunc
}

// Status gives the usual HTTP status of a problem. Surfaces that differ map before they call it.
func Status(k problem.Kind) int {
	switch k {
	case problem.Invalid:
		return http.StatusBadRequest
	case problem.Unauthenticated:
		return http.StatusUnauthorized
	case problem.Forbidden:
		return http.StatusForbidden
	case problem.NotFound:
		return http.StatusNotFound
	case problem.Exists, problem.Conflict:
		return http.StatusConflict
	case problem.TooLarge:
		return http.StatusRequestEntityTooLarge
	case problem.TooMany:
		return http.StatusTooManyRequests
	case problem.Unavailable:
		return http.StatusServiceUnavailable
	case problem.Unprocessable:
		return http.StatusUnprocessableEntity
	case problem.LimitReached:
		// Not 429: clients repeat by themselves what is answered so, and a quota is not waited for in seconds. Not 409 or
		// 422 either: nothing is wrong with what was sent, nor with what it is sent to. The caller may do it, and is
		// refused it all the same.
		return http.StatusForbidden
	case problem.Unsupported:
		return http.StatusUnsupportedMediaType
	default:
		return http.StatusInternalServerError
	}
}

// Empty is the result of a handler whose answer is a status and nothing else.
type Empty struct{}

// Text is the result of a handler whose answer is plain text, written as it is, without a newline.
type Text string

// Response lets a handler choose status, headers and content type for itself, for the few operations whose answer is
// not one of the surface's usual shapes. Body is written as it is.
type Response struct {
	Status      int
	ContentType string
	Header      http.Header
	Body        []byte
}

// WriteJSON writes compact JSON and one newline, the shape that most surfaces share.
func WriteJSON(w http.ResponseWriter, _ *http.Request, status int, v any) {
	b, err := marshal(v)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// WriteText writes plain text without a newline.
func WriteText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

func (s *Surface) writeResult(w http.ResponseWriter, r *http.Request, status int, v any) {
	switch t := v.(type) {
	case Empty:
		w.WriteHeader(status)
	case Text:
		WriteText(w, status, string(t))
	case Response:
		for k, vs := range t.Header {
			w.Header()[k] = vs
		}
		if t.ContentType != "" {
			w.Header().Set("Content-Type", t.ContentType)
		}
		if t.Status != 0 {
			status = t.Status
		}
		w.WriteHeader(status)
		_, _ = w.Write(t.Body)
	default:
		if s.WriteResult != nil {
			s.WriteResult(w, r, status, v)
			return
		}
		WriteJSON(w, r, status, v)
	}
}
