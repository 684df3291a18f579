package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"slipway/internal/problem"
	"slipway/policies"
)

// retryAfter is what a caller is told when something Slipway needs is away.
const retryAfter = 5 * time.Second

// Authenticator turns the credential of a request into a subject. No credential gives the anonymous subject; a wrong
// one a *problem.Error of kind Unauthenticated.
type Authenticator interface {
	Authenticate(ctx context.Context, r *http.Request) (policies.Subject, error)
}

// refresher is an Authenticator that answers from a cache. Before a refusal its subject's grants are read anew, since
// another process may have given the role a moment ago.
type refresher interface {
	Refresh(ctx context.Context, s policies.Subject) (policies.Subject, error)
}

// Policy decides. See policies.Engine.
type Policy interface {
	Allow(ctx context.Context, s policies.Subject, action string, r policies.Resource) (bool, error)
	Visible(ctx context.Context, s policies.Subject, action string) (policies.Visible, error)
	Known(action string) bool
}

// Group is a surface with its rows.
type Group struct {
	Surface *Surface
	Rows    []Row
	// Shared are rows that belong to the surface's document too, but are served by another surface; they have no handler.
	Shared []Row
}

// Options are what a Server needs.
type Options struct {
	Groups        []Group
	Authenticator Authenticator
	Policy        Policy
	Logger        *slog.Logger
	Metrics       *Metrics
	Tracer        trace.Tracer
	// Ready reports what the readiness probe asks: nil when the process can serve. Liveness asks nothing.
	Ready func(ctx context.Context) error
	// Timeout bounds a request that is not a stream; 0 means 60 s.
	Timeout time.Duration
	// CrossOrigins are the other sites whose pages may call something.
	CrossOrigins []CrossOrigin
	// Rates bound how many requests are answered; the zero value bounds nothing.
	Rates RateLimits
	// Address gives the caller's address where the server stands behind a proxy; nil takes the connection's.
	Address func(*http.Request) string
	// Now replaces the clock of Rates, for tests.
	Now func() time.Time
}

// Server is the HTTP handler of all surfaces.
type Server struct {
	engine   *gin.Engine
	auth     Authenticator
	policy   Policy
	logger   *slog.Logger
	metrics  *Metrics
	tracer   trace.Tracer
	groups   []Group
	surfaces map[*Row]*Surface
	ready    func(ctx context.Context) error
	timeout  time.Duration
	rates    *rates

	crossOrigins []CrossOrigin
}

// New checks the table and builds the handler. It returns every mistake in the table at once: a row without a
// permission, a path parameter without a field, an action the policy does not know, an operation id or a method and
// path used twice.
func New(o Options) (*Server, error) {
	gin.SetMode(gin.ReleaseMode)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	s := &Server{auth: o.Authenticator, policy: o.Policy, logger: o.Logger, metrics: o.Metrics, tracer: o.Tracer, groups: o.Groups,
		surfaces: map[*Row]*Surface{}, ready: o.Ready, timeout: o.Timeout, crossOrigins: o.CrossOrigins,
		rates: newRates(o.Rates, o.Address, o.Now)}
	if err := checkTable(o.Groups, o.Policy.Known); err != nil {
		return nil, err
	}
	e := gin.New()
	// Some surfaces need exact trailing slashes, and a redirect loses the body of a POST: nothing is ever redirected.
	e.RedirectTrailingSlash, e.RedirectFixedPath, e.HandleMethodNotAllowed = false, false, false
	// The escaped path is matched and each parameter is decoded once by us: names may hold %2F, and Gin's own decoding
	// would turn a plus sign into a space.
	e.UseEscapedPath, e.UnescapePathValues = true, false
	e.ContextWithFallback = false
	for gi := range o.Groups {
		g := &o.Groups[gi]
		for ri := range g.Rows {
			row := &g.Rows[ri]
			s.surfaces[row] = g.Surface
			e.Handle(row.Method, row.ginPath(), s.handlerFor(row))
			if row.AnswersHead() {
				e.HEAD(row.ginPath(), s.handlerFor(row))
			}
		}
	}
	e.GET("/ready", gin.WrapF(s.readiness))
	e.HEAD("/ready", gin.WrapF(s.readiness))
	e.NoRoute(func(c *gin.Context) { s.notFound(c.Writer, c.Request) })
	s.engine = e
	return s, nil
}

