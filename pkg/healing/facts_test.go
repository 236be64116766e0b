package healing

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

const unitName = "checkout.service"

// at is a moment, counted from two days after boot so that there is a past.
func at(d time.Duration) clock.Stamp {
	d += 48 * time.Hour
	return clock.Stamp{Boot: d, BootID: "boot-1", Wall: time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC).Add(d)}
}

// dead are the facts about a unit that just died, with nothing in the way of its restart.
func dead() Facts {
	return Facts{
		Alert: Alert{Rule: "down", Service: "checkout", Instance: unitName, Firing: true, Fired: at(0),
			EscalateAfter: 5 * time.Minute},
		Incident: Story{ID: "i1"},
		Host:     Host{State: "running", PerHour: 12},
		Unit: Unit{Name: unitName, Load: "loaded", Active: "failed", Sub: "failed", Result: "exit-code",
			Stopped: "itself", Startup: 30 * time.Second},
		Candidates: []Candidate{restart()},
	}
}

func restart() Candidate {
	return Candidate{Name: "restart-app", Kind: remedy.Restart, Target: unitName, Locks: []remedy.Lock{"unit " + unitName}, Allowed: true, Attempts: 3, Recurring: 3,
		Cooldown: time.Minute, Prior: 0.75}
}

func drain() Candidate {
	return Candidate{Name: "drain-pool", Kind: remedy.ResetPool, Target: "db", Allowed: true, Attempts: 3, Recurring: 3,
		Cooldown: time.Minute, Prior: 0.8}
}

// attempt is one of the candidate in incident i1, ended as told and judged 10 s after it began.
func attempt(c Candidate, begun time.Duration, outcome incident.Outcome) incident.Attempt {
	return incident.Attempt{
		ID: fmt.Sprintf("a-%s-%d", c.Name, begun), Incident: "i1", Rule: "down", Remedy: c.Name, Kind: string(c.Kind),
		Service: "checkout", Instance: unitName, Target: c.Target, By: incident.ByRule, Phase: incident.Judged,
		Outcome: outcome, Fired: at(begun), Intended: at(begun), Acted: at(begun + time.Second),
		Judged: at(begun + 10*time.Second),
	}
}

// elsewhere moves an attempt to another incident.
func elsewhere(a incident.Attempt) incident.Attempt {
	a.Incident = "i0"
	return a
}

func with(change func(*Facts)) Facts {
	f := dead()
	change(&f)
	return f
}
