package heal

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// human-wins: what people say while an action is under way lets it begin no further part, and the story says so.
func TestHaltedByPeople(t *testing.T) {
	for name, c := range map[string]struct {
		say func(*rig)
		why string
	}{
		"all":     {func(h *rig) { h.Pauses("all", 0) }, "everything is paused by eve until resumed (maintenance)"},
		"unit":    {func(h *rig) { h.Pauses("unit:"+unit, time.Hour) }, "unit checkout.service is paused by eve for 1h more (maintenance)"},
		"service": {func(h *rig) { h.Pauses("service:checkout", 0) }, "service checkout is paused by eve until resumed (maintenance)"},
		"ack": {func(h *rig) {
			if _, err := h.p.Acknowledge(h.ctx(), "last", false, "", "eve"); err != nil {
				h.t.Error(err)
			}
		}, "eve acknowledged the incident; no new remedy runs until it is released"},
	} {
		t.Run(name, func(t *testing.T) {
			heals(t, two, func(h *rig) {
				h.at["acting"] = func() { c.say(h) }
				h.Tells(health, 0)
				h.Advance(time.Minute)
				h.WantActs("undo limit checkout.service")
				h.WantSaid("checkout", "limit begins no further part: "+c.why)
				h.WantOutcomes("checkout", "limit ineffective")
			})
		})
	}
}

// What holds nothing of the action lets it go on.
func TestNotHalted(t *testing.T) {
	for i, say := range []func(*rig){
		func(h *rig) { h.Pauses("unit:worker@1.service", 0) },
		func(h *rig) {
			if _, err := h.p.Acknowledge(h.ctx(), "last", true, "", "eve"); err != nil {
				h.t.Error(err)
			}
		},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			heals(t, crowd(), func(h *rig) {
				h.at["acting"] = func() { say(h) }
				h.health("checkout", 0)
				h.Advance(10 * time.Second)
				h.WantActs("restart postgres.service")
			})
		})
	}
}

// human-wins, about a unit of another service: a pause of that service halts what is at work on it.
func TestHaltedByAnotherService(t *testing.T) {
	heals(t, crowd(), func(h *rig) {
		h.at["acting"] = func() { h.Pauses("service:postgres", 0) }
		h.health("checkout", 0)
		h.Advance(10 * time.Second)
		h.WantSaid("checkout", "restart-db-for-checkout begins no further part: service postgres is paused by eve until resumed (maintenance)")
	})
}

// What a remedy changes beside its target is of other services: their pause holds it, and its permit is for them, too.
func TestBeside(t *testing.T) {
	conf := strings.NewReplacer(
		`units   = ["checkout.service"]`, `units   = ["checkout.service", "postgres.service"]`,
		"controller {", "allow {\n  paths   = [\"/srv/current\"]\n  actions = [\"rollback\"]\n}\ncontroller {",
		`startup = "5s"`, "startup = \"5s\"\n  release = \"/srv/current\"",
		`remedy "restart" "restart" {`, "remedy \"rollback\" \"restart\" {\n    releases = \"/srv/releases\"\n"+
			"    units    = [\"checkout.service\", \"postgres.service\"]",
		`rule "ill"`, "service \"postgres\" {}\nrule \"ill\"",
	).Replace(sick)
	fleets(t, conf, func(h *rig) {
		h.Pauses("service:postgres", 0)
		h.falls()
		h.Advance(10 * time.Second)
		h.WantActs()
		if got := h.held("checkout"); !strings.Contains(got, "service postgres is paused by eve") {
			t.Errorf("held: %q", got)
		}
		if _, err := h.p.Resume(h.ctx(), "service:postgres", "eve"); err != nil {
			t.Fatal(err)
		}
		h.Advance(3 * time.Second)
		h.WantActs("rollback /srv/current")
		var services []string
		for _, x := range h.node.Permit(token(1)).GetTargets() {
			services = append(services, x.GetService()+x.GetResource())
		}
		if got := strings.Join(services, " "); got != "checkout postgres" {
			t.Errorf("the permit is for %q", got)
		}
	})
}

// human-wins: on a unit of a service whose incident a person has, no remedy of another service begins, nor goes on.
func TestTakenByPerson(t *testing.T) {
	heals(t, crowd(), func(h *rig) {
		h.health("postgres", 0)
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		id := h.Last("postgres").ID
		acknowledge := func() {
			if _, err := h.p.Acknowledge(h.ctx(), id, false, "", "ann"); err != nil {
				t.Error(err)
			}
		}
		acknowledge()
		h.health("checkout", 0)
		h.Advance(50 * time.Second) // the attempt on postgres has ended, and another one is due
		h.WantActs("restart postgres.service")
		if got := h.held("checkout"); !strings.Contains(got, "ann has the incident "+id[:8]) {
			t.Errorf("held: %q", got)
		}
		h.when("acting", func() { acknowledge() })
		if _, err := h.p.Release(h.ctx(), id, "ann"); err != nil {
			t.Fatal(err)
		}
		h.Advance(10 * time.Second)
		h.WantSaid("checkout", "restart-db-for-checkout begins no further part: ann has the incident "+id[:8])
	})
}
