package healing

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

var update = flag.Bool("update", false, "write the golden files")

// given are the facts of a case.
func (c *decision) given() Facts {
	if c.change == nil && c.history == nil {
		return c.facts
	}
	f := dead()
	f.History, f.Alert.EscalateAfter, f.Alert.Fired = c.history, 24*time.Hour, at(c.now)
	if c.change != nil {
		c.change(&f)
	}
	return f
}

func TestDecide(t *testing.T) {
	for _, tt := range decisions() {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.decide(t)
			if d.Wait != tt.wait {
				t.Errorf("wait %v, want %v", d.Wait, tt.wait)
			}
		})
	}
}

func TestDecideWithHistory(t *testing.T) {
	for _, tt := range decisionsWithHistory() {
		t.Run(tt.name, func(t *testing.T) { tt.decide(t) })
	}
}

func (c *decision) decide(t *testing.T) Decision {
	t.Helper()
	d := Decide(at(c.now), c.given())
	if d.Verdict != c.verdict || d.Guard != c.guard || d.Remedy != c.remedy {
		t.Errorf("got %s/%q remedy %q (%s)\nwant %s/%q remedy %q", d.Verdict, d.Guard, d.Remedy, d.Reason,
			c.verdict, c.guard, c.remedy)
	}
	if !strings.Contains(d.Reason, c.reason) || d.Reason == "" {
		t.Errorf("reason %q, want %q in it", d.Reason, c.reason)
	}
	return d
}

// What people read at night is reviewed as a text of its own: testdata/reasons.golden.
func TestReasons(t *testing.T) {
	var b strings.Builder
	for _, tt := range append(decisions(), decisionsWithHistory()...) {
		d := Decide(at(tt.now), tt.given())
		fmt.Fprintf(&b, "%s\n    %s: %s\n", tt.name, d.Verdict, d.Reason)
	}
	const golden = "testdata/reasons.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("reasons changed (-want +got); go test ./pkg/healing -update accepts them:\n%s", diff)
	}
}

// many are attempts on other services, one a minute.
func many(n int) []incident.Attempt {
	var out []incident.Attempt
	for i := range n {
		out = append(out, incident.Attempt{Service: "other", Remedy: "x", Kind: "restart", Target: "other.service",
			Phase: incident.Judged, Intended: at(time.Duration(i) * time.Minute)})
	}
	return out
}

func TestHostRateWait(t *testing.T) {
	f := dead()
	f.History = many(12)
	f.Alert.EscalateAfter = 24 * time.Hour
	if d := Decide(at(12*time.Minute), f); d.Wait != 48*time.Minute {
		t.Errorf("wait %v, want 48m: until the first attempt is an hour old", d.Wait)
	}
}

func TestPauses(t *testing.T) {
	pause := func(scope string, d time.Duration) []incident.Pause {
		return []incident.Pause{{Scope: scope, By: "kim", Reason: "deploy", From: at(0), For: d}}
	}
	tests := []struct {
		name   string
		now    time.Duration
		pauses []incident.Pause
		paused bool
		reason string
	}{
		{"all", time.Minute, pause("all", 10*time.Minute), true, "everything is paused by kim for 9m more (deploy)"},
		{"service", 0, pause("service:checkout", 0), true, "service checkout is paused by kim until resumed"},
		{"unit", 0, pause("unit:checkout.service", 0), true, "unit checkout.service is paused"},
		{"units", 0, pause("unit:check*.service", 0), true, "unit check*.service is paused"},
		{"other units", 0, pause("unit:other*.service", 0), false, ""},
		{"another service", 0, pause("service:other", 0), false, ""},
		{"another unit", 0, pause("unit:other.service", 0), false, ""},
		{"over", 10 * time.Minute, pause("all", 10*time.Minute), false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := dead()
			f.Pauses = tt.pauses
			f.Alert.Fired = at(tt.now)
			d := Decide(at(tt.now), f)
			if (d.Guard == Paused) != tt.paused || !strings.Contains(d.Reason, tt.reason) {
				t.Errorf("got %s/%q: %s", d.Verdict, d.Guard, d.Reason)
			}
		})
	}
	t.Run("of the remedy's own target", func(t *testing.T) {
		f := dead()
		f.Candidates = []Candidate{{Name: "limit", Kind: remedy.SetProperty, Target: "batch.service", Allowed: true,
			Attempts: 3, Recurring: 3, Unit: Unit{Name: "batch.service", Active: "active"}}}
		f.Pauses = pause("unit:batch.service", 0)
		if d := Decide(at(0), f); d.Verdict != Hold || d.Guard != Paused {
			t.Errorf("got %s/%q: %s", d.Verdict, d.Guard, d.Reason)
		}
	})
}

// A pause of one unit holds every remedy back that could choose it.
func TestPauseOfAChoice(t *testing.T) {
	for scope, paused := range map[string]bool{
		"unit:worker@3.service": true, "unit:*@3.service": true, "unit:report.service": true, "unit:mail@3.service": false,
	} {
		f := dead()
		f.Candidates = []Candidate{{Name: "more", Kind: remedy.Scale, Target: "worker@.service", Allowed: true,
			Attempts: 3, Recurring: 3, Locks: []remedy.Lock{"unit report.service", "unit worker@*.service"}}}
		f.Pauses = []incident.Pause{{Scope: scope, By: "kim", From: at(0)}}
		if d := Decide(at(0), f); (d.Guard == Paused) != paused {
			t.Errorf("%s: got %s/%q: %s", scope, d.Verdict, d.Guard, d.Reason)
		}
	}
}

