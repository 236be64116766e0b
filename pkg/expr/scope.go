package expr

import (
	"time"

	"github.com/salveops/salve/pkg/signal"
)

// MaxWindow is the longest window that a condition may look back over.
const MaxWindow = 6 * time.Hour

// Use says where a condition stands; some functions make no sense in some places.
type Use uint8

const (
	When           Use = iota // of a rule
	Clear                     // of a rule
	Precondition              // of a remedy: asked once, so held() and hits() cannot be used
	Verify                    // of a remedy
	ThresholdValue            // inside a threshold block, its cases included
)

// Scope is what a condition may refer to. The zero value is a `when` about the host alone.
type Scope struct {
	// Service: the condition is about a service, so probe.*, pool.*, log.*, slo.* and unit.* can be used.
	Service bool
	// Unit: the condition is about units without a service, so unit.* can be used.
	Unit bool
	// Probes, Pools, Logs and SLOs are the names that the service declares.
	Probes, Pools, Logs, SLOs []string
	// Metrics are those that the service declares, by name.
	Metrics map[string]signal.Info
	// HostLogs are the names of the host's own logs.
	HostLogs []string
	// Contexts are the fields of the host's contexts, by context and field.
	Contexts map[string]map[string]signal.Info
	// Queries are those of the host, by name.
	Queries map[string]signal.Info
	// Labels of the host. A label that is not set is the empty text; nil asks for no warning about it.
	Labels map[string]string
	// Thresholds by name.
	Thresholds map[string]*Threshold
	// Every tells the configured sample period of a signal; nil or 0 means the catalogue's.
	Every func(signal.Path) time.Duration
	// Span tells over how much time one value of a signal is taken, for those of which it is configured; nil means that
	// there are none.
	Span func(signal.Path) time.Duration
	Use  Use
}

// every is the sample period of a signal, 0 for events.
func (s *Scope) every(p signal.Path, in signal.Info) time.Duration {
	if s.Every != nil && !in.Event {
		if d := s.Every(p); d > 0 {
			return d
		}
	}
	return in.Every
}
