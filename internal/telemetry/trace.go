package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// NewTracer sends traces to an OTLP/HTTP collector at endpoint, a URL. With endpoint "" tracing is off: the tracer is
// nil and stop does nothing. stop sends what is left.
func NewTracer(ctx context.Context, endpoint, process, version string) (t trace.Tracer, stop func(context.Context) error, err error) {
	if endpoint == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	exp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, nil, fmt.Errorf("set up tracing to %s: %w", endpoint, err)
	}
	p := NewTracerProvider(process, version, sdktrace.WithBatcher(exp))
	otel.SetTracerProvider(p)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return p.Tracer("slipway"), p.Shutdown, nil
}

// NewTracerProvider makes the provider of NewTracer, for tests that look at the spans themselves.
func NewTracerProvider(process, version string, o ...sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	res := resource.NewSchemaless(attribute.String("service.name", "slipway-"+process), attribute.String("service.version", version))
	return sdktrace.NewTracerProvider(append(o, sdktrace.WithResource(res))...)
}
