package chaos

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/rig/rigtest"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
)

// TestChaos kills and freezes controllers, agents and services at random. Whatever happens, at most two hosts of a
// service are under repair at once; and in the end everything is healed, or in the hands of a person.
//
// FAULT_MINUTES=10 breaks things for so long, with a new fleet every two minutes; FAULT_SEED=N begins with that seed.
// With -artifacts the logs of a failure are kept.
func TestChaos(t *testing.T) {
	programs := rigtest.All(t)
	minutes := number(t, "FAULT_MINUTES", fleetMinutes)
	seed := number(t, "FAULT_SEED", rand.Uint64N(1e9))
	for ; minutes > 0 && !t.Failed(); seed++ {
		storm := min(minutes, fleetMinutes)
		minutes -= storm
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			chaos(t, newFleet(t, programs), time.Duration(storm)*time.Minute, seed)
		})
	}
}

const (
	fleetMinutes = 2               // of storm that a fleet lives through
	judgeTime    = 4 * time.Minute // most, for all that follows: far more than it takes
)

func chaos(t *testing.T, f *fleet, d time.Duration, seed uint64) {
	audit, stop := f.watch()
	f.storm(t.Context(), d, seed, audit.witness)
	storm := time.Now()
	f.deadline = storm.Add(judgeTime)
	f.tell("the storm is over")
	f.awaitCalm()
	stop()
	calm := time.Now()
	f.tell("Salve has come to an end")

	f.allRun()
	audit.maxUnavailable()
	f.nodesAgree(audit.ledger)
	f.noLoss()
	f.noSilence()
	ill := f.mend()
	f.everythingIsWell()
	t.Logf("%s; Salve came to an end %v after the storm, a person mended %d of %d services, all was well %v later", audit,
		calm.Sub(storm).Round(time.Second), ill, hosts*len(services), time.Since(calm).Round(time.Second))
}

// awaitCalm waits until Salve has done what it could: every host is back, no permit is open but those of which nobody
// can tell how they ended, and each incident has ended or is with people.
func (f *fleet) awaitCalm() {
	f.t.Helper()
	f.eventually(90*time.Second, "Salve comes to an end", func() string {
		if why := f.strangers(); why != "" {
			return why
		}
		permits, err := f.permits()
		if err != nil {
			return err.Error()
		}
		incidents, err := f.incidents()
		if err != nil {
			return err.Error()
		}
		if why := Unfinished(permits, incidents); why != "" {
			return why
		}
		if ill := f.unwatched(incidents); len(ill) > 0 {
			return fmt.Sprintf("ill, and in no incident: %s", strings.Join(ill, ", "))
		}
		return ""
	})
}

// unwatched are the places that are ill and that no open incident has an alert of.
func (f *fleet) unwatched(incidents []*adminpb.GetIncidentResponse) []string {
	known := map[string]bool{}
	for _, i := range incidents {
		for _, a := range i.GetAlerts() {
			if !Ended(i) && a.GetResolved() == 0 {
				known[Place{a.GetService(), a.GetHostName()}.String()] = true
			}
		}
	}
	return slices.DeleteFunc(f.unwell(), func(p string) bool { return known[p] })
}

// maxUnavailable: by the audit and by the witness, never more hosts than allowed were under repair, and nothing was
// done to a unit without a permit for it, nor twice under one.
func (a *auditor) maxUnavailable() {
	t := a.f.t
	t.Helper()
	a.complain()
	for p, n := range a.witness.Begun() {
		if n > a.ledger.Granted(p) {
			t.Errorf("systemd did %d jobs on %v, and there were %d permits that were used", n, p, a.ledger.Granted(p))
		}
	}
	if a.ledger.Grants() < 5 || a.witness.Total() < 5 || a.seen < 1 {
		t.Errorf("%d permits, %d jobs, %d of them seen running: nothing was put to the test", a.ledger.Grants(),
			a.witness.Total(), a.seen)
	}
}

