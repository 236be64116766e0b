package localtest

import (
	"errors"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/series"
)

// at is d after the moment when this world's troubles began.
func at(d time.Duration) clock.Stamp {
	return clock.Stamp{
		Boot:   1000*time.Second + d,
		BootID: "b",
		Wall:   time.Date(2026, 3, 1, 3, 12, 4, 120e6, time.UTC).Add(d),
	}
}

func status() local.Status {
	return local.Status{
		Host: "web-1", Version: "v0.0.0-test", Uptime: 26*time.Hour + 5*time.Minute, Autonomy: "full",
		Config: local.Config{
			Files:    []string{"/etc/salve/agent.hcl", "/etc/salve/rules.d/checkout.hcl"},
			Digest:   "5d41402abc4b2a76b9719d911017c592",
			Loaded:   at(-time.Hour).Wall,
			Warnings: []string{`agent.hcl:3,1: there is no escalation "default"`},
		},
		Services: []local.Service{
			{
				Name: "checkout", Unit: "checkout.service", Autonomy: "full",
				Units: []local.UnitState{{Name: "checkout.service", State: "active", Sub: "running"}},
			},
			{
				Name: "worker", Unit: "worker@*.service", Autonomy: "full", Incident: escalatedID,
				Units: []local.UnitState{
					{Name: "worker@1.service", State: "active", Sub: "running"},
					{Name: "worker@2.service", State: "failed", Sub: "failed"},
				},
			},
			{Name: "report", Unit: "report.service", Autonomy: "observe", Incident: observedID},
		},
		Sources: []local.Source{
			{Name: "host", Duration: 60 * time.Microsecond, Age: 400 * time.Millisecond, Successes: 900},
			{
				Name: "pool checkout.db", Err: errors.New("dial unix /run/pgbouncer: connection refused"),
				Duration: time.Millisecond, Age: -1, Failures: 12, Warnings: 2,
			},
		},
		Alerts:    map[string]int{"firing": 2, "pending": 0},
		Incidents: map[incident.State]int{incident.Escalated: 1, incident.Open: 1},
		Attempts: map[local.AttemptClass]uint64{
			{Kind: "restart", Outcome: "verified"}:          1,
			{Kind: "set_property", Outcome: "inconclusive"}: 1,
		},
		Notifications: map[local.DeliveryClass]uint64{{Notifier: "email.me", Result: "delivered"}: 1},
		RemediesHour:  3, RemediesLimit: 12, Rules: 7,
		Tick: local.Tick{Count: 900, Sum: 90 * time.Millisecond, Last: 100 * time.Microsecond, Max: time.Millisecond},
	}
}

func signals() []local.Signal {
	return []local.Signal{
		{
			Name: "host.memory.available_ratio", Dimension: "ratio", Value: 0.42, Known: true, Text: "42 %",
			Age: 400 * time.Millisecond, Every: time.Second, Source: "host", Help: "memory that can be had without swapping",
			Usual: &series.Usual{Low: 0.38, High: 0.51, Score: 0.02, Known: true, Text: "38 % to 51 %"},
		},
		{
			Name: "probe.health.ok", Of: "checkout", Dimension: "bool", Value: 1, Known: true, Text: "true",
			Age: 90 * time.Millisecond, Every: time.Second, Source: "probe", Help: "the probe succeeds",
		},
		{
			Name: "unit.failed", Of: "worker@2.service", Dimension: "bool", Value: 1, Known: true, Text: "true",
			Age: time.Minute, Source: "systemd", Help: "the unit is in state failed",
		},
		{
			Name: "unit.memory_bytes", Of: "worker@2.service", Dimension: "bytes", Text: "unknown", Age: -1,
			Every: time.Second, Source: "cgroup", Help: "memory of the unit",
		},
	}
}

func alerts() []local.Alert {
	return []local.Alert{
		{
			Alert:    workerAlert(),
			State:    "firing",
			Since:    at(10 * time.Minute),
			Incident: escalatedID,
		},
		{
			Alert: incident.Alert{
				Rule: "slow-report", Service: "report", Instance: "report.service", Severity: "warning",
				Condition: "probe.health.latency > 2 * s",
				Values:    []incident.Value{{Signal: "probe.health.latency", Value: 2.4, Known: true, Text: "2.4 s"}},
			},
			State:    "pending",
			Since:    at(20 * time.Minute),
			Flapping: true,
		},
	}
}

func findings() []local.Finding {
	return []local.Finding{
		{About: "host", Verdict: "ok", Text: "systemd answers, the journal can be written, the clock is set"},
		{About: "remedy checkout/restart-app", Verdict: "ok", Text: "would run"},
		{
			About: "remedy worker/restart-worker", Verdict: "warning",
			Text: "would run, but Restart=always makes unit.failed hard to reach",
			Hint: "give the rule a condition on unit.restarts",
		},
		{
			About: "remedy worker/limit-worker", Verdict: "failed",
			Text: "refused because no allow block has the action set_property for worker@2.service",
			Hint: `add "set_property" to the actions of an allow block with that unit`,
		},
	}
}
