package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
)

// onlyDrain has nothing to try but what needs the pool.
var onlyDrain = strings.Replace(golden, `["drain-db-pool", "restart-app"]`, `["drain-db-pool"]`, 1)

// hides makes the state of a target one that nobody can tell, or ends that.
func (r *rig) hides(target string, hidden bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hidden[target] = hidden
}

// What must be known for one remedy and cannot be is waited for, but not for ever: then the next has its turn.
func TestUnknownTargetIsPassedOver(t *testing.T) {
	heals(t, golden, func(h *rig) {
		h.goldenHost()
		h.hides("db", true)
		h.failing()
		h.Advance(time.Minute)
		h.WantActs()
		h.Advance(20 * time.Second)
		h.WantActs("restart checkout.service")
		h.WantSaid("checkout", "drain-db-pool does not run: the state of db cannot be known now",
			"drain-db-pool does not run: the state of db cannot be known now, for 1m1s; it is passed over")
		h.fine()
		h.Advance(30 * time.Second)
		h.WantOutcomes("checkout", "restart-app verified")
		h.WantState("checkout", incident.Resolved)
	})
}

// When nothing else is left people hear of it, long before the time that a remedy would have had to help; and it has
// its turn once its target is known.
func TestUnknownTargetIsAskedForAgain(t *testing.T) {
	heals(t, onlyDrain, func(h *rig) {
		h.goldenHost()
		h.hides("db", true)
		h.failing()
		h.Advance(time.Minute)
		h.WantState("checkout", incident.Healing)
		h.Advance(20 * time.Second)
		h.WantState("checkout", incident.Escalated)
		h.WantSaid("checkout", "nothing is left to try", "for 1m1s; it is passed over")
		h.Advance(10 * time.Minute)
		h.WantActs()
		if n := strings.Count(h.timeline("checkout"), "does not run"); n != 2 {
			t.Errorf("that it does not run is said %d times:\n%s", n, h.Story())
		}
		h.hides("db", false)
		h.Until("asked again", 70*time.Second, func() bool { return h.count() > 0 })
	})
}

// A target that hides now and then is not passed over.
func TestUnknownTargetThatComesBack(t *testing.T) {
	heals(t, golden, func(h *rig) {
		h.goldenHost()
		h.hides("db", true)
		h.failing()
		h.Advance(40 * time.Second)
		h.hides("db", false)
		h.Advance(30 * time.Second)
		h.WantActs("reset_pool db")
	})
}

// Nor is one that hid long ago, and hides now: nobody asked meanwhile, so that nobody knows that it was hidden for long.
func TestUnknownTargetLongAgo(t *testing.T) {
	heals(t, golden, func(h *rig) {
		h.goldenHost()
		h.hides("db", true)
		h.failing()
		h.Advance(20 * time.Second)
		h.Pauses("all", time.Hour)
		h.Advance(3 * time.Minute)
		h.Resumes()
		h.Advance(40 * time.Second)
		h.WantActs()
		h.hides("db", false)
		h.Advance(40 * time.Second)
		h.WantActs("reset_pool db")
	})
}
