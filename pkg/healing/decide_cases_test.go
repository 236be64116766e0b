package healing

import (
	"time"

	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// decision is a case of Decide: facts, and what must come of them.
type decision struct {
	name    string
	now     time.Duration
	facts   Facts
	change  func(*Facts)       // if facts are not given: of a dead unit whose alert fires at now
	history []incident.Attempt // with change
	verdict Verdict
	guard   Guard
	remedy  string
	wait    time.Duration // with facts only
	reason  string        // part of it
}

// decisions are about an alert without a past.
func decisions() []decision {
	return []decision{
		{name: "a dead unit is started at once", facts: dead(), verdict: Act, remedy: "restart-app",
			reason: "restart-app is the remedy to try for checkout.service: attempt 1 of 3 in an hour, confidence 75 %"},
		{name: "the zero value permits nothing", facts: Facts{Alert: Alert{Firing: true, Fired: at(0)},
			Incident: Story{Told: true}}, verdict: Hold, guard: System},
		{name: "resolved", facts: with(func(f *Facts) { f.Alert.Firing = false }), verdict: Nothing, guard: Recovered},
		{name: "recovering", facts: with(func(f *Facts) { f.Alert.Clearing = true }), verdict: Hold, guard: Recovered},
		{name: "blind is told", facts: with(func(f *Facts) { f.Alert.Blind = true }), verdict: Escalate, guard: Unknowable},
		{name: "blind and told", facts: with(func(f *Facts) { f.Alert.Blind, f.Incident.Told = true, true }),
			verdict: Hold, guard: Unknowable},
		{name: "acknowledged", facts: with(func(f *Facts) { f.Incident.AckBy = "kim" }), verdict: Hold, guard: Person,
			reason: "kim acknowledged the incident; no new remedy runs until it is released"},
		{name: "acknowledged, and never escalated for time", now: time.Hour,
			facts: with(func(f *Facts) { f.Incident.AckBy = "kim" }), verdict: Hold, guard: Person},
		{name: "acknowledged but healing goes on",
			facts:   with(func(f *Facts) { f.Incident.AckBy, f.Incident.KeepHealing = "kim", true }),
			verdict: Act, remedy: "restart-app"},
		{name: "dependency is ill", now: time.Hour,
			facts:   with(func(f *Facts) { f.Depends = []Dependency{{Service: "postgres", Open: true}} }),
			verdict: Hold, guard: Dependent, reason: "muted: checkout depends on postgres, which has an open incident"},
		{name: "dependency may be ill", now: time.Second,
			facts: with(func(f *Facts) {
				f.Depends = []Dependency{{Service: "postgres", Detection: 3 * time.Second}}
			}),
			verdict: Wait, guard: Dependent, wait: 2 * time.Second, reason: "whose own rules need 3s to notice a fault"},
		{name: "dependency had its time", now: 3 * time.Second,
			facts: with(func(f *Facts) {
				f.Depends = []Dependency{{Service: "postgres", Detection: 3 * time.Second}}
			}),
			verdict: Act, remedy: "restart-app"},
		{name: "system starts", facts: with(func(f *Facts) { f.Host.State = "starting" }), verdict: Hold, guard: System,
			wait: 5 * time.Minute},
		{name: "system stops, nobody is called", now: time.Hour,
			facts: with(func(f *Facts) { f.Host.State = "stopping" }), verdict: Hold, guard: Shutdown},
		{name: "maintenance", facts: with(func(f *Facts) { f.Host.State = "maintenance" }), verdict: Hold, guard: System,
			wait: 5 * time.Minute},
		{name: "degraded is the normal state of a host that needs healing",
			facts: with(func(f *Facts) { f.Host.State = "degraded" }), verdict: Act, remedy: "restart-app"},
		{name: "stopped by a person",
			facts:   with(func(f *Facts) { f.Unit.Active, f.Unit.Stopped = "inactive", "person" }),
			verdict: Hold, guard: HumanWins, wait: 5 * time.Minute, reason: "checkout.service was stopped by a person"},
		{name: "masked", facts: with(func(f *Facts) { f.Unit.Load = "masked" }), verdict: Hold, guard: HumanWins,
			wait: 5 * time.Minute},
		{name: "unit file gone", facts: with(func(f *Facts) { f.Unit.Load = "not-found" }), verdict: Hold,
			guard: HumanWins, wait: 5 * time.Minute},
		{name: "breaker lets a dead unit be started", facts: with(func(f *Facts) { f.Broken = true }), verdict: Act,
			remedy: "restart-app"},
		{name: "breaker-blocks-recovery", facts: with(func(f *Facts) {
			f.Broken, f.Candidates = true, []Candidate{drain(), restart()}
		}), verdict: Act, remedy: "restart-app"},
		{name: "mass-action", facts: with(func(f *Facts) { f.Broken, f.Unit.Active = true, "active"; f.Unit.ActiveFor = time.Hour }),
			verdict: Hold, guard: Breaker, wait: 5 * time.Minute,
			reason: "down fires on many hosts of checkout at once: a common cause"},
		{name: "breaker open for long", now: 10 * time.Minute,
			facts:   with(func(f *Facts) { f.Broken, f.Candidates = true, []Candidate{drain()} }),
			verdict: Escalate, guard: Overdue, reason: "down still fires after 10m"},
		{name: "no permit now", facts: with(func(f *Facts) {
			f.Candidates[0].Denied, f.Candidates[0].DeniedFor = "web-2 is under repair", time.Second
			f.Candidates = append(f.Candidates, drain())
		}), verdict: Wait, guard: NoPermit, wait: time.Second, reason: "restart-app waits for its permit: web-2 is under repair"},
		{name: "no permit at all", facts: with(func(f *Facts) { f.Candidates[0].Denied = "it failed on 2 hosts in a row" }),
			verdict: Hold, guard: NoPermit, wait: 5 * time.Minute, reason: "restart-app has no permit: it failed on 2 hosts in a row"},
		{name: "no permit at all, and another remedy", facts: with(func(f *Facts) {
			f.Candidates[0].Denied = "it failed on 2 hosts in a row"
			f.Candidates = append(f.Candidates, drain())
		}), verdict: Act, remedy: "drain-pool"},
		{name: "package transaction",
			facts: with(func(f *Facts) {
				f.Unit.Transaction, f.Unit.Upgrading = "/var/lib/dpkg/lock", 9*time.Minute
			}),
			verdict: Wait, guard: Transaction, wait: time.Minute},
		{name: "endless package transaction",
			facts: with(func(f *Facts) {
				f.Unit.Transaction, f.Unit.Upgrading = "/var/lib/dpkg/lock", 10*time.Minute
			}),
			verdict: Escalate, guard: Transaction, reason: "has been under way for 10m; limit 10m"},
		{name: "systemd restarts it itself",
			facts:   with(func(f *Facts) { f.Unit.Active, f.Unit.Sub = "activating", "auto-restart" }),
			verdict: Wait, guard: Moving, wait: 5 * time.Minute, reason: "systemd itself is about to restart"},
		{name: "activating", facts: with(func(f *Facts) { f.Unit.Active, f.Unit.Sub = "activating", "start" }),
			verdict: Wait, guard: Moving, wait: 5 * time.Minute},
		{name: "deactivating", facts: with(func(f *Facts) { f.Unit.Active, f.Unit.Sub = "deactivating", "stop" }),
			verdict: Wait, guard: Moving, wait: 5 * time.Minute},
		{name: "job in the queue", facts: with(func(f *Facts) { f.Unit.Job = true }), verdict: Wait, guard: Moving,
			wait: 5 * time.Minute},
		{name: "state of the unit unknown", facts: with(func(f *Facts) { f.Unit.Active = "" }), verdict: Wait,
			guard: Moving, wait: 5 * time.Minute},
		{name: "young",
			facts: with(func(f *Facts) {
				f.Unit.Active, f.Unit.ActiveFor = "active", 10*time.Second
			}),
			verdict: Wait, guard: Starting, wait: 20 * time.Second,
			reason: "checkout.service started 10s ago and has 30s to come up"},
		{name: "flapping", facts: with(func(f *Facts) { f.Alert.Flapping = true }), verdict: Escalate, guard: Unstable},
		{name: "journal lost", facts: with(func(f *Facts) { f.Host.Lost = at(-10 * time.Minute) }), verdict: Escalate,
			guard: Amnesia, wait: 50 * time.Minute},
		{name: "journal lost long ago", facts: with(func(f *Facts) { f.Host.Lost = at(-time.Hour) }), verdict: Act,
			remedy: "restart-app"},
		{name: "not allowed", facts: with(func(f *Facts) { f.Candidates[0].Allowed = false }), verdict: Escalate,
			guard: Spent, reason: "no allow block of this host permits restart on checkout.service"},
		{name: "no target", facts: with(func(f *Facts) { f.Candidates[0].Target = "" }), verdict: Escalate, guard: Spent,
			reason: "no target means nothing, never everything"},
		{name: "refused",
			facts:   with(func(f *Facts) { f.Candidates[0].Refusal = "it would stop db.service as well" }),
			verdict: Escalate, guard: Spent, reason: "restart-app was refused: it would stop db.service as well"},
		{name: "precondition false",
			facts: with(func(f *Facts) {
				f.Candidates[0].Conditional, f.Candidates[0].Precondition = true, expr.False
			}),
			verdict: Hold, guard: Condition, wait: 5 * time.Minute},
		{name: "precondition unknown",
			facts:   with(func(f *Facts) { f.Candidates[0].Conditional = true }),
			verdict: Hold, guard: Condition, wait: 5 * time.Minute, reason: "cannot be known"},
		{name: "precondition true",
			facts: with(func(f *Facts) {
				f.Candidates[0].Conditional, f.Candidates[0].Precondition = true, expr.True
			}),
			verdict: Act, remedy: "restart-app"},
		{name: "precondition false, the next one runs",
			facts: with(func(f *Facts) {
				f.Candidates = append(f.Candidates, drain())
				f.Candidates[0].Conditional = true
			}),
			verdict: Act, remedy: "drain-pool"},
		{name: "no remedy at all", facts: with(func(f *Facts) { f.Candidates = nil }), verdict: Escalate, guard: Spent,
			reason: "down has no remedy for checkout.service"},
		{name: "observe", facts: with(func(f *Facts) { f.Observe = "autonomy is observe" }), verdict: Observe, remedy: "restart-app",
			wait: 5 * time.Minute, reason: "autonomy is observe, nothing is done; otherwise restart-app"},
		{name: "observe too long", now: 6 * time.Minute, facts: with(func(f *Facts) { f.Observe = "autonomy is observe" }),
			verdict: Escalate, guard: Overdue, reason: "down still fires after 6m: autonomy is observe, restart-app would run"},
		{name: "held too long", now: 5 * time.Minute, facts: with(func(f *Facts) { f.Unit.Load = "masked" }),
			verdict: Escalate, guard: Overdue, reason: "down still fires after 5m: checkout.service is masked"},
		{name: "what may run runs, however late", now: time.Hour, facts: dead(), verdict: Act, remedy: "restart-app"},
		{name: "start limit",
			facts:   with(func(f *Facts) { f.Unit.Result = "start-limit-hit" }),
			verdict: Act, remedy: "restart-app", reason: "hit systemd's start limit, which is reset first"},
	}
}

// decisionsWithHistory are about what was tried before.
func decisionsWithHistory() []decision {
	two := func(f *Facts) { f.Candidates = []Candidate{drain(), restart()} }
	return []decision{
		{name: "running", now: time.Second, verdict: Hold, guard: Busy,
			history: []incident.Attempt{{Incident: "i1", Remedy: "restart-app", Target: unitName, Phase: incident.Intended}},
			reason:  "restart-app is running on checkout.service"},
		{name: "being verified, of another incident on the same unit", now: 7 * time.Second, verdict: Wait, guard: Busy,
			history: []incident.Attempt{{Incident: "i9", Remedy: "x", Rule: "r", By: incident.ByRule, Phase: incident.Acted, Intended: at(0),
				Locks: []remedy.Lock{"path /srv", "unit check*.service"}}},
			reason: "restart-app waits for unit checkout.service: x of incident i9, because of r, has had it for 7s and is being verified; place 1 in the queue"},
		{name: "another incident came first", verdict: Wait, guard: Busy,
			change: func(f *Facts) {
				f.Ahead = []Waiter{{Incident: "i8", Rule: "r", Remedy: "x", Locks: f.Candidates[0].Locks}, {Incident: "i9", Locks: f.Candidates[0].Locks}}
			},
			reason: "restart-app waits for its turn at unit checkout.service: x of incident i8, because of r, came first; place 3 in the queue"},
		{name: "being undone", now: time.Second, verdict: Hold, guard: Busy,
			history: []incident.Attempt{{Incident: "i1", Remedy: "x", Target: unitName, Phase: incident.Undoing}}},
		{name: "another unit is nobody's business", verdict: Act, remedy: "restart-app",
			history: []incident.Attempt{{Incident: "i9", Remedy: "x", Service: "other", Target: "other.service",
				Phase: incident.Acted}}},
		{name: "ineffective, the next comes at once", now: 40 * time.Second, change: two, verdict: Act, remedy: "restart-app",
			history: []incident.Attempt{attempt(drain(), 0, incident.Ineffective)}},
		{name: "what is tried in turn shares a budget", now: 50 * time.Minute, change: two, verdict: Escalate, guard: Spent,
			history: []incident.Attempt{attempt(drain(), 0, incident.Ineffective), attempt(restart(), time.Minute, incident.Ineffective),
				attempt(drain(), 10*time.Minute, incident.Ineffective)},
			reason: "restart-app shares its budget with what is tried beside it: together they ran 3 times for checkout.service in the last hour; limit 3"},
		{name: "but each has its first turn", now: 50 * time.Minute, change: two, verdict: Act, remedy: "restart-app",
			history: []incident.Attempt{attempt(drain(), 0, incident.Ineffective), attempt(drain(), time.Minute, incident.Ineffective),
				attempt(drain(), 10*time.Minute, incident.Ineffective)}},
		{name: "worse, the next comes at once", now: 40 * time.Second, change: two, verdict: Act, remedy: "restart-app",
			history: []incident.Attempt{attempt(drain(), 0, incident.Worse)}},
		{name: "worse is never repeated", now: 40 * time.Minute, verdict: Escalate, guard: Spent,
			history: []incident.Attempt{attempt(restart(), 0, incident.Worse)}, reason: "restart-app made things worse"},
		{name: "inconclusive is escalated", now: 40 * time.Second, change: two, verdict: Escalate, guard: Unsettled,
			history: []incident.Attempt{attempt(drain(), 0, incident.Inconclusive)}, reason: "missing data is not success"},
		{name: "all tried once, the first cools down", now: 30 * time.Second, verdict: Wait, guard: Cooldown,
			history: []incident.Attempt{attempt(restart(), 0, incident.Ineffective)},
			reason:  "restart-app ran for checkout.service 30s ago; it cools down for 1m"},
		{name: "all tried once, the first comes again", now: time.Minute, verdict: Act, remedy: "restart-app",
			history: []incident.Attempt{attempt(restart(), 0, incident.Ineffective)}, reason: "attempt 2 of 3"},
		{name: "cool-down of another incident holds the order", now: 30 * time.Second, change: two, verdict: Wait,
			guard: Cooldown, history: []incident.Attempt{elsewhere(attempt(drain(), 0, incident.Verified))}},
		{name: "budget", now: 30 * time.Minute, verdict: Escalate, guard: Spent,
			history: []incident.Attempt{elsewhere(attempt(restart(), 0, incident.Ineffective)),
				elsewhere(attempt(restart(), 10*time.Minute, incident.Ineffective)),
				attempt(restart(), 20*time.Minute, incident.Ineffective)},
			reason: "restart-app already ran 3 times for checkout.service in the last hour; limit 3"},
		{name: "budget is free again after an hour", now: 61 * time.Minute, verdict: Act, remedy: "restart-app",
			history: []incident.Attempt{elsewhere(attempt(restart(), 0, incident.Ineffective)),
				elsewhere(attempt(restart(), 10*time.Minute, incident.Ineffective)),
				attempt(restart(), 20*time.Minute, incident.Ineffective)}},
		{name: "but not within one incident", now: 3 * time.Hour, verdict: Escalate, guard: Spent,
			history: []incident.Attempt{attempt(restart(), 0, incident.Ineffective),
				attempt(restart(), 10*time.Minute, incident.Ineffective),
				attempt(restart(), 20*time.Minute, incident.Ineffective)},
			reason: "already ran 3 times for checkout.service in this incident"},
		{name: "unless a person hands it back", now: 3 * time.Hour, verdict: Act, remedy: "restart-app",
			change: func(f *Facts) { f.Incident.Released = at(2 * time.Hour) },
			history: []incident.Attempt{attempt(restart(), 0, incident.Ineffective),
				attempt(restart(), 10*time.Minute, incident.Ineffective),
				attempt(restart(), 20*time.Minute, incident.Ineffective)}},
		{name: "what never began costs nothing", now: 30 * time.Second, verdict: Act, remedy: "restart-app",
			history: []incident.Attempt{{Incident: "i1", Remedy: "restart-app", Service: "checkout", Instance: unitName,
				Target: unitName, Phase: incident.NotDone, Intended: at(0)}}},
		{name: "the same unit under another rule's instance", now: 30 * time.Second, verdict: Wait, guard: Cooldown,
			change:  func(f *Facts) { f.Alert.Instance = "db" },
			history: []incident.Attempt{elsewhere(attempt(restart(), 0, incident.Verified))}},
		{name: "recurring", now: 12 * time.Hour, verdict: Escalate, guard: Recurring, change: two,
			history: []incident.Attempt{elsewhere(attempt(drain(), 0, incident.Verified)),
				elsewhere(attempt(drain(), 4*time.Hour, incident.Verified)),
				elsewhere(attempt(drain(), 8*time.Hour, incident.Verified))},
			reason: "drain-pool \"helped\" checkout.service 3 times in the last 24h"},
		{name: "not yet recurring for a remedy that may help more often", now: 12 * time.Hour, verdict: Act, remedy: "drain-pool",
			change: func(f *Facts) {
				two(f)
				f.Candidates[0].Recurring = 4
			},
			history: []incident.Attempt{elsewhere(attempt(drain(), 0, incident.Verified)),
				elsewhere(attempt(drain(), 4*time.Hour, incident.Verified)),
				elsewhere(attempt(drain(), 8*time.Hour, incident.Verified))}},
		{name: "unknown is never repeated", now: time.Minute, change: two, verdict: Escalate, guard: Unsettled,
			history: []incident.Attempt{{Incident: "i1", Remedy: "drain-pool", Service: "checkout", Instance: unitName,
				Target: "db", Phase: incident.Unknown, Intended: at(0), Reason: "the agent died"}},
			reason: "whether drain-pool ran to its end on db cannot be told (the agent died); it is not repeated"},
		{name: "unknown of an earlier incident neither", now: time.Minute, verdict: Escalate, guard: Spent,
			history: []incident.Attempt{{Incident: "i0", Remedy: "restart-app", Service: "checkout", Instance: unitName,
				Target: unitName, Phase: incident.Unknown, Intended: at(0)}}},
		{name: "start limit: one reset and start per step of the back-off, whatever the remedy", now: 11 * time.Second,
			change: func(f *Facts) {
				start := restart()
				start.Name, start.Kind = "start-app", remedy.Start
				f.Candidates, f.Unit.Result = []Candidate{start, restart()}, "start-limit-hit"
			},
			history: []incident.Attempt{func() incident.Attempt {
				start := restart()
				start.Name, start.Kind = "start-app", remedy.Start
				return attempt(start, 0, incident.Ineffective)
			}()},
			verdict: Wait, guard: Backoff, reason: "attempt 2 for checkout.service waits"},
		{name: "the host ran too much", now: 12 * time.Minute, verdict: Wait, guard: HostRate,
			history: many(12), reason: "this host already ran 12 remedies in the last hour; limit 12"},
	}
}