func TestOpenWindow(t *testing.T) {
	f := dead()
	f.Windows = []config.Window{{Name: "w", Services: []string{"check*"}, From: "00:00", To: "00:00", Zone: time.UTC, Reason: "batch"}}
	if d := Decide(at(0), f); d.Guard != Paused || !strings.Contains(d.Reason, "window w is open") {
		t.Errorf("got %s/%q: %s", d.Verdict, d.Guard, d.Reason)
	}
}

func TestConfirm(t *testing.T) {
	f := dead()
	own := incident.Attempt{ID: "a1", Incident: "i1", Remedy: "restart-app", Service: "checkout", Instance: unitName,
		Target: unitName, Phase: incident.Intended, Intended: at(0)}
	f.History = []incident.Attempt{own}
	if d := Confirm(at(0), f, "restart-app", "a1"); d.Verdict != Act {
		t.Errorf("its own intent stands in its way: %s", d.Reason)
	}
	if len(f.History) != 1 {
		t.Error("Confirm changed the caller's history")
	}
	f.Unit.Stopped, f.Unit.Active = "person", "inactive"
	if d := Confirm(at(0), f, "restart-app", "a1"); d.Verdict != Hold || d.Guard != HumanWins {
		t.Errorf("got %s/%q: %s", d.Verdict, d.Guard, d.Reason)
	}
	f = with(func(f *Facts) { f.Candidates = []Candidate{drain(), restart()} })
	d := Confirm(at(0), f, "restart-app", "")
	if d.Verdict != Hold || !strings.Contains(d.Reason, "drain-pool comes first now") {
		t.Errorf("got %s: %s", d.Verdict, d.Reason)
	}
}

func TestRequest(t *testing.T) {
	forgiven := with(func(f *Facts) {
		f.Alert.Firing, f.Observe, f.Incident.AckBy = false, "autonomy is observe", "kim"
		f.Unit.Active, f.Unit.Stopped = "inactive", "person"
		for i := range 5 {
			f.History = append(f.History, attempt(restart(), time.Duration(i)*time.Minute, incident.Ineffective))
		}
	})
	if d := Request(at(10*time.Minute), forgiven, "restart-app"); d.Verdict != Act || d.Remedy != "restart-app" {
		t.Errorf("a person is held back: %s/%q %s", d.Verdict, d.Guard, d.Reason)
	}
	tests := map[Guard]func(*Facts){
		Allowlist:   func(f *Facts) { f.Candidates[0].Allowed = false },
		Precheck:    func(f *Facts) { f.Candidates[0].Refusal = "no" },
		System:      func(f *Facts) { f.Host.State = "starting" },
		HumanWins:   func(f *Facts) { f.Unit.Load = "masked" },
		Transaction: func(f *Facts) { f.Unit.Transaction = "dpkg" },
		Moving:      func(f *Facts) { f.Unit.Active = "deactivating" },
		Condition:   func(f *Facts) { f.Candidates[0].Conditional = true },
		Paused:      func(f *Facts) { f.Pauses = []incident.Pause{{Scope: "all"}} },
		HostRate:    func(f *Facts) { f.Host.PerHour = 0 },
		Busy: func(f *Facts) {
			f.History = []incident.Attempt{{Incident: "i1", Phase: incident.Acted}}
		},
	}
	for guard, change := range tests {
		if d := Request(at(0), with(change), "restart-app"); d.Verdict == Act || d.Guard != guard {
			t.Errorf("%s: got %s/%q: %s", guard, d.Verdict, d.Guard, d.Reason)
		}
	}
	if d := Request(at(0), dead(), "nonsense"); d.Verdict != Hold {
		t.Errorf("an unknown remedy: %s %s", d.Verdict, d.Reason)
	}
}

func TestChoicesAreShown(t *testing.T) {
	f := dead()
	f.Candidates = []Candidate{drain(), restart(), {Name: "last", Target: "x"}}
	f.Candidates[0].Allowed = false
	f.Candidates[1].Verified, f.Candidates[1].Failed = 9, 1
	d := Decide(at(0), f)
	want := []Choice{
		{Remedy: "drain-pool", Verdict: Escalate, Guard: Allowlist, Confidence: 0.8,
			Reason: "no allow block of this host permits reset_pool on db"},
		{Remedy: "restart-app", Verdict: Act, Confidence: 0.825, Reason: "nothing stands in its way"},
		{Remedy: "last", Verdict: Nothing, Reason: "not reached"},
	}
	if diff := cmp.Diff(want, d.Candidates); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
}

// A stamp of another boot has an age by the wall clock only.
func TestBudgetAcrossReboot(t *testing.T) {
	f := dead()
	for i := range 3 {
		f.History = append(f.History, elsewhere(attempt(restart(), time.Duration(i)*time.Minute, incident.Ineffective)))
	}
	now := clock.Stamp{Boot: time.Minute, BootID: "boot-2", Wall: at(0).Wall.Add(30 * time.Minute)}
	f.Alert.Fired = now
	if d := Decide(now, f); d.Guard != Spent {
		t.Errorf("a reboot freed the budget: %s", d.Reason)
	}
	now.Wall = at(0).Wall.Add(-time.Hour) // and so did a clock that was set back
	if d := Decide(now, f); d.Guard != Spent {
		t.Errorf("a clock that was set back freed the budget: %s", d.Reason)
	}
}
