package heal

import (
	"maps"
	"time"

	"github.com/salveops/salve/agent/internal/escalate"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// stats are the engine's figures about itself since it started.
type stats struct {
	attempts      map[local.AttemptClass]uint64
	notifications map[local.DeliveryClass]uint64
	ticks         local.Tick
}

func newStats() stats {
	return stats{attempts: make(map[local.AttemptClass]uint64), notifications: make(map[local.DeliveryClass]uint64)}
}

func (s *stats) attempt(a incident.Attempt) {
	s.attempts[local.AttemptClass{Kind: a.Kind, Outcome: string(a.Outcome)}]++
}

func (s *stats) delivery(d escalate.Result) {
	result := "delivered"
	switch {
	case d.Err != nil && d.Final:
		result = "refused"
	case d.Err != nil:
		result = "failed"
	}
	s.notifications[local.DeliveryClass{Notifier: d.Notifier, Result: result}]++
}

func (s *stats) tick(took time.Duration) {
	s.ticks.Count++
	s.ticks.Sum += took
	s.ticks.Last = took
	s.ticks.Max = max(s.ticks.Max, took)
}

// copied is for readers in other goroutines.
func (s *stats) copied() stats {
	return stats{attempts: maps.Clone(s.attempts), notifications: maps.Clone(s.notifications), ticks: s.ticks}
}
