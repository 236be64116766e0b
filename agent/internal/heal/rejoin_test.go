package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
)

// TestTwoGoOn: the agent dies while one attempt is taken back, because it need not last any longer, and another one of the
// same service is under way. The next process ends both, and does not say that nobody can.
func TestTwoGoOn(t *testing.T) {
	conf := strings.NewReplacer(
		"allow {", "allow {\n  units   = [\"worker@*.service\"]\n  actions = [\"restart\"]\n}\nallow {",
		`service "checkout" {`, "service \"checkout\" {\n  unit = \"worker@*.service\"\n  remedy \"restart\" \"restart\" {}",
	).Replace(lasting) + worse
	heals(t, conf, func(h *rig) {
		h.cut()
		h.Advance(9 * time.Second)
		hold := make(chan struct{})
		h.when("undoing", func() { <-hold })
		h.Tells(dependency, 1)
		h.Advance(15 * time.Second)
		h.Fails("worker@1.service")
		h.Until("acting", time.Minute, func() bool { return h.count() == 2 })
		h.Advance(time.Second)
		h.p.dead.Store(true)
		close(hold)
		h.Restarts()
		h.Advance(time.Minute)
		h.WantActs("isolate payments", "restart worker@1.service", "undo cut payments")
		h.WantPages()
		h.WantOutcomes("checkout", "cut verified", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "cut was taken back", "restart healed it")
		h.waits(0)
	})
}

// TestVerifiedIsNotFailed: an attempt that helped and has ended in its time has not failed, whenever the controller hears of it.
func TestVerifiedIsNotFailed(t *testing.T) {
	fleets(t, controlled(lasting), func(h *rig) {
		h.Tells(health, 0)
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.node.Down(true)
		h.Tells(health, 1)
		h.Advance(10 * time.Second)
		h.WantOutcomes("checkout", "cut verified")
		h.p.Expired(must(h.p.o.Act.Undo(h.ctx(), h.disk.attempts()[0].ID)), nil)
		h.Restarts()
		h.node.Down(false)
		h.connected()
		h.Advance(10 * time.Second)
		h.wantLine("grant 1@g1 cut", "settle 1@g1 serving")
	})
}

// TestRefusalIsWrittenLater: an attempt whose intent went to a disk that then took nothing more, not that it did not begin
// either, is no attempt that the next process finds to have run because the one after it did.
func TestRefusalIsWrittenLater(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.when("gate", func() {
			h.disk.fill(true)
			h.node.Pause("service:checkout", "eve", 0)
			time.Sleep(50 * time.Millisecond)
		})
		h.falls()
		h.WantActs()
		h.disk.fill(false)
		h.node.Resume("")
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.Advance(20 * time.Second)
		h.WantOutcomes("checkout", "restart verified")
		h.Restarts()
		h.Advance(20 * time.Second)
		h.WantActs("restart " + unit)
		if a := h.disk.attempts(); len(a) != 2 || a[0].Phase != incident.Refused || a[1].Outcome != incident.Verified {
			t.Errorf("on disk are %d attempts:\n%s", len(a), h.Story())
		}
	})
}

// TestResidueIsTold: the agent dies when it has just given an undo up, and the service is well again when the next one comes.
// What may still be there is people's all the same.
func TestResidueIsTold(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.p.undoFails.Store(true)
		h.Tells(health, 0)
		h.when("after attempt unknown", func() { h.p.dead.Store(true) })
		h.Until("killed", time.Minute, func() bool { return h.p.dead.Load() })
		h.Tells(health, 1)
		h.Restarts()
		h.Advance(time.Minute)
		h.WantState("checkout", incident.Escalated)
		h.WantPages("trigger checkout: journald.log")
		h.WantSaid("checkout", "limit could not be taken back: systemd refused")
	})
}

// TestStopForgetsNothing: what an attempt says as it ends while the agent stops is heard, also if the engine has its hands full.
func TestStopForgetsNothing(t *testing.T) {
	for range 20 {
		heals(t, two, func(h *rig) {
			hold, busy := make(chan struct{}), make(chan struct{})
			h.when("undoing", func() { <-hold })
			h.Tells(health, 0)
			h.Until("undoing", time.Minute, func() bool { return len(h.stepsPassed("undoing")) == 1 })
			time.AfterFunc(time.Second, func() { h.p.post(func() { <-busy }); close(hold) })
			time.AfterFunc(2*time.Second, func() { close(busy) })
			h.Stop()
			if story := h.Story(); !strings.Contains(story, "limit was taken back") {
				t.Errorf("nothing says that it was taken back:\n%s", story)
			}
			h.Start()
		})
	}
}
