package healing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
)

// alertGuards hold whatever the remedy is, in the order in which they are asked.
var alertGuards = []func(clock.Stamp, *Facts) finding{
	recovered, busy, blind, unknowable, acknowledged, dependency, paused, system, ownUnit, flapping, unsettled, amnesia,
}

// hostGuards are those of them that also bind a person who asks for a remedy.
var hostGuards = []func(clock.Stamp, *Facts) finding{busy, paused, system}

// recovered: acting on what has recovered removes a healthy replacement.
func recovered(_ clock.Stamp, f *Facts) finding {
	if !f.Alert.Firing {
		return finding{Recovered, Nothing, 0,
			fmt.Sprintf("%s no longer fires for %s", f.Alert.Rule, f.Alert.thing())}
	}
	if f.Alert.Clearing {
		return finding{Recovered, Hold, 0,
			fmt.Sprintf("%s is recovering; it is watched until that lasts", f.Alert.thing())}
	}
	return finding{}
}

// busy: one attempt at a time on the same thing, and none while the last is still being verified.
func busy(_ clock.Stamp, f *Facts) finding {
	for i := range f.History {
		a := &f.History[i]
		if a.Open() && f.touches(a) {
			return finding{Busy, Hold, 0, fmt.Sprintf("%s is %s on %s", a.Remedy, doing(a.Phase), a.Target)}
		}
	}
	return finding{}
}

// touches reports whether the attempt belongs to this incident or is about the same thing.
func (f *Facts) touches(a *incident.Attempt) bool {
	if a.Incident == f.Incident.ID && f.Incident.ID != "" {
		return true
	}
	return a.Service == f.Alert.Service && a.Instance == f.Alert.Instance
}

func doing(p incident.Phase) string {
	switch p {
	case incident.Acted:
		return "being verified"
	case incident.Undoing:
		return "being undone"
	}
	return "running"
}

func blind(_ clock.Stamp, f *Facts) finding {
	if !f.Alert.Blind {
		return finding{}
	}
	return finding{Unknowable, Escalate, 0, fmt.Sprintf(
		"the condition of %s cannot be known for %s; people are told, nothing is done blindly",
		f.Alert.Rule, f.Alert.thing())}
}

// unknowable: what is not known to be ill now is not treated, whatever was seen before.
func unknowable(_ clock.Stamp, f *Facts) finding {
	if !f.Alert.Unknown {
		return finding{}
	}
	return finding{Unknowable, Hold, 0, fmt.Sprintf(
		"the condition of %s cannot be known for %s at the moment; nothing is done until it can", f.Alert.Rule,
		f.Alert.thing())}
}

func acknowledged(_ clock.Stamp, f *Facts) finding {
	if f.Incident.AckBy == "" || f.Incident.KeepHealing {
		return finding{}
	}
	return finding{Person, Hold, 0, fmt.Sprintf(
		"%s acknowledged the incident; no new remedy runs until it is released", f.Incident.AckBy)}
}

// dependency: a child's symptom is not treated while its parent is ill, nor before the parent's own
// rules had the time to say so.
func dependency(now clock.Stamp, f *Facts) finding {
	for _, d := range f.Depends {
		if d.Open {
			return finding{Dependent, Hold, 0, fmt.Sprintf(
				"muted: %s depends on %s, which has an open incident", f.Alert.Service, d.Service)}
		}
	}
	if found := affected(f, f.Alert.Service, ""); found.objects() {
		return found
	}
	for _, d := range f.Depends {
		if found := affected(f, d.Service, f.Alert.Service+" depends on "+d.Service+", and "); found.objects() {
			return found
		}
	}
	age := f.Alert.Fired.Age(now)
	for _, d := range f.Depends {
		if left := d.Detection - age; left > 0 {
			return finding{Dependent, Wait, left, fmt.Sprintf(
				"%s depends on %s, whose own rules need %s to notice a fault", f.Alert.Service, d.Service,
				span(d.Detection))}
		}
	}
	return finding{}
}

// affected: what a remedy of another incident takes down as well, as was declared, is no fault while it works.
func affected(f *Facts, service, why string) finding {
	for i := range f.History {
		a := &f.History[i]
		if a.Open() && service != "" && slices.Contains(a.Affects, service) {
			return finding{Dependent, Hold, 0, fmt.Sprintf("muted: %s%s of incident %.8s is %s on %s, which affects %s",
				why, a.Remedy, a.Incident, doing(a.Phase), a.Target, service)}
		}
	}
	return finding{}
}

func paused(now clock.Stamp, f *Facts) finding {
	return stopped(now, f, f.Alert.Service, f.Unit.Name, false)
}

// system: while the machine comes up or goes down, units are started and stopped by systemd.
func system(_ clock.Stamp, f *Facts) finding {
	switch f.Host.State {
	case "running", "degraded":
		return finding{}
	case "initializing", "starting":
		return finding{System, Hold, 0, "the system is still starting; systemd starts its units"}
	case "stopping":
		return finding{Shutdown, Hold, 0, "the system is shutting down"}
	case "maintenance":
		return finding{System, Hold, 0, "the system is in maintenance (rescue or emergency mode)"}
	case "":
		return finding{System, Hold, 0, "the state of the system is not known"}
	}
	return finding{System, Hold, 0, fmt.Sprintf("the state of the system is %q", f.Host.State)}
}

// ownUnit: what a person or systemd is doing with the alert's unit stops every remedy of the alert.
func ownUnit(_ clock.Stamp, f *Facts) finding {
	if f.Unit.Name == "" {
		return finding{}
	}
	return f.Unit.free(unitGuards)
}

func flapping(_ clock.Stamp, f *Facts) finding {
	if !f.Alert.Flapping {
		return finding{}
	}
	return finding{Unstable, Escalate, 0, fmt.Sprintf(
		"%s is flapping for %s: it fires and resolves again and again; people are told instead of acting",
		f.Alert.Rule, f.Alert.thing())}
}

// unsettled: after an attempt whose effect is not known, the next one would be a guess.
func unsettled(now clock.Stamp, f *Facts) finding {
	for i := range f.History {
		a := &f.History[i]
		if !f.ours(now, a) {
			continue
		}
		if a.Phase == incident.Unknown {
			return finding{Unsettled, Escalate, 0, fmt.Sprintf(
				"whether %s ran to its end on %s cannot be told%s; it is not repeated",
				a.Remedy, a.Target, because(a.Reason))}
		}
		if a.Outcome == incident.Inconclusive {
			return finding{Unsettled, Escalate, 0, fmt.Sprintf(
				"whether %s helped %s cannot be told%s; missing data is not success",
				a.Remedy, f.Alert.thing(), because(a.Reason))}
		}
	}
	return finding{}
}

// amnesia: with a lost journal the budgets look unused. They count as used up until they would be
// free again, so that a damaged file never turns into more attempts.
func amnesia(now clock.Stamp, f *Facts) finding {
	if f.Host.Lost.IsZero() {
		return finding{}
	}
	left := defaults.AttemptsWindow - f.Host.Lost.Age(now)
	if left <= 0 || later(f.Incident.Released, f.Host.Lost, now) {
		return finding{}
	}
	return finding{Amnesia, Escalate, left, fmt.Sprintf(
		"the journal was damaged and what ran %s is not known; remedies wait %s more, or until released",
		inLast(defaults.AttemptsWindow), span(left))}
}

func because(reason string) string {
	if reason = strings.TrimSuffix(reason, "."); reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
