package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count requests. The operation labels them, never the path, so that names of things cannot grow the series.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics makes the request metrics; Register adds them to a registry.
func NewMetrics() *Metrics {
	return &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_http_requests_total", Help: "Requests by surface, operation and status."},
			[]string{"surface", "operation", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "slipway_http_request_duration_seconds", Help: "Time to answer, by surface and operation.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"surface", "operation"}),
	}
}

// Register adds the metrics to a registry.
func (m *Metrics) Register(r prometheus.Registerer) { r.MustRegister(m.requests, m.duration) }

func (m *Metrics) observe(surface, operation, method string, code int, d time.Duration) {
	m.requests.WithLabelValues(surface, operation, method, strconv.Itoa(code)).Inc()
	m.duration.WithLabelValues(surface, operation).Observe(d.Seconds())
}
