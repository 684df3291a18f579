package executions

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"slipway/internal/periodic"
)

// ConnectOptions say how to reach Temporal.
type ConnectOptions struct {
	Address, Namespace string
	Logger             *slog.Logger
	// Tracer, where set, follows an execution through API, workflow and activity.
	Tracer trace.Tracer
	// Codec, where set, encrypts the payloads of histories; see NewCodec.
	Codec converter.PayloadCodec
}

// Connect makes a lazy client: it can be made while Temporal is away, and works once it is there.
func Connect(o ConnectOptions) (client.Client, error) {
	co := client.Options{HostPort: o.Address, Namespace: o.Namespace, Logger: log.NewStructuredLogger(quiet(o.Logger))}
	// Payloads are ids and outcomes. The SDK would compress each call all the same, on both sides, which is a tenth of the
	// processor time that this process spends on an execution.
	co.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	if o.Codec != nil {
		co.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), o.Codec)
	}
	if o.Tracer != nil {
		ti, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{Tracer: o.Tracer})
		if err != nil {
			return nil, fmt.Errorf("trace Temporal: %w", err)
		}
		co.Interceptors = []interceptor.ClientInterceptor{ti}
	}
	c, err := client.NewLazyClient(co)
	if err != nil {
		return nil, fmt.Errorf("make the Temporal client: %w", err)
	}
	return c, nil
}

// quiet lowers the SDK's own chatter: what matters of it is in Slipway's logs and metrics.
func quiet(l *slog.Logger) *slog.Logger {
	if l == nil {
		l = slog.Default()
	}
	return slog.New(warnOnly{l.Handler()})
}

type warnOnly struct{ slog.Handler }

func (h warnOnly) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}
func (h warnOnly) WithAttrs(a []slog.Attr) slog.Handler { return warnOnly{h.Handler.WithAttrs(a)} }
func (h warnOnly) WithGroup(n string) slog.Handler      { return warnOnly{h.Handler.WithGroup(n)} }

// searchAttributes are all of Slipway's.
var searchAttributes = []temporal.SearchAttributeKey{AttributeProject, AttributeEnvironment, AttributeKind, AttributeSubject, AttributeStatus}

// RegisterSearchAttributes adds Slipway's search attributes to the namespace. Adding those that are there is no error.
func RegisterSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	kinds := map[string]enums.IndexedValueType{}
	for _, a := range searchAttributes {
		kinds[a.GetName()] = enums.INDEXED_VALUE_TYPE_KEYWORD
	}
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", err)
	}
	for name := range have.GetCustomAttributes() {
		delete(kinds, name)
	}
	if len(kinds) == 0 {
		return nil
	}
	if _, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: kinds}); err != nil {
		return fmt.Errorf("add search attributes: %w", err)
	}
	return nil
}

// WatchSearchAttributes finds out, in the background and until ctx ends, whether the search attributes are registered,
// and registers them where it may. Until they are, executions start without them.
func WatchSearchAttributes(ctx context.Context, c client.Client, namespace string, l *slog.Logger) func() bool {
	var ok atomic.Bool
	go func() {
		for wait := 200 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
			try, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := RegisterSearchAttributes(try, c, namespace)
			cancel()
			if err == nil {
				ok.Store(true)
				return
			}
			l.DebugContext(ctx, "search attributes are not there yet", "error", err)
			_ = periodic.Pause(ctx, wait)
		}
	}()
	return ok.Load
}
