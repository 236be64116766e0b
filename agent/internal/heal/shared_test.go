package heal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
)

// shares lets every restart of a configuration act on what hosts share.
func shares(conf string) string {
	return strings.ReplaceAll(conf, `remedy "restart" "restart" {`, `remedy "restart" "restart" {`+"\n    permit = \"sessions\"")
}

// What hosts share takes its permit by name, with the service's own, and gives it back; also where nothing else needs one.
func TestSharedPermit(t *testing.T) {
	for name, fails := range map[string]func(*rig){"sick": (*rig).falls, "dead": func(h *rig) { h.Fails(unit) }} {
		t.Run(name, func(t *testing.T) {
			fleets(t, shares(sick), func(h *rig) {
				h.node.Refuse("target", "sessions is under repair by restart on web-2", 1e9)
				fails(h)
				h.Advance(20 * time.Second)
				h.WantActs()
				h.WantSaid("checkout", "restart waits for its permit: sessions is under repair by restart on web-2")
				h.node.Refuse("", "", 0)
				h.Advance(time.Minute)
				h.WantActs("restart " + unit)
				p := h.Last("checkout").Runs[0].Permit
				if p == nil || !slices.Contains(p.Targets, permit.Target{Resource: "sessions"}) ||
					!slices.Contains(p.Targets, permit.Target{Service: "checkout", Host: "h"}) {
					t.Errorf("permit %+v", p)
				}
				h.WantState("checkout", incident.Resolved)
				h.wantSettled("in the end")
			})
		})
	}
}

// Nothing is done about what hosts share while nobody can be asked, whatever right this host has to act alone.
func TestSharedIsNeverAlone(t *testing.T) {
	fleets(t, shares(sick), func(h *rig) {
		h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Sole, o.AloneAct = true, true })
		h.Advance(time.Second)
		h.node.Down(true)
		h.falls()
		h.Advance(30 * time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Escalated)
	})
	heals(t, one, func(h *rig) { // no configuration gets there: the engine holds all the same
		for _, s := range h.cfg.Services {
			for _, r := range s.Remedies {
				r.Permit = "sessions"
			}
		}
		h.Fails(unit)
		h.Advance(time.Minute)
		h.WantActs()
		h.WantSaid("checkout", "which hosts share, and there is no controller to permit it")
	})
}
