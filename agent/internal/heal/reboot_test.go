package heal

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/agentpb"
)

// rebooted has a second service, and a reboot as the remedy of the first.
var rebooted = strings.NewReplacer(
	"controller {", "allow {\n  host    = true\n  actions = [\"reboot\"]\n}\ncontroller {",
	`remedy "restart" "restart" {`, `remedy "reboot" "restart" {`,
	`rule "ill"`, "service \"postgres\" {}\nrule \"ill\"",
).Replace(sick)

// A host is rebooted with the leave for all of its services. The agent does not hold up its own end, and the next one, in
// another boot, verifies: nothing of the old boot's time counts against it.
func TestRebooted(t *testing.T) {
	fleets(t, rebooted, func(h *rig) {
		h.falls()
		h.WantActs("reboot host")
		var services []string
		for _, x := range h.node.Permit(token(1)).GetTargets() {
			services = append(services, x.GetService()+x.GetResource())
		}
		slices.Sort(services)
		if got := strings.Join(services, " "); got != "checkout postgres reboot:host" {
			t.Errorf("the permit is for %q", got)
		}
		h.Advance(6 * time.Minute) // longer than the permit lets it run
		began := time.Now()
		h.Stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the agent held the shutdown up for %s", took)
		}
		if a := h.disk.attempts(); len(a) != 1 || a[0].Phase != incident.Intended {
			t.Fatalf("on disk is %+v", a)
		}
		for _, ev := range h.Last("checkout").Timeline {
			if ev.Type == incident.EvAct || ev.Type == incident.EvVerify {
				t.Errorf("before the host is back, it is told: %s", ev.Text)
			}
		}
		h.clock.id.Store("boot-2")
		h.Tells(health, 1)
		h.Start()
		h.Advance(30 * time.Second)
		h.WantOutcomes("checkout", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.wantLine("grant 1@g1 restart of the whole host", "settle 1@g1 serving")
		h.WantSaid("checkout", "it had run; it is being verified")
		h.WantActs()
	})
}

// A host that is still in the same boot was not rebooted: the attempt failed, and so did its permit.
func TestNotRebooted(t *testing.T) {
	fleets(t, rebooted, func(h *rig) {
		h.falls()
		h.Restarts()
		h.Advance(5 * time.Second)
		h.WantOutcomes("checkout", "restart ineffective")
		h.wantLine("grant 1@g1 restart of the whole host", "settle 1@g1 failed")
	})
}

// Out of the controller's reach nothing is rebooted, whatever the host may do alone.
func TestNotRebootedAlone(t *testing.T) {
	fleets(t, strings.Replace(rebooted, "startup = \"5s\"", "startup = \"5s\"\n  alone = \"act\"\n  unsafe_alone = true", 1), func(h *rig) {
		for _, name := range []string{"checkout", "postgres"} {
			h.node.Order(name, func(o *agentpb.ServiceOrder) { o.Sole, o.AloneAct = true, true })
		}
		h.Advance(5 * time.Second)
		h.node.Down(true)
		h.falls()
		h.Advance(20 * time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Escalated)
	})
}

// What a person holds of the host holds all of it: a pause of another service, another incident that somebody has.
func TestPersonKeepsTheHostUp(t *testing.T) {
	for name, hold := range map[string]func(h *rig){
		"a pause of another unit": func(h *rig) {
			if _, err := h.p.Pause(context.Background(), "service:postgres", time.Hour, "ann works on it", "ann"); err != nil {
				t.Fatal(err)
			}
		},
		"an incident of another service": func(h *rig) {
			h.Fails("postgres.service")
			h.Advance(5 * time.Second)
			if _, err := h.p.Acknowledge(context.Background(), h.Last("postgres").ID, false, "", "ann"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			conf := strings.Replace(rebooted, "services = [\"checkout\"]\n  severity = \"critical\"\n  when     = unit.failed\n  try      = [\"restart\"]",
				"services = [\"postgres\"]\n  severity = \"critical\"\n  when     = unit.failed", 1)
			fleets(t, conf, func(h *rig) {
				hold(h)
				h.falls()
				h.Advance(time.Minute)
				h.WantActs()
			})
		})
	}
}
