package heal

import (
	"sync"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/series"
)

// notes is a recorder that counts what it is told.
type notes struct {
	mu      sync.Mutex
	seconds int
	ill     int // seconds in which the checkout had an incident
	failed  int // and those in which its unit was known to have failed
}

// Second implements Recorder.
func (n *notes) Second(_ clock.Instant, st *series.Store, open map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seconds++
	if open["checkout"] {
		n.ill++
	}
	s := st.Lookup(series.Key{Signal: "unit.failed", Of: "checkout.service"})
	if v, _, known := s.Last(); known && v == 1 {
		n.failed++
	}
}

// TestRecorderIsTold: once a second, after the rules had their say.
func TestRecorderIsTold(t *testing.T) {
	heals(t, one, func(h *rig) {
		n := &notes{}
		h.record = n
		h.Trait("checkout.service", trait{takes: 4 * time.Second})
		h.Restarts()
		h.Advance(10 * time.Second)
		if n.seconds < 9 || n.ill > 0 || n.failed > 0 {
			t.Errorf("%d seconds, %d ill, %d failed", n.seconds, n.ill, n.failed)
		}
		h.Fails("checkout.service")
		h.Advance(time.Minute)
		if n.ill < 4 || n.ill > 30 {
			t.Errorf("an incident is open in %d seconds", n.ill)
		}
	})
}
