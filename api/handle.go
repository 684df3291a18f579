package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Resource is what a row's resolver finds: what the policy is asked about, and whether it is there at all.
type Resource struct {
	policies.Resource
	// Missing is set when there is no such thing. The caller is told 404 whatever its rights are, unless it has none
	// at all, where 401 comes first.
	Missing bool
}

// Request is what resolvers and streams see of a request.
type Request struct {
	// Row that matched.
	Row *Row
	// Subject that asks.
	Subject policies.Subject
	// Resource that the row's resolver found.
	Resource Resource
	// HTTP is the request itself, for streams.
	HTTP *http.Request

	param func(name string) string
}

// Param gives a decoded path parameter by its name in the contract.
func (r *Request) Param(name string) string { return r.param(name) }

type requestKey struct{}

// From gives the request that a handler was called for: who asks, and the resource that was resolved for the check of
// its permission. It is nil outside of a handler.
func From(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// SubjectOf gives who asks. Outside of a handler it is nobody.
func SubjectOf(ctx context.Context) policies.Subject {
	if r := From(ctx); r != nil {
		return r.Subject
	}
	return policies.Subject{Kind: policies.KindAnonymous}
}

// Handler is what a row does. Make one with Handle or Stream.
type Handler interface {
	shape() *shape
	serve(s *Server, row *Row, w http.ResponseWriter, r *Request)
}

// Handle makes a row's handler from a function that knows no HTTP. Req is a struct whose tags say where its fields come
// from (see shapeOf); Res is what the surface writes, or Empty, Text or Response.
func Handle[Req, Res any](fn func(ctx context.Context, req *Req) (Res, error)) Handler {
	return handler[Req, Res]{fn: fn, sh: shapeOf(reflect.TypeFor[Req](), reflect.TypeFor[Res]())}
}

type handler[Req, Res any] struct {
	fn func(context.Context, *Req) (Res, error)
	sh *shape
}

func (h handler[Req, Res]) shape() *shape { return h.sh }

func (h handler[Req, Res]) serve(s *Server, row *Row, w http.ResponseWriter, r *Request) {
	req := new(Req)
	if err := s.decode(h.sh, row, reflect.ValueOf(req).Elem(), w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	res, err := h.fn(r.HTTP.Context(), req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	status := row.Success
	if status == 0 {
		status = http.StatusOK
	}
	s.surfaceOf(row).writeResult(w, r.HTTP, status, res)
}

// Stream makes a handler for rows that read or write raw bytes, WebSockets or events. Parameters are parsed and the
// permission is checked as for every row; an error returned before anything was written is shown in the surface's
// shape.
func Stream[Req any](fn func(w http.ResponseWriter, r *Request, req *Req) error) Handler {
	sh := shapeOf(reflect.TypeFor[Req](), reflect.TypeFor[Empty]())
	sh.stream = true
	return stream[Req]{fn: fn, sh: sh}
}

type stream[Req any] struct {
	fn func(http.ResponseWriter, *Request, *Req) error
	sh *shape
}

func (h stream[Req]) shape() *shape { return h.sh }

func (h stream[Req]) serve(s *Server, row *Row, w http.ResponseWriter, r *Request) {
	req := new(Req)
	if err := s.decode(h.sh, row, reflect.ValueOf(req).Elem(), w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	cw := &countingWriter{ResponseWriter: w}
	if err := h.fn(cw, r, req); err != nil {
		if cw.started {
			s.logger.WarnContext(r.HTTP.Context(), "stream ended early", "operation", row.Operation, "error", err)
			return
		}
		s.fail(w, r, err)
	}
}

// countingWriter knows whether an answer has begun, after which an error can only be logged.
type countingWriter struct {
	http.ResponseWriter
	started bool
}

func (w *countingWriter) WriteHeader(code int) { w.started = true; w.ResponseWriter.WriteHeader(code) }
func (w *countingWriter) Write(b []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(b)
}

// WriteHeaderNow sends the status before the connection is taken over: Gin keeps it back until then, and the library for
// WebSockets asks for this method to get it sent.
func (w *countingWriter) WriteHeaderNow() {
	w.started = true
	if g, ok := w.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		g.WriteHeaderNow()
	}
}

// Unwrap lets http.ResponseController reach the connection, for flushes, deadlines and WebSockets.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// decode fills a request struct from path, query, headers and body.
func (s *Server) decode(sh *shape, row *Row, v reflect.Value, w http.ResponseWriter, r *Request) error {
	var query url.Values
	var bad []problem.Field
	for i := range sh.fields {
		f := &sh.fields[i]
		var texts []string
		switch f.in {
		case inPath:
			texts = []string{r.param(f.name)}
		case inQuery:
			if s.surfaceOf(row).OwnQuery {
				continue
			}
			if query == nil {
				query = r.HTTP.URL.Query()
			}
			texts = query[f.name]
		case inHeader:
			texts = r.HTTP.Header.Values(f.name)
		}
		if len(texts) == 0 || (f.in == inQuery && texts[0] == "" && f.typ.Kind() != reflect.String && f.typ.Kind() != reflect.Slice) {
			continue
		}
		for _, t := range texts {
			if !cleanText(t) {
				bad = append(bad, problem.Field{Name: f.name, Message: "expected valid UTF-8 text without NUL"})
				texts = nil
				break
			}
		}
		if texts == nil {
			continue
		}
		if err := setText(v.FieldByIndex(f.index), texts); err != nil {
			bad = append(bad, problem.Field{Name: f.name, Message: err.Error()})
		}
	}
	if len(bad) > 0 {
		return &problem.Error{Kind: problem.Invalid, Message: "invalid parameters", Fields: bad}
	}
	if sh.body != nil {
		if err := s.decodeBody(sh.body, row, v.FieldByIndex(sh.body.index), w, r); err != nil {
			return err
		}
	}
	return validate(v)
}

func (s *Server) decodeBody(f *field, row *Row, v reflect.Value, w http.ResponseWriter, r *Request) error {
	limit := row.MaxBody
	if limit == 0 {
		limit = s.surfaceOf(row).MaxBody
	}
	if limit == 0 {
		limit = 1 << 20
	}
	if r.HTTP.ContentLength > limit {
		return problem.New(problem.TooLarge, "the request body is over the limit of %d bytes", limit)
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.HTTP.Body, limit))
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return problem.New(problem.TooLarge, "the request body is over the limit of %d bytes", limit)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return problem.Wrap(problem.Invalid, err, "the request body did not arrive in time")
		}
		return problem.Wrap(problem.Invalid, err, "the request body could not be read")
	}
	if f.body == "raw" {
		v.SetBytes(b)
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if len(b) == 0 {
			return nil
		}
		p := reflect.New(v.Type().Elem())
		if err := decodeJSON(b, p.Interface(), s.surfaceOf(row).Strict); err != nil {
			return err
		}
		v.Set(p)
		return nil
	}
	return decodeJSON(b, v.Addr().Interface(), s.surfaceOf(row).Strict)
}

// problemOf turns any error into one that may be shown: problems as they are, the models' errors by their kind, and
// everything else as an internal error with a fixed text.
func problemOf(err error) *problem.Error {
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, models.ErrNotFound):
		return problem.Wrap(problem.NotFound, err, "not found")
	case errors.Is(err, models.ErrExists):
		return problem.Wrap(problem.Exists, err, "Resource already exists")
	case errors.Is(err, models.ErrConflict):
		return problem.Wrap(problem.Conflict, err, "somebody else changed this at the same time, try again")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem.Wrap(problem.Unavailable, err, "the request was given up")
	case models.Unavailable(err):
		e := problem.Wrap(problem.Unavailable, err, "the database is not available, try again")
		e.RetryAfter = retryAfter
		return e
	}
	return problem.Wrap(problem.Internal, err, "internal error")
}
