package notify

import (
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
)

// Manner is how a place treats what it hears of an incident while that is open. The zero value is a place that
// shows people every message.
type Manner struct {
	// SwallowsRepeats: another message under the same incident calls nobody. A repeat is not sent there; who climbs an
	// escalation goes on to its next step.
	SwallowsRepeats bool
	// Again: the place forgets. The newest message is sent again after so long, under its key; 0: never.
	Again time.Duration
	// Lasts: the place takes the incident for ended if it hears nothing for so long; 0: never.
	Lasts time.Duration
}

// MannerOf is the manner of a sender's place.
func MannerOf(s Sender) Manner {
	if m, ok := s.(interface{ Manner() Manner }); ok {
		return m.Manner()
	}
	return Manner{}
}

func mannerOf(n *config.Notifier) Manner {
	m := Manner{SwallowsRepeats: config.SwallowsRepeats(n.ID())}
	if n.Kind == config.Alertmanager {
		m.Again, m.Lasts = defaults.AlertmanagerAgain, defaults.AlertmanagerLasts
	}
	return m
}
