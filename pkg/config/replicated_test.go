package config

import (
	"encoding/hex"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/salveops/salve/proto/logpb"
)

func loadController(t *testing.T, src string) *ControllerFile {
	t.Helper()
	s := layOut(t, "-- controller.hcl --\n"+src)
	c, diags := LoadController(filepath.Join(s.dir, controllerFile), s.opts)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return c
}

const decisive = `
service "b" {
  max_unavailable = 1 * percent / 10000
  owners          = "payments"
  escalation      = "night"
}
service "a" {
  max_unavailable = 30 * percent
  autonomy        = "observe"
  permit          = "always"
}
service "c" {
  max_unavailable = 0
  alone           = "act"
  unsafe_alone    = true
}
fleet_max = 5
breaker {
  window = "7m"
}
notifier "journald" "log" {}
escalation "night" {
  step {
    after  = "5m"
    notify = ["journald.log"]
    repeat = 3
  }
  step { notify = ["journald.log"] }
}
escalation "default" {
  step { notify = ["journald.log"] }
}
window "z" {
  from     = "22:00"
  to       = "06:00"
  zone     = "Europe/Berlin"
  days     = ["sun", "sat", "sun"]
  services = ["b", "a"]
  reason   = "backup"
}
window "y" {
  from = "01:00"
  to   = "02:00"
  zone = "UTC"
}
`

func TestReplicated(t *testing.T) {
	got := loadController(t, decisive).Replicated()
	step := &logpb.Step{Notify: []string{"journald.log"}}
	want := &logpb.Config{
		BreakerShare: 300_000, BreakerWindow: int64(7 * time.Minute), FleetMax: 5,
		Services: []*logpb.Service{
			{Name: "a", MaxUnavailableShare: proto.Uint32(300_000), Autonomy: "observe", PermitAlways: true},
			{Name: "b", MaxUnavailableShare: proto.Uint32(1), Owners: "payments", Escalation: "night"},
			{Name: "c", MaxUnavailable: proto.Uint32(0), AloneAct: true},
		},
		Escalations: []*logpb.Escalation{
			{Name: "default", Steps: []*logpb.Step{step}},
			{Name: "night", Steps: []*logpb.Step{
				{After: int64(5 * time.Minute), Notify: []string{"journald.log"}, Repeat: 3}, step,
			}},
		},
		Windows: []*logpb.Window{
			{Name: "y", From: "01:00", To: "02:00", Zone: "UTC"},
			{Name: "z", From: "22:00", To: "06:00", Zone: "Europe/Berlin", Days: []uint32{0, 6},
				Services: []string{"a", "b"}, Reason: "backup"},
		},
		Digest: got.GetDigest(),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	checkReplicated(t, got)
}

// TestReplicatedDigest: nodes that agree on what decides have one digest, whatever else their files say and in whichever
// order; nodes that do not, have two.
func TestReplicatedDigest(t *testing.T) {
	digest := func(src string) string {
		return hex.EncodeToString(loadController(t, src).Replicated().GetDigest())
	}
	const more = "service \"d\" {}\nescalation \"x\" {\n  step { notify = [\"journald.log\"] }\n}\n"
	first := digest(decisive + more)
	for name, src := range map[string]string{
		"order":      more + decisive,
		"node":       "node = \"ctl-2\"\nlisten {\n  http = \"\"\n}\n" + decisive + more,
		"notifiers":  decisive + more + "notifier \"email\" \"x\" { to = \"a@example.org\" }\n",
		"comments":   "# a comment\n" + decisive + more,
		"the digest": decisive + more,
	} {
		if got := digest(src); got != first {
			t.Errorf("%s changed the digest from %s to %s", name, first, got)
		}
	}
	seen := map[string]string{first: "the first"}
	for name, src := range map[string]string{
		"a service less":    decisive,
		"another limit":     decisive + more + "service \"e\" { max_unavailable = 2 }\n",
		"another share":     decisive + more + "service \"e\" { max_unavailable = 2 * percent }\n",
		"another escalated": decisive + more + "escalation \"y\" {\n  step { notify = [\"journald.log\"] }\n}\n",
	} {
		got := digest(src)
		if other, twice := seen[got]; twice {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[got] = name
	}
}

// checkReplicated holds for whatever could be loaded: sorted, without doubles, within bounds.
func checkReplicated(t *testing.T, c *logpb.Config) {
	t.Helper()
	var names [3][]string
	for _, s := range c.GetServices() {
		names[0] = append(names[0], s.GetName())
		if (s.MaxUnavailable == nil) == (s.MaxUnavailableShare == nil) {
			t.Errorf("%s has not exactly one limit: %v", s.GetName(), s)
		}
		if share := s.MaxUnavailableShare; share != nil && (*share == 0 || *share > million) {
			t.Errorf("%s has a share of %d parts per million", s.GetName(), *share)
		}
	}
	for _, e := range c.GetEscalations() {
		names[1] = append(names[1], e.GetName())
		if len(e.GetSteps()) == 0 {
			t.Errorf("escalation %s has no steps", e.GetName())
		}
	}
	for _, w := range c.GetWindows() {
		names[2] = append(names[2], w.GetName())
		if _, err := time.LoadLocation(w.GetZone()); err != nil || w.GetZone() == "" || w.GetZone() == "Local" {
			t.Errorf("window %s is in no zone that all nodes know: %q", w.GetName(), w.GetZone())
		}
	}
	for _, list := range names {
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("not sorted, or double: %v", list)
		}
	}
	if share := c.GetBreakerShare(); share == 0 || share > million || c.GetBreakerWindow() <= 0 || len(c.GetDigest()) != 32 {
		t.Errorf("out of bounds: %v", c)
	}
}
