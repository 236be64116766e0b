package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/agentpb"
)

// helpless is a service for which nothing is left to try.
func (h *rig) helpless() {
	h.Trait(unit, trait{broken: true})
	h.Fails(unit)
}

// What the controller has, it tells people of; this host keeps quiet.
func TestControllerTellsPeople(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.helpless()
		h.Advance(30 * time.Minute)
		h.WantState("checkout", incident.Escalated)
		h.WantPages()
		if got := h.toldController("hand over"); len(got) == 0 {
			t.Error("nobody was handed anything over")
		}
		h.Trait(unit, trait{})
		h.up(unit)
		h.Advance(time.Minute)
		h.WantPages()
		h.WantState("checkout", incident.Resolved)
	})
}

// no-silence: what the controller does not have in two minutes this host tells itself, under its own key; the
// controller adopts that later, and this host climbs no further. The end is told to whoever was told.
func TestPagesByItself(t *testing.T) {
	conf := strings.Replace(sick, `step { notify = ["journald.log"] }`, `step { notify = ["journald.log"] }
  step {
    after  = "10m"
    notify = ["journald.log"]
  }`, 1)
	fleets(t, conf, func(h *rig) {
		h.node.Down(true)
		h.helpless()
		h.Until("handed over", 20*time.Minute, func() bool { return h.lastState() == incident.Escalated })
		h.Advance(quietFor - time.Second)
		h.WantPages()
		h.Advance(2 * time.Second)
		h.WantPages("trigger checkout: journald.log")
		h.node.Down(false)
		h.connected()
		h.Advance(30 * time.Minute)
		h.WantPages()
		h.wantTold([]string{"page"}, "page journald.log")
		h.up(unit)
		h.Advance(time.Minute)
		h.WantPages("resolve checkout: journald.log")
	})
}

// no-silence: an incident that climbs an escalation which the file no longer has goes on with the default one.
func TestEscalationIsGone(t *testing.T) {
	plain := strings.NewReplacer(`controller {
  addresses = ["127.0.0.1:7600", "127.0.0.1:7700"]
}
`, "", `step { notify = ["journald.log"] }`, `step { notify = ["journald.log"] }
  step {
    after  = "10m"
    notify = ["journald.log"]
  }`).Replace(sick)
	team := strings.NewReplacer("---\n", `escalation "team" {
  step { notify = ["journald.log"] }
}
---
`, `when     = unit.failed`, `when     = unit.failed
  escalate { to = "team" }`).Replace(plain)
	heals(t, team, func(h *rig) {
		h.helpless()
		h.Until("handed over", 20*time.Minute, func() bool { return h.lastState() == incident.Escalated })
		h.Advance(time.Minute)
		h.WantPages("trigger checkout: journald.log")
		if err := h.p.Swap(h.ctx(), load(t, plain)); err != nil {
			t.Fatal(err)
		}
		h.Advance(20 * time.Minute)
		h.WantPages("trigger checkout: journald.log")
	})
}

// A controller that has nobody to tell leaves it to this host.
func TestControllerHasNobodyToTell(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Escalates(false)
		h.helpless()
		h.Until("handed over", 20*time.Minute, func() bool { return h.lastState() == incident.Escalated })
		h.Advance(quietFor + time.Second)
		h.WantPages("trigger checkout: journald.log")
	})
}

// The controller knows nothing of an incident without an alert: this host tells people at once.
func TestIncidentWithoutAnAlert(t *testing.T) {
	fleets(t, controlled(two), func(h *rig) {
		h.at["acting"] = func() { h.p.dead.Store(true) }
		h.asks("hook")
		h.Advance(time.Second)
		h.Restarts()
		h.Advance(10 * time.Second)
		h.WantState("checkout", incident.Escalated)
		h.WantPages("trigger checkout: journald.log")
	})
}

// Acknowledged through the controller no new remedy runs, also after a restart of the agent; released, it goes on.
// Here it cannot be released: the person is not here.
func TestAcknowledgedThroughTheController(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Refuse("cap", "another host is under repair", 1e9)
		h.falls()
		id := h.Last("checkout").ID
		h.node.Decide(id, func(o *agentpb.IncidentOrder) { o.AckBy = "kim" })
		h.node.Refuse("", "", 0)
		h.Advance(time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Acknowledged)
		h.WantSaid("checkout", "kim acknowledged the incident through the controller")
		h.node.Down(true)
		h.Restarts()
		h.Advance(time.Minute)
		h.WantState("checkout", incident.Acknowledged)
		if _, err := h.p.Release(h.ctx(), id, "eve"); err == nil || !strings.Contains(err.Error(), "kim has it") {
			t.Errorf("released here: %v", err)
		}
		h.node.Decide(id, func(o *agentpb.IncidentOrder) { o.AckBy, o.Released = "", 7 })
		h.node.Down(false)
		h.connected()
		h.Advance(5 * time.Second)
		h.WantActs("restart " + unit)
		if n := strings.Count(h.timeline("checkout"), "was handed back to Salve"); n != 1 {
			t.Errorf("it was handed back %d times", n)
		}
	})
}

// A person who has it may let remedies go on.
func TestKeepHealing(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Refuse("cap", "another host is under repair", 1e9)
		h.falls()
		h.node.Decide(h.Last("checkout").ID, func(o *agentpb.IncidentOrder) { o.AckBy, o.KeepHealing = "kim", true })
		h.node.Refuse("", "", 0)
		h.Advance(2 * time.Second)
		h.WantActs("restart " + unit)
	})
}

