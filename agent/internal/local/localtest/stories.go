package localtest

import (
	"encoding/json"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// IDs of the incidents.
const (
	healedID    = "1f0c9a4be1d24d53a0c1f2e3d4c5b6a7"
	escalatedID = "2ab4c6d8e0f1423364758697a8b9cadb"
	observedID  = "2abfffd8e0f142336475869700112233"
)

func event(d time.Duration, kind incident.EventType, text string, fields ...string) incident.Event {
	e := incident.Event{At: at(d), Type: kind, Text: text}
	for i := 0; i+1 < len(fields); i += 2 {
		if e.Fields == nil {
			e.Fields = map[string]string{}
		}
		e.Fields[fields[i]] = fields[i+1]
	}
	return e
}

// healed: a crash, restarted and verified.
func healed() local.Story {
	return local.Story{
		Began: at(-2 * time.Millisecond),
		Incident: incident.Incident{
			ID: healedID, Service: "checkout", Title: "checkout.service failed", State: incident.Resolved,
			Severity: "critical", Opened: at(0), Ended: at(5053 * time.Millisecond),
			End: "restart-app was verified", Attempts: []string{"a1"},
			Alerts: []incident.Alert{{
				Rule: "down", Service: "checkout", Instance: "checkout.service", Severity: "critical",
				Condition: "unit.failed", Fired: at(0), Resolved: at(5052 * time.Millisecond),
				Values: []incident.Value{{Signal: "unit.failed", Value: 1, Known: true, Text: "true"}},
			}},
			Timeline: []incident.Event{
				event(0, incident.EvAlert, "down fires on checkout.service"),
				event(time.Millisecond, incident.EvDecide, "restart-app: nothing stands in its way",
					"verdict", "act", "rule", "down", "candidates",
					"restart-app (confidence 75 %): nothing stands in its way\nreboot (confidence 50 %): not reached"),
				event(2*time.Millisecond, incident.EvIntent, "restart checkout.service", "attempt", "a1"),
				event(19*time.Millisecond, incident.EvAct, "restarted checkout.service, new main process 4711"),
				event(30*time.Millisecond, incident.EvDiagnose, "collected 2 pieces of evidence"),
				event(5050*time.Millisecond, incident.EvVerify, "verified: unit.failed is false for 5 s"),
				event(5053*time.Millisecond, incident.EvEnd, "resolved"),
			},
			Evidence: []incident.Evidence{
				{
					Title: "journal of checkout.service, last 40 lines", At: at(30 * time.Millisecond),
					Text: "panic: runtime error: index out of range\nmain.go:12\nexit status 2\n",
				},
				{Title: "unit status", At: at(30 * time.Millisecond), Text: "Result=exit-code ExecMainStatus=2"},
			},
		},
		Runs: []incident.Attempt{{
			ID: "a1", Incident: healedID, Rule: "down", Remedy: "restart-app", Kind: "restart", Service: "checkout",
			Instance: "checkout.service", Target: "checkout.service", By: "rule", Phase: incident.Judged,
			Outcome: incident.Verified, Reason: "unit.failed is false for 5 s",
			Before: json.RawMessage(`{"invocation":"aa"}`), After: json.RawMessage(`{"invocation":"bb"}`),
			Intended: at(2 * time.Millisecond), Acted: at(19 * time.Millisecond), Judged: at(5050 * time.Millisecond),
		}},
	}
}

func workerAlert() incident.Alert {
	return incident.Alert{
		Rule: "leak", Service: "worker", Instance: "worker@2.service", Severity: "warning",
		Condition: "unit.memory_bytes > 200 * MiB &&\n  unit.uptime > 1 * minute", Fired: at(10 * time.Minute),
		Values: []incident.Value{
			{Signal: "unit.memory_bytes", Value: 3e8, Known: true, Text: "286 MiB"},
			{Signal: "unit.uptime", Text: "unknown"},
		},
	}
}

// escalated: a limit without effect, a restart that is not known to have happened, then people.
func escalated() local.Story {
	begin := 10 * time.Minute
	return local.Story{
		Began: at(begin - 10*time.Second),
		Incident: incident.Incident{
			ID: escalatedID, Service: "worker", Title: "worker@2.service uses too much memory", State: incident.Escalated,
			Severity: "warning", Opened: at(begin), Attempts: []string{"a2", "a3"}, Dropped: 3,
			Alerts: []incident.Alert{workerAlert()},
			Timeline: []incident.Event{
				event(begin, incident.EvAlert, "leak fires on worker@2.service"),
				event(begin+40*time.Second, incident.EvVerify, "ineffective: unit.memory_bytes is still 286 MiB"),
				event(begin+41*time.Second, incident.EvUndo, "MemoryHigh of worker@2.service is back at infinity"),
				event(begin+90*time.Second, incident.EvEscalate, "to default: a run of restart-worker cannot be settled"),
				event(begin+91*time.Second, incident.EvNotify, "told email.me", "key", "2ab4c6d8e0f1/1"),
			},
			Evidence: []incident.Evidence{{Title: "top processes", At: at(begin), Text: "4712 worker 286 MiB\n"}},
			Escalate: incident.Escalation{
				To: "default", Reason: "a run of restart-worker cannot be settled", Since: at(begin + 90*time.Second),
				Step: 1, Due: at(begin + 390*time.Second), Told: []string{"email.me"},
			},
		},
		Runs: []incident.Attempt{
			{
				ID: "a2", Incident: escalatedID, Rule: "leak", Remedy: "limit-worker", Kind: "set_property",
				Target: "worker@2.service", By: "rule", Phase: incident.Undone, Outcome: incident.Ineffective,
				Reason: "unit.memory_bytes is still 286 MiB", Intended: at(begin + 5*time.Millisecond),
				Acted: at(begin + 11*time.Millisecond), Judged: at(begin + 40*time.Second),
			},
			{
				ID: "a3", Incident: escalatedID, Rule: "leak", Remedy: "restart-worker", Kind: "restart",
				Target: "worker@2.service", By: "rule", Phase: incident.Unknown,
				Reason: "the agent was killed while it ran", Intended: at(begin + 42*time.Second),
			},
		},
	}
}

// observed: what autonomy observe would have done.
func observed() local.Story {
	begin := 15 * time.Minute
	return local.Story{Incident: incident.Incident{
		ID: observedID, Service: "report", Title: "report.service failed", State: incident.Open, Severity: "warning",
		Opened: at(begin), WouldHave: "restart-report",
		Alerts: []incident.Alert{{
			Rule: "unit-failed", Service: "report", Instance: "report.service", Severity: "warning",
			Condition: "unit.failed", Fired: at(begin),
		}},
		Timeline: []incident.Event{
			event(begin, incident.EvAlert, "unit-failed fires on report.service"),
			event(begin+time.Millisecond, incident.EvDecide, "would run restart-report, but autonomy is observe"),
		},
	}}
}
