package notify

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the courier counts.
type metrics struct {
	told, failed, paged *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "salve", Subsystem: "notify", Name: name, Help: help},
			[]string{"notifier"})
	}
	m := &metrics{
		told:   counter("messages_total", "Messages that arrived."),
		failed: counter("failures_total", "Messages that did not arrive: refused, or to be tried again."),
		paged:  counter("pages_total", "Pages by this node itself, without the log."),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.told), r.Register(m.failed), r.Register(m.paged))
}
