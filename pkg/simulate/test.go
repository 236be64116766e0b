package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/signal"
)

// Result is what came of a test. Without failures it passed.
type Result struct {
	Test     *config.Test
	Failures []Failure
	Story    []Line // what happened, up to the last moment that the test looks at
}

// Failure is one expectation that was not met.
type Failure struct {
	At        time.Duration // since the beginning of the test
	What      string        // the key of the at block
	Want, Got []string
	Hint      string // why a rule that is wanted could not fire at all; "" none
	Range     hcl.Range
}

// Run runs a test of the configuration that it was loaded with.
func Run(all *config.Agent, t *config.Test) Result {
	h := newHost(all, t, known())
	r := Result{Test: t}
	for _, at := range t.At {
		for h.since() < at.At {
			h.tick()
		}
		r.Failures = append(r.Failures, h.check(at)...)
	}
	r.Story = h.lines
	return r
}

// known are the signals of which every test says something: units are active and nothing changes unless it says otherwise.
func known() []string {
	out := slices.Clone(care.VitalSignals[:])
	for _, in := range signal.All() {
		if strings.HasPrefix(in.Name, signal.Change+".") || strings.HasPrefix(in.Name, signal.HostChange+".") {
			out = append(out, in.Name)
		}
	}
	return out
}

// check compares what is so with what must be so.
func (h *host) check(at *config.TestAt) []Failure {
	var found []Failure
	fail := func(what string, want, got []string, where hcl.Range) {
		found = append(found, Failure{At: at.At, What: what, Want: want, Got: got, Range: where})
	}
	alerts := func(what string, want *config.Names, is func(*rule.Alert) bool) {
		if want == nil {
			return
		}
		if got := h.alertsThat(is); !sameAlerts(want.List, got) {
			fail(what, want.List, h.names(got), want.Range)
			found[len(found)-1].Hint = h.absence(want.List)
		}
	}
	alerts("firing", at.Firing, func(a *rule.Alert) bool { return a.State.Active() })
	alerts("pending", at.Pending, func(a *rule.Alert) bool { return a.State == rule.Pending })
	alerts("blind", at.Blind, func(a *rule.Alert) bool { return a.Blind })
	if at.Attempts != nil {
		if got := h.attempts(); !slices.Equal(got, at.Attempts.List) {
			fail("attempts", at.Attempts.List, got, at.Attempts.Range)
		}
	}
	if at.Would != nil {
		if got := h.would(); !slices.Equal(got, slices.Sorted(slices.Values(at.Would.List))) {
			fail("would", at.Would.List, got, at.Would.Range)
		}
	}
	for _, service := range slices.Sorted(maps.Keys(at.Incidents)) {
		if got, want := h.state(service), at.Incidents[service]; got != want {
			fail("incidents of "+service, []string{want}, []string{got}, at.Range)
		}
	}
	for _, part := range at.Said {
		if !slices.ContainsFunc(h.lines, func(l Line) bool { return strings.Contains(l.Text, part) }) {
			fail("said", []string{part}, nil, at.Range)
		}
	}
	return found
}

// absence says of the first rule in the list that takes no part in the test why that is so.
func (h *host) absence(alerts []string) string {
	for _, alert := range alerts {
		name, _, _ := strings.Cut(alert, "{")
		r := h.all.Rule(name)
		if r == nil || slices.Contains(h.cfg.Rules, r) {
			continue
		}
		if lacks := missing(h.given, r, known()); len(lacks) > 0 {
			return fmt.Sprintf("%s takes no part: series does not give %s", name, strings.Join(lacks, ", "))
		}
		return fmt.Sprintf("%s takes no part: series gives no signal of its services", name)
	}
	return ""
}

func (h *host) alertsThat(is func(*rule.Alert) bool) []*rule.Alert {
	return slices.DeleteFunc(h.rules.Every(), func(a *rule.Alert) bool { return !is(a) })
}

// sameAlerts reports whether each alert is wanted and each that is wanted is there, whatever the order.
func sameAlerts(want []string, got []*rule.Alert) bool {
	left := slices.Clone(want)
	for _, a := range got {
		i := slices.Index(left, full(a))
		if i < 0 {
			i = slices.Index(left, a.Rule.Name)
		}
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return len(left) == 0
}

// full is the name of an alert with its instance.
func full(a *rule.Alert) string { return a.Rule.Name + "{" + a.Instance + "}" }

// names are the alerts as a test would write them: with the instance where the rule has several.
func (h *host) names(alerts []*rule.Alert) []string {
	several := map[*config.Rule]int{}
	for _, a := range h.rules.Every() {
		several[a.Rule]++
	}
	out := make([]string, len(alerts))
	for i, a := range alerts {
		if out[i] = a.Rule.Name; several[a.Rule] > 1 {
			out[i] = full(a)
		}
	}
	return out
}

// attempts are all since the beginning.
func (h *host) attempts() []string {
	var out []string
	for _, a := range h.past.List() {
		how := string(a.Outcome)
		switch a.Phase {
		case incident.Intended:
			how = config.TestRunning
		case incident.Acted:
			how = config.TestVerifying
		}
		out = append(out, a.Remedy+" "+how)
	}
	return out
}

// would are the remedies that autonomy holds back in open incidents.
func (h *host) would() []string {
	var out []string
	for _, s := range h.open() {
		if s.WouldHave != "" {
			out = append(out, s.WouldHave)
		}
	}
	slices.Sort(out)
	return out
}

// state is that of the newest incident of the service.
func (h *host) state(service string) string {
	if service == config.TestHost && h.cfg.Service(service) == nil {
		service = ""
	}
	if i := h.newest[service]; i != nil {
		return string(i.State)
	}
	return config.TestNone
}