// A person ends it: what fires still is theirs. An attempt under way comes to its end, and is settled.
func TestEndedThroughTheController(t *testing.T) {
	for _, acting := range []bool{false, true} {
		fleets(t, sick, func(h *rig) {
			h.Trait(unit, trait{})
			if !acting {
				h.node.Refuse("cap", "another host is under repair", 1e9)
			}
			h.falls()
			h.node.Decide(h.Last("checkout").ID, func(o *agentpb.IncidentOrder) { o.Resolved = true })
			h.Advance(30 * time.Second)
			h.WantState("checkout", incident.Resolved)
			h.wantTold([]string{"resolved"}, "resolved 1")
			h.Advance(5 * time.Minute)
			if got := h.node.Permits(); len(got) > 0 {
				t.Errorf("counted are %q", got)
			}
			if n := h.count(); n > 1 {
				t.Errorf("%d attempts were made of what is over", n)
			}
		})
	}
}

// The whole story reaches the controller in order: alert, decision, evidence, action, outcome, end.
func TestTheStoryIsTold(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.falls()
		h.Advance(20 * time.Second)
		got := strings.Join(h.toldController(), "\n")
		for _, want := range []string{
			"fired ill\n", "decide: restart is the remedy to try", "diagnose: collected: ", "intent: restart begins: restart",
			"act: restart on checkout.service took", "verify: restart: verified: ", "resolved 1 verified\nend: resolved: restart healed it",
		} {
			at := strings.Index(got, want)
			if at < 0 {
				t.Fatalf("%q is not told, or too early; told is\n%s", want, strings.Join(h.toldController(), "\n"))
			}
			got = got[at:]
		}
		var outcome, evidence, local int
		for _, ev := range h.node.Events("h") {
			outcome += int(ev.GetStory().GetOutcome().GetVerified())
			for _, ref := range ev.GetStory().GetEvidence() {
				if h.node.Evidence(ref.GetDigest()) != "" {
					evidence++
				}
			}
			if ev.GetFired().GetLocal() == h.Last("checkout").ID {
				local++
			}
		}
		if outcome != 1 || evidence < 2 || local != 1 {
			t.Errorf("%d outcomes, %d pieces of evidence, %d alerts of the incident", outcome, evidence, local)
		}
	})
}

// An alert that clears while the remedy is still being proved is told as over with the proof: the controller's
// incident does not end in the middle, and is healed when it ends. That outlives the process.
func TestEndWaitsForTheProof(t *testing.T) {
	for _, killed := range []bool{false, true} {
		conf := strings.Replace(sick, `hold   = "3s"`, `hold   = "15s"`, 1)
		conf = strings.Replace(conf, `within = "20s"`, `within = "40s"`, 1)
		fleets(t, conf, func(h *rig) {
			h.falls()
			h.Advance(8 * time.Second)
			h.WantSaid("checkout", "ill no longer fires")
			h.wantTold([]string{"resolved"})
			if killed {
				h.Restarts()
				h.connected()
			}
			h.Advance(40 * time.Second)
			h.wantTold([]string{"resolved"}, "resolved 1 verified")
			h.WantState("checkout", incident.Resolved)
		})
	}
}

// What a person asks for and the controller refuses does not run, and the person hears why.
func TestPersonIsRefusedByTheController(t *testing.T) {
	fleets(t, controlled(two), func(h *rig) {
		h.node.Refuse("cap", "web-2 is under repair", 1e9)
		got, err := h.p.RunByHand(h.ctx(), local.RunRequest{Remedy: "limit", By: "eve"}, func(local.Event) error { return nil })
		if err != nil || got.Verdict != "refused" || got.Reason != "web-2 is under repair" {
			t.Errorf("%+v, %v", got, err)
		}
		h.WantActs()
		h.node.Refuse("", "", 0)
		got, err = h.p.RunByHand(h.ctx(), local.RunRequest{Remedy: "limit", By: "eve"}, func(local.Event) error { return nil })
		if err != nil || got.Verdict != "verified" {
			t.Errorf("%+v, %v", got, err)
		}
		h.Advance(time.Second)
		if got := h.node.Permits(); len(got) > 0 {
			t.Errorf("counted are %q", got)
		}
	})
}

// The incident's name is the one that everybody computes who knows its first alert and the generation.
func TestIncidentIDUsesTheGeneration(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.falls()
		i := h.Last("checkout")
		if want := incident.ID("g1", i.Alerts[0].Key); i.ID != want || i.Alerts[0].Key.Stream != "out" {
			t.Errorf("the ID is %s, want %s of %+v", i.ID, want, i.Alerts[0].Key)
		}
	})
}

// A host that gets a controller while something is wrong tells it of that, under names of the stream.
func TestGetsAController(t *testing.T) {
	alone := sick[:strings.Index(sick, "controller {")] + sick[strings.Index(sick, "---"):]
	heals(t, alone, func(h *rig) {
		h.Tells(health, 1)
		h.Tells(alive, 1)
		h.Advance(8 * time.Second)
		h.Pauses("all", 0)
		h.falls()
		h.WantState("checkout", incident.Open)
		h.controls(sick)
		h.connected()
		h.Advance(time.Second)
		h.wantTold([]string{"fired", "resolved"}, "fired ill", "resolved 1")
		i := h.Last("checkout")
		if k := i.Alerts[0].Key; k.Stream != "out" || len(i.Alerts) != 1 {
			t.Errorf("the alerts are %+v", i.Alerts)
		}
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		h.WantState("checkout", incident.Resolved)
		h.wantTold([]string{"resolved"}, "resolved 1", "resolved 1")
	})
}

// controls starts the agent anew with another configuration.
func (h *rig) controls(conf string) {
	h.Kill()
	h.withNode(conf)
	h.Start()
}
