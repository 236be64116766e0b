package source

import (
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/signal"
)

// Metric is one figure, and the name by which conditions know it.
type Metric struct {
	Name string
	metric.Definition
}

// Equal reports whether both are the same figure under the same name.
func (m Metric) Equal(o Metric) bool { return m.Name == o.Name && m.Definition.Equal(o.Definition) }

// Metrics are the handles of a service's metrics, in their order.
func (k *Book) Metrics(metrics []Metric, service string) []*Handle {
	handles := make([]*Handle, len(metrics))
	for i, m := range metrics {
		handles[i] = k.Handle(signal.Path{Family: signal.Metric, Field: m.Name}.String(), service)
	}
	return handles
}
