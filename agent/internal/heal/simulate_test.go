package heal

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/simulate"
)

// TestSimulatorTellsTheSame: what a test of rules says is what a host would do. The same trouble is played to this
// engine and to the simulator, and both must tell the same story, decision by decision, in the same words; only
// times may differ by the second that is a simulator's step.
func TestSimulatorTellsTheSame(t *testing.T) {
	const well, ill = 1, 0
	for _, c := range []struct {
		name, conf, test string
		lasts            time.Duration
		live             func(*rig)
	}{
		{
			"a crash", one, `
			series = { "unit.state{checkout.service}" = "active x10 failed" }`,
			time.Minute,
			func(h *rig) { h.Advance(10 * time.Second); h.Fails("checkout.service") },
		},
		{
			"a crash after each start", one, `
			series = { "unit.state{checkout.service}" = "active x10 failed" }
			after "restart" { series = { "unit.state{checkout.service}" = "active x3 failed" } }`,
			15 * time.Minute,
			func(h *rig) {
				h.Trait("checkout.service", trait{dies: 3 * time.Second})
				h.Advance(10 * time.Second)
				h.Fails("checkout.service")
			},
		},
		{
			"a limit is taken back and a restart helps", two, `
			series = { "probe.health.ok{checkout}" = "true x60 false" }
			after "restart" { series = { "probe.health.ok{checkout}" = "true" } }`,
			3 * time.Minute,
			func(h *rig) {
				h.Trait("checkout.service", trait{cures: func() { h.Tells(health, well) }})
				h.Tells(health, well)
				h.Advance(time.Minute)
				h.Tells(health, ill)
			},
		},
		{
			"nothing helps", two, `
			series = { "probe.health.ok{checkout}" = "true x60 false" }`,
			25 * time.Minute,
			func(h *rig) {
				h.Tells(health, well)
				h.Advance(time.Minute)
				h.Tells(health, ill)
			},
		},
		{
			"no figures after the restart", strings.Replace(two, `["limit", "restart"]`, `["restart"]`, 1), `
			series = { "probe.health.ok{checkout}" = "true x60 false" }
			after "restart" { series = { "probe.health.ok{checkout}" = "unknown" } }`,
			10 * time.Minute,
			func(h *rig) {
				h.Trait("checkout.service", trait{cures: func() { h.Silent(health) }})
				h.Tells(health, well)
				h.Advance(time.Minute)
				h.Tells(health, ill)
			},
		},
		{
			"autonomy is observe",
			strings.NewReplacer(`"full"`, `"observe"`, `clear_for = "2s"`, `clear_for = "20s"`).Replace(two), `
			autonomy = "observe"
			series   = { "probe.health.ok{checkout}" = "true x60 false x60 true" }`,
			5 * time.Minute,
			func(h *rig) {
				h.Tells(health, well)
				h.Advance(time.Minute)
				h.Tells(health, ill)
				h.Advance(time.Minute)
				h.Tells(health, well)
			},
		},
		{
			"an action that fails", one, `
			series = { "unit.state{checkout.service}" = "active x10 failed" }
			after "restart" {
			  fails  = "systemd's job for checkout.service ended as \"failed\""
			  series = { "unit.state{checkout.service}" = "failed" }
			}`,
			10 * time.Minute,
			func(h *rig) {
				h.Trait("checkout.service", trait{broken: true})
				h.Advance(10 * time.Second)
				h.Fails("checkout.service")
			},
		},
		{
			"stopped by a person", two, `
			series = {
			  "probe.health.ok{checkout}"    = "true x60 false"
			  "unit.state{checkout.service}" = "active x60 inactive"
			}`,
			10 * time.Minute,
			func(h *rig) {
				h.Tells(health, well)
				h.Advance(time.Minute)
				h.Tells(health, ill)
				h.stoppedByPerson()
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := simulated(t, c.conf, c.test, c.lasts)
			if len(want) < 3 {
				t.Fatalf("this story proves nothing: %q", want)
			}
			heals(t, c.conf, func(h *rig) {
				c.live(h)
				h.Advance(c.lasts - (h.clock.Now().Boot - boot))
				var got []string
				for _, ev := range h.Last("checkout").Timeline {
					got = append(got, sentence(ev.Type, ev.Text)...)
				}
				if diff := cmp.Diff(got, want); diff != "" {
					t.Errorf("(-engine +simulator)\n%s", diff)
				}
			})
		})
	}
}

// simulated is the story as the simulator tells it.
func simulated(t *testing.T, conf, test string, lasts time.Duration) []string {
	t.Helper()
	agent, rules, _ := strings.Cut(conf, "---\n")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "agent.hcl"), agent)
	if err := os.Mkdir(filepath.Join(dir, "rules.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	test = "test \"x\" {\n" + test + "\nat \"" + lasts.String() + "\" { firing = [] }\n}\n"
	write(t, filepath.Join(dir, "rules.d", "test.hcl"), rules+test)
	cfg, diags := config.LoadTests(dir, config.LoadOptions{Host: "h"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var out []string
	for _, l := range simulate.Run(cfg, cfg.Tests[0]).Story {
		out = append(out, sentence(l.Type, l.Text)...)
	}
	return out
}

// times are what both may tell differently: a simulator's action takes no time, and its second is a whole one.
var times = regexp.MustCompile(`\b[0-9]+(h[0-9]+m|m[0-9]+s|ms|h|m|s)\b`)

// sentence is an event without its times; nothing if only one of them knows of such things.
func sentence(typ incident.EventType, text string) []string {
	switch typ {
	case incident.EvDiagnose, incident.EvNotify, incident.EvIntent, incident.EvAct:
		return nil
	case incident.EvEscalate:
		if strings.HasPrefix(text, "step ") {
			return nil
		}
	}
	return []string{string(typ) + ": " + times.ReplaceAllString(text, "#")}
}
