package arbiter

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/proto/logpb"
)

// metrics are what the arbiter counts.
type metrics struct {
	answers *prometheus.CounterVec
	done    prometheus.Counter
	refused prometheus.Counter
	failed  prometheus.Counter
	batch   prometheus.Histogram
	latency prometheus.Histogram
	leading prometheus.Gauge
	cutOff  prometheus.Gauge
	lost    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	const space, part = "salve", "arbiter"
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Subsystem: part,
			Name: "commands_total", Help: "Commands that the state machine answered."}, []string{"answer"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Subsystem: part,
			Name: "commands_failed_total", Help: "Commands that Raft did not commit, or not for certain."}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: space, Subsystem: part,
			Name: "entry_commands", Help: "Commands in one entry of the log.", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: space, Subsystem: part,
			Name: "commit_seconds", Help: "From the arrival of a command to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Subsystem: part,
			Name: "leading", Help: "1 if this node leads and takes commands."}),
		cutOff: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Subsystem: part,
			Name: "cut_off", Help: "1 if more than half of the hosts fell silent at once, so that none is marked as lost."}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Subsystem: part,
			Name: "hosts_lost_total", Help: "Hosts that this leader marked as lost."}),
	}
	m.done, m.refused = m.answers.WithLabelValues("done"), m.answers.WithLabelValues("refused")
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.answers, m.failed, m.batch, m.latency, m.leading, m.cutOff, m.lost} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// answered counts one command with its answer.
func (m *metrics) answered(c *call, r *logpb.Result) {
	if r.GetRefusal() != nil {
		m.refused.Inc()
	} else {
		m.done.Inc()
	}
	m.latency.Observe(time.Since(c.since).Seconds())
}