// checkTable finds every mistake in the table.
func checkTable(groups []Group, known func(string) bool) error {
	var errs []error
	routes := map[string]string{}
	for _, g := range groups {
		ids := map[string]bool{}
		for _, row := range g.Rows {
			errs = append(errs, row.check(known)...)
			if ids[row.Operation] {
				errs = append(errs, fmt.Errorf("surface %s: operation %s stands twice", g.Surface.Name, row.Operation))
			}
			ids[row.Operation] = true
			key := row.Method + " " + row.ginPath()
			if other, ok := routes[key]; ok {
				errs = append(errs, fmt.Errorf("%s is the route of %s and of %s", key, other, row.Operation))
			}
			routes[key] = row.Operation
		}
	}
	return errors.Join(errs...)
}

// Groups gives the table, for the commands that print it.
func (s *Server) Groups() []Group { return s.groups }

// ServeHTTP gives every request an id, recovers from panics and routes it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID(r)
	h := w.Header()
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	ctx := context.WithValue(r.Context(), requestIDKey{}, id)
	r = r.WithContext(ctx)
	// A sender that falls silent in its body would hold its connection for ever, also where nobody reads the body: the
	// server reads the rest of it before it answers.
	bodyDeadline(w, s.timeout)
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		s.logger.ErrorContext(ctx, "panic in a request", "request_id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		s.writeError(w, r, s.surfaceFor(r.URL.Path), problem.New(problem.Internal, "internal error"))
	}()
	if !s.crossOrigin(w, r) {
		s.engine.ServeHTTP(w, r)
	}
}

// bodyDeadline bounds how long the body of a request may still take to arrive; 0 lifts the bound.
func bodyDeadline(w http.ResponseWriter, d time.Duration) {
	var end time.Time
	if d > 0 {
		end = time.Now().Add(d)
	}
	// Writers of tests know no deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(end)
}

type requestIDKey struct{}

// RequestID gives the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// requestID takes over the caller's id where it is harmless, so that a chain of calls can be followed.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) == 0 || len(id) > 64 || strings.IndexFunc(id, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}) >= 0 {
		return uuid.NewString()
	}
	return id
}

// handlerFor is the wrapper of all rows.
func (s *Server) handlerFor(row *Row) gin.HandlerFunc {
	places := row.places()
	surface := s.surfaceOf(row)
	isStream := row.Handler.shape().stream
	return func(c *gin.Context) {
		start := time.Now()
		ctx, cancel := c.Request.Context(), context.CancelFunc(func() {})
		if isStream {
			// Streams take as long as they take, and bound the silence of their senders themselves.
			bodyDeadline(c.Writer, 0)
			defer bodyDeadline(c.Writer, s.timeout)
		} else {
			ctx, cancel = context.WithTimeout(ctx, s.timeout)
		}
		defer cancel()
		if s.tracer != nil {
			var span trace.Span
			ctx, span = s.tracer.Start(ctx, row.Operation, trace.WithSpanKind(trace.SpanKindServer),
				trace.WithAttributes(attribute.String("http.request.method", c.Request.Method), attribute.String("http.route", row.Path)))
			defer func() {
				span.SetAttributes(attribute.Int("http.response.status_code", c.Writer.Status()))
				span.End()
			}()
		}
		defer func() {
			s.metrics.observe(surface.Name, row.Operation, c.Request.Method, c.Writer.Status(), time.Since(start))
		}()
		r := &Request{Row: row}
		ctx = context.WithValue(ctx, requestKey{}, r)
		r.HTTP = c.Request.WithContext(ctx)
		var badPath string
		r.param = func(name string) string {
			v, err := url.PathUnescape(c.Param(places[name]))
			if err != nil {
				return ""
			}
			return v
		}
		for name, p := range places {
			v, err := url.PathUnescape(c.Param(p))
			if err != nil || !cleanText(v) {
				badPath = name
			}
		}
		if err := s.authenticate(ctx, r); err != nil {
			s.fail(c.Writer, r, err)
			return
		}
		if badPath != "" {
			s.fail(c.Writer, r, problem.BadField(badPath, "expected valid UTF-8 text without NUL"))
			return
		}
		if err := s.authorize(ctx, r); err != nil {
			s.fail(c.Writer, r, err)
			return
		}
		if err := s.rates.authorized(r); err != nil {
			s.fail(c.Writer, r, err)
			return
		}
		row.Handler.serve(s, row, c.Writer, r)
	}
}