// nodesAgree: what the audit says is what each of the nodes knows by itself. A record's hash is over all before it.
func (f *fleet) nodesAgree(l *Ledger) {
	f.t.Helper()
	for i := range f.nodes {
		f.eventually(upTime, node(i)+" has the same history", func() string {
			var r adminpb.ListAuditResponse
			err := f.askNode(i, &r, "audit", "--stale", "--after", fmt.Sprint(l.After()), "--limit", "1")
			switch {
			case err != nil:
				return err.Error()
			case len(r.GetRecords()) == 0:
				return fmt.Sprintf("it has no record after %d", l.After())
			case !bytes.Equal(r.GetRecords()[0].GetHash(), l.last.GetHash()):
				f.t.Fatalf("to %s record %d is %v, and to the others %v", node(i), l.last.GetN(), r.GetRecords()[0], l.last)
			}
			return ""
		})
	}
}

// noLoss: what stands in an agent's journal stands in one incident of the controllers, and in one only.
func (f *fleet) noLoss() {
	f.t.Helper()
	f.eventually(upTime, "every alert of the journals is with the controllers", func() string {
		incidents, err := f.incidents()
		if err != nil {
			return err.Error()
		}
		journals := map[string][]*localpb.Incident{}
		for i := range hosts {
			if journals[host(i)], err = f.journal(i); err != nil {
				return err.Error()
			}
		}
		for _, twice := range Twice(incidents) {
			f.t.Error(twice)
		}
		return strings.Join(Lost(journals, incidents), ", ")
	})
}

// noSilence: whoever has an incident has heard of it.
func (f *fleet) noSilence() {
	f.t.Helper()
	f.eventually(upTime, "people hear of every incident that is theirs", func() string {
		incidents, err := f.incidents()
		if err != nil {
			return err.Error()
		}
		return strings.Join(Unheard(incidents, f.pager.Pages()), ", ")
	})
}

// mend is what a person does with what Salve has handed over: whatever is still ill is restarted by hand.
func (f *fleet) mend() int {
	f.t.Helper()
	restart := []string{"restart"}
	for p := range f.patients {
		if !f.well(p) {
			restart = append(restart, unitOf(p))
		}
	}
	ill := len(restart) - 1
	if ill > 0 {
		f.tell("a person says systemctl %s", strings.Join(restart, " "))
		if _, err := f.manager.Systemctl(restart...); err != nil {
			f.t.Errorf("mend by hand: %v", err)
		}
	}
	return ill
}

// everythingIsWell: all units are active and answer, no permit is open, every incident has ended, and everybody who
// was told of one has heard of its end, and of nothing after that.
func (f *fleet) everythingIsWell() {
	f.t.Helper()
	f.eventually(90*time.Second, "everything is well", func() string {
		if ill := f.unwell(); len(ill) > 0 {
			return "ill: " + strings.Join(ill, ", ")
		}
		if permits, err := f.permits(); err != nil || len(permits) > 0 {
			return fmt.Sprintf("permits are open: %v, %v", permits, err)
		}
		incidents, err := f.incidents()
		if err != nil {
			return err.Error()
		}
		for _, i := range incidents {
			if !Ended(i) {
				return IncidentText(i)
			}
		}
		return f.untold()
	})
	for p := range f.patients {
		if state, err := f.manager.Property(unitOf(p), "ActiveState"); err != nil || state != "active" {
			f.t.Errorf("%s is %s, %v", unitOf(p), state, err)
		}
	}
}

// untold names what somebody was told of and has not heard the end of, "" if there is nothing.
func (f *fleet) untold() string {
	f.t.Helper()
	untold, wrong := Untold(f.pager.Pages())
	for _, w := range wrong {
		f.t.Error(w)
	}
	if len(untold) > 0 {
		return "nobody heard that this is over: " + strings.Join(untold, ", ")
	}
	return ""
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
