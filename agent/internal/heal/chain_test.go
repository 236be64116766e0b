package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
)

// What a remedy was declared to take down as well is muted while it works, with all that depends on it; the end of the
// attempt ends that, also in the next life of the agent.
func TestAffects(t *testing.T) {
	conf := strings.Replace(crowd(), "    attempts  = 50\n", "    affects   = [\"worker\"]\n", 1) // of checkout's
	conf = strings.Replace(conf, `  unit    = "postgres.service"`+"\n  startup", "  unit    = \"postgres.service\"\n  depends_on = [\"worker\"]\n  startup", 1)
	heals(t, conf, func(h *rig) {
		h.at["acted"] = func() { h.health("worker", 0); h.health("postgres", 0) }
		h.health("checkout", 0)
		h.Advance(8 * time.Second)
		id := h.Last("checkout").ID[:8]
		muted := "muted: restart-db-for-checkout of incident " + id + " is being verified on postgres.service, which affects worker"
		h.WantSaid("worker", muted)
		h.Restarts()
		h.Advance(5 * time.Second)
		if got := h.held("worker"); got != muted {
			t.Errorf("after a restart: %q", got)
		}
		h.WantActs("restart postgres.service")
		h.health("checkout", 1)
		h.Until("its turn", 40*time.Second, func() bool { return h.count() == 2 })
		a, b := h.Last("checkout").Runs[0], h.Last("worker").Runs[0]
		if b.Intended.Boot-a.Judged.Boot > 100*time.Millisecond {
			t.Errorf("it had its turn %v late", b.Intended.Boot-a.Judged.Boot)
		}
		h.WantState("checkout", incident.Resolved)
	})
}