// authorize finds the row's resource and asks the policy. A thing that the caller may not read, and one that does not
// exist, are answered alike.
func (s *Server) authorize(ctx context.Context, r *Request) error {
	p := r.Row.Permission
	if p.On != nil {
		res, err := p.On(r)
		if err != nil {
			return err
		}
		r.Resource = res
	}
	if p.Public {
		return nil
	}
	if r.Subject.Kind == policies.KindAnonymous {
		return problem.New(problem.Unauthenticated, "no valid credential: log in, or send a token")
	}
	if p.Filtered {
		return nil
	}
	if !r.Resource.Missing {
		ok, err := s.allow(ctx, r, p.Action)
		if err != nil || ok {
			return err
		}
		if fresh, cached := s.auth.(refresher); cached {
			if r.Subject, err = fresh.Refresh(ctx, r.Subject); err != nil {
				return err
			}
			if ok, err = s.allow(ctx, r, p.Action); err != nil || ok {
				return err
			}
		}
	}
	if p.On == nil {
		return problem.New(problem.Forbidden, "you don't have permission to do this")
	}
	if r.Resource.Missing {
		return problem.New(problem.NotFound, "not found")
	}
	read := p.ReadAction
	if read == "" {
		read = "project:read"
	}
	ok, err := s.allow(ctx, r, read)
	if err != nil {
		return err
	}
	if !ok {
		return problem.New(problem.NotFound, "not found")
	}
	return problem.New(problem.Forbidden, "you don't have permission to do this")
}

func (s *Server) allow(ctx context.Context, r *Request, action string) (bool, error) {
	ok, err := s.policy.Allow(ctx, r.Subject, action, r.Resource.Resource)
	if err != nil {
		return false, fmt.Errorf("ask the policy about %s: %w", action, err)
	}
	return ok, nil
}

// Visible asks the policy in which scopes the caller of ctx may do action, for the filters of lists.
func (s *Server) Visible(ctx context.Context, action string) (policies.Visible, error) {
	return s.policy.Visible(ctx, SubjectOf(ctx), action)
}

// fail logs an error once, with its cause, and shows the safe part.
func (s *Server) fail(w http.ResponseWriter, r *Request, err error) {
	p := problemOf(err)
	ctx := r.HTTP.Context()
	switch {
	case p.Kind == problem.Internal:
		s.logger.ErrorContext(ctx, "request failed", "request_id", RequestID(ctx), "operation", r.Row.Operation, "error", err)
	case p.Kind == problem.Unavailable:
		s.logger.WarnContext(ctx, "request refused for now", "request_id", RequestID(ctx), "operation", r.Row.Operation, "error", err)
	case p.Cause != nil:
		s.logger.DebugContext(ctx, "request refused", "request_id", RequestID(ctx), "operation", r.Row.Operation, "error", p.Cause)
	}
	s.writeError(w, r.HTTP, s.surfaceOf(r.Row), p)
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, surface *Surface, p *problem.Error) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	if p.Kind == problem.Unauthenticated {
		Challenge(w.Header(), r)
	}
	if surface == nil {
		WriteText(w, Status(p.Kind), p.Error())
		return
	}
	surface.WriteError(w, r, p)
}

func (s *Server) surfaceOf(row *Row) *Surface { return s.surfaces[row] }

// surfaceFor finds the surface that a path belongs to: the one with the longest prefix.
func (s *Server) surfaceFor(path string) *Surface {
	var best *Surface
	length := -1
	for _, g := range s.groups {
		for _, p := range g.Surface.Prefixes {
			if strings.HasPrefix(path, p) && len(p) > length {
				best, length = g.Surface, len(p)
			}
		}
	}
	return best
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	surface := s.surfaceFor(r.URL.Path)
	if surface != nil && surface.NotFound != nil {
		surface.NotFound(w, r)
		return
	}
	s.writeError(w, r, surface, problem.New(problem.NotFound, "no such path or method"))
}

// readiness answers 200 when the process can serve requests, else 503 with the reason.
func (s *Server) readiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		s.logger.WarnContext(ctx, "not ready", "error", err)
		w.Header().Set("Retry-After", "5")
		WriteText(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	WriteText(w, http.StatusOK, "ready")
}
