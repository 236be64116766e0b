//go:build lab

package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestAgentKilledInAction: the agent dies in the middle of a repair. What it began is settled by what it finds, and not
// done again.
func TestAgentKilledInAction(t *testing.T) {
	f := open(t)
	h := f.web[0]
	since := time.Now()
	f.slowStartOf(h, 3*time.Second)
	f.fault(h, "errors?ratio=1")
	f.awaitActing(h)
	f.tell("the agent of %s is killed", h.Name)
	f.sh(h, "systemctl kill --signal=KILL salve-agent")
	f.eventually(upTime, "healed", func() string { return f.ill(h) })
	f.awaitWell()
	if n := f.jobs(h, since); n != 1 {
		t.Errorf("the shop was ill once, and had %d jobs", n)
	}
	f.slowStartOf(h, 0)
}

// TestRebootInAction: a host goes down in the middle of a repair, in order and by a power cut. After it is back, the
// shop serves, and nothing of the old life is done again.
func TestRebootInAction(t *testing.T) {
	f := open(t)
	for name, down := range map[string]func(*booted.Host) error{
		"reboot":    func(h *booted.Host) error { return h.Reboot(f.ctx()) },
		"power cut": func(h *booted.Host) error { f.must(h.PowerCut()); return h.Boot(f.ctx()) },
	} {
		t.Run(name, func(t *testing.T) {
			h := f.web[3] // with control groups v1
			f.slowStartOf(h, 3*time.Second)
			f.fault(h, "errors?ratio=1")
			f.awaitActing(h)
			f.tell("%s of %s", name, h.Name)
			f.must(down(h))
			f.eventually(upTime, "the shop starts with its host", func() string { return f.ill(h) })
			since := time.Now()
			f.awaitWell()
			if n := f.jobs(h, since); n != 0 {
				t.Errorf("all was well, and the shop had %d jobs", n)
			}
			f.slowStartOf(h, 0)
		})
	}
}

// TestDiskFull: no intent can be written, so nothing is done, and people hear of it. With space again all is healed.
func TestDiskFull(t *testing.T) {
	f := open(t)
	h := f.web[1]
	since := time.Now()
	f.tell("the disk of %s is full", h.Name)
	f.must(h.FillDisk())
	f.onlyTold(h)
	f.tell("there is space again")
	f.must(h.FreeDisk())
	f.eventually(upTime, "healed", func() string { return f.ill(h) })
	f.awaitWell()
	if n := f.jobs(h, since); n != 1 {
		t.Errorf("the shop was ill once, and had %d jobs", n)
	}
}

// TestReadOnlyState: the disk of the state breaks under the running agent, and stays read-only over its restart.
func TestReadOnlyState(t *testing.T) {
	f := open(t)
	h := f.web[2]
	f.tell("the disk of %s breaks", h.Name)
	f.must(h.BreakDisk())
	f.onlyTold(h)
	since := time.Now()
	f.sh(h, "systemctl restart --no-block salve-agent")
	f.pass(5 * time.Second)
	if n := f.jobs(h, since); n != 0 {
		t.Errorf("after a restart without a journal the shop had %d jobs", n)
	}
	f.audit.expect("journal") // goes back in time: what was told meanwhile is on no disk
	f.tell("%s gets a new disk", h.Name)
	f.must(h.PowerCut())
	f.must(h.MendDisk(f.ctx()))
	f.must(h.Boot(f.ctx()))
	f.eventually(upTime, "the host is back", f.strangers)

	// What it told without a journal it has forgotten, and missing data is no recovery: people have the last word.
	incidents, err := f.incidents()
	if err != nil || len(incidents) != 1 {
		t.Fatalf("one incident is open, not %v, %v", incidents, err)
	}
	if story := f.ask("explain", incidents[0].GetId()); !strings.Contains(story, "journal") {
		t.Errorf("nobody says that the journal is lost:\n%s", story)
	}
	f.ask("resolve", incidents[0].GetId(), "--yes", "--reason", "the disk was replaced, and the shop serves")
	f.awaitWell()
}

// onlyTold: no intent can be written on a host, so of what befalls it the controller hears, and nothing is done.
func (f *fleet) onlyTold(h *booted.Host) {
	f.t.Helper()
	since := time.Now()
	f.fault(h, "errors?ratio=1")
	f.heardOf(h)
	f.pass(5 * time.Second) // in which it could have acted
	if n := f.jobs(h, since); n != 0 {
		f.t.Errorf("no intent could be written, and the shop had %d jobs", n)
	}
}

// heardOf waits until the controller has an incident of the host.
func (f *fleet) heardOf(h *booted.Host) {
	f.t.Helper()
	f.eventually(upTime, "the controller hears of "+h.Name, func() string {
		incidents, err := f.incidents()
		if err == nil && len(incidents) == 0 {
			return "no incident"
		}
		return text(err)
	})
}
