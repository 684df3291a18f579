package executions

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/models"
)

// Metrics count executions, and what the reconciler had to do.
type Metrics struct {
	triggered  *prometheus.CounterVec
	finished   *prometheus.CounterVec
	reconciled *prometheus.CounterVec
	// QueueWait is the time from trigger to claim; ScriptDuration that of one script.
	QueueWait      *prometheus.HistogramVec
	ScriptDuration *prometheus.HistogramVec
}

// NewMetrics makes the metrics; Register adds them to a registry.
func NewMetrics() *Metrics {
	wait := []float64{.01, .025, .05, .1, .25, .5, 1, 5, 30, 120, 600, 3600}
	return &Metrics{
		triggered:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_executions_triggered_total", Help: "Executions recorded, by kind and trigger."}, []string{"kind", "trigger"}),
		finished:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_executions_finished_total", Help: "Executions that ended, by kind and status."}, []string{"kind", "status"}),
		reconciled:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_reconciler_actions_total", Help: "What the reconciler did, by action."}, []string{"action"}),
		QueueWait:      prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "slipway_execution_queue_seconds", Help: "Time from trigger to the first task, by kind.", Buckets: wait}, []string{"kind"}),
		ScriptDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "slipway_script_duration_seconds", Help: "Time that scripts ran, by step.", Buckets: wait}, []string{"step"}),
	}
}

// Finished counts the end of an execution.
func (m *Metrics) Finished(kind string, status models.Status) {
	m.finished.WithLabelValues(kind, string(status)).Inc()
}

// Register adds the metrics to a registry, with a gauge of open executions read from the store when it is asked for.
func (m *Metrics) Register(r prometheus.Registerer, store *models.Store) {
	r.MustRegister(m.triggered, m.finished, m.reconciled, m.QueueWait, m.ScriptDuration)
	if store != nil {
		r.MustRegister(openGauge{store})
	}
}

type openGauge struct{ store *models.Store }

var openDesc = prometheus.NewDesc("slipway_executions_open", "Executions that have not ended, by kind and status.", []string{"kind", "status"}, nil)

// Describe implements prometheus.Collector.
func (openGauge) Describe(c chan<- *prometheus.Desc) { c <- openDesc }

// Collect implements prometheus.Collector.
func (g openGauge) Collect(c chan<- prometheus.Metric) {
	counts, err := g.store.CountOpen(context.Background())
	if err != nil {
		c <- prometheus.NewInvalidMetric(openDesc, err)
		return
	}
	for k, n := range counts {
		c <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(n), k[0], k[1])
	}
}
