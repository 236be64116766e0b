package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// maxWarnings is how many sentences of one kind are said; of the rest only how many there are.
const maxWarnings = 20

// Warnings are what a person should look at, one sentence each.
func (s *State) Warnings() []string {
	return slices.Concat(
		some("pauses without an end", s.pauseWarnings()),
		some("hosts", s.hostWarnings()),
		some("permits", s.permitWarnings()),
		some("breakers and remedies", s.haltWarnings()),
		some("escalations", s.escalationWarnings()),
		some("messages", s.messageWarnings()),
		some("bundles of rules", s.bundleWarnings()),
	)
}

// some bounds a list of sentences.
func some(of string, list []string) []string {
	if len(list) <= maxWarnings {
		return list
	}
	return append(list[:maxWarnings:maxWarnings], fmt.Sprintf("%d more warnings about %s", len(list)-maxWarnings, of))
}

func (s *State) pauseWarnings() []string {
	var out []string
	for _, p := range s.Pauses() {
		age := asDuration(s.now() - p.GetFrom())
		switch {
		case p.GetGeneration():
			out = append(out, fmt.Sprintf("everything is paused: %s", p.GetReason()))
		case p.GetUntil() == 0 && p.GetReminds() > plus(p.GetFrom(), day):
			out = append(out, fmt.Sprintf("%s has been paused for %v by %s (%s): %s", p.GetScope(), age, p.GetBy(), p.GetId(),
				p.GetReason()))
		}
	}
	return out
}

func (s *State) hostWarnings() []string {
	var out []string
	for _, h := range s.Hosts() {
		switch {
		case h.GetRemoved():
		case h.GetQuarantined() != "":
			out = append(out, fmt.Sprintf("host %s is quarantined: %s", s.name(h.GetId()), h.GetQuarantined()))
		case h.GetAwaited():
			out = append(out, fmt.Sprintf("host %s has not said hello in this generation", s.name(h.GetId())))
		}
	}
	return out
}

func (s *State) permitWarnings() []string {
	var out []string
	for _, p := range s.Permits() {
		what := "should have ended"
		switch {
		case p.GetUnknown():
			what = "has an outcome that cannot be told"
		case !p.GetOverdue():
			continue
		}
		out = append(out, fmt.Sprintf("permit %s (%s on %s) %s; it goes on counting", TokenText(p.GetToken()), p.GetRemedy(),
			s.name(p.GetHost()), what))
	}
	return out
}

func (s *State) haltWarnings() []string {
	var out []string
	for _, b := range s.Breakers() {
		if b.GetOpen() {
			out = append(out, fmt.Sprintf("the breaker of %s for %s is open since %v ago", b.GetRule(), of(b.GetService()),
				asDuration(s.now()-b.GetOpened())))
		}
	}
	for _, w := range s.Widths("") {
		if len(w.GetFailed()) >= haltAfter {
			out = append(out, fmt.Sprintf("%s for %s failed on %s in a row and runs nowhere; salve resume service:%s/%s",
				w.GetRemedy(), w.GetRule(), join(s.names(w.GetFailed())), w.GetService(), w.GetRule()))
		}
	}
	return out
}

// of names a service, or what has none.
func of(service string) string {
	if service == "" {
		return "the hosts"
	}
	return service
}

func (s *State) escalationWarnings() []string {
	var out []string
	if s.ladder(defaultEscalation) == nil {
		out = append(out, `there is no escalation "default": incidents whose rule and service name none reach nobody`)
	}
	for _, c := range s.config.GetServices() {
		if name := c.GetEscalation(); name != "" && s.ladder(name) == nil {
			out = append(out, fmt.Sprintf("service %s names the escalation %q, and there is none", c.GetName(), name))
		}
	}
	for _, i := range s.ongoing() {
		if i.GetSince() != 0 && i.GetState() != logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED && s.unheard(i) {
			out = append(out, fmt.Sprintf("incident %.8s (%s) is handed to people, and nobody could be told", i.GetId(),
				i.GetTitle()))
		}
	}
	return out
}

func (s *State) messageWarnings() []string {
	var out []string
	for _, m := range sorted(s.derived.waiting, compareDeliveries) {
		if m.GetTries() >= 3 {
			out = append(out, fmt.Sprintf("%s could not be reached %d times: %s", m.GetNotifier(), m.GetTries(),
				m.GetError()))
		}
	}
	return out
}

func (s *State) bundleWarnings() []string {
	var out []string
	for _, b := range s.Bundles() {
		if r := b.GetRollout(); r.GetPhase() == phaseHalted {
			out = append(out, fmt.Sprintf("the rollout of the rules %s is halted: %s", VersionText(b, r.GetVersion()), r.GetReason()))
		}
		for _, h := range s.Hosts() {
			hb, want := HostBundle(h, b.GetName()), Wanted(b, h)
			if hb.GetError() != "" && want != nil && bytes.Equal(hb.GetWanted(), want.GetDigest()) {
				out = append(out, fmt.Sprintf("host %s does not run the rules %s as it is told: %s", s.name(h.GetId()), b.GetName(),
					hb.GetError()))
			}
		}
	}
	return out
}
