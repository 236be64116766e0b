//go:build lab

package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// controllerState is a node's folder: its log and its snapshots.
const controllerState = "/var/lib/salve/controller"

// TestAgentFromOldCopy: a host's agent gets an old copy of its state in the middle of a repair. It begins a new event
// stream, and the audit says why. What it was doing is unknown, not done again, and left to a person; nothing is lost
// or told twice.
func TestAgentFromOldCopy(t *testing.T) {
	f := open(t)
	h := f.web[3]
	f.audit.expect("journal")
	f.stopped(h, "salve-agent", func() { f.save(h, agentState) })
	f.awaitWell()
	f.healsByPermit(h) // which the copy does not know of
	known, since := f.all(), time.Now()
	f.slowStartOf(h, 3*time.Second)
	f.fault(h, "errors?ratio=1")
	f.awaitActing(h)
	f.sh(h, "systemctl kill --signal=KILL salve-agent")
	f.stopped(h, "salve-agent", func() { f.restore(h, agentState) })
	f.audited("the journal of " + h.Name + " went back in time; its open attempts are unknown")
	f.resolve(f.handedOver())
	f.awaitWell()
	if n, jobs := f.all()-known, f.jobs(h, since); n != 1 || jobs != 1 {
		t.Errorf("the shop was ill once, which gave %d incidents and %d jobs", n, jobs)
	}
	f.slowStartOf(h, 0)
}

// TestNodeFromOldCopy: a node of the controller gets an old copy of its state. It learns what it has forgotten, and
// nothing is lost that it had confirmed, even when a majority takes it and when it leads.
func TestNodeFromOldCopy(t *testing.T) {
	f := open(t)
	old, other := f.followers()
	f.stopped(old, "salve-controller", func() { f.save(old, controllerState) })
	f.caughtUp()
	f.healsByPermit(f.web[1])
	f.stopped(old, "salve-controller", func() { f.restore(old, controllerState) })
	f.caughtUp()
	f.stopped(other, "salve-controller", func() { f.healsByPermit(f.web[2]) })
	f.caughtUp()
	f.ask("raft", "transfer", old.Name)
	f.eventually(upTime, old.Name+" leads", func() string {
		if l := f.leader(); l != old {
			return l.Name + " leads"
		}
		return ""
	})
	f.awaitWell()
	f.healsByPermit(f.web[0])
}

// TestMajorityFromOldCopy: a node that was away and one with an old copy of its state make a majority without the one
// that knows better, and what was confirmed since is lost. The hosts know of it: a new generation begins, in which
// nothing is done until a person resumes.
func TestMajorityFromOldCopy(t *testing.T) {
	f := open(t)
	f.audit.expect("generation")
	leader := f.leader()
	old, away := f.followers()
	f.stopped(old, "salve-controller", func() { f.save(old, controllerState) })
	f.caughtUp()
	before := f.at().GetGeneration()
	back := f.audit.mark(f)
	f.sh(away, "systemctl stop salve-controller")
	f.healsByPermit(f.web[0])
	f.healsByPermit(f.web[1])
	back(func() {
		f.sh(leader, "systemctl stop salve-controller")
		f.sh(old, "systemctl stop salve-controller")
		f.restore(old, controllerState)
		f.sh(old, "systemctl start salve-controller")
		f.sh(away, "systemctl start salve-controller")
		f.eventually(upTime, "a new generation begins", func() string {
			if f.at().GetGeneration() == before {
				return "it is that of before"
			}
			return ""
		})
	})
	f.audited("knows more of the log than this leader")
	f.sh(leader, "systemctl start salve-controller")
	f.eventually(upTime, "every host is known", f.strangers)
	f.caughtUp()
	f.ask("resume", "all")
	f.awaitWell()
	f.healsByPermit(f.web[2])
}

// TestControllerRestored: the controller goes back to a backup. A new generation begins, in which everything is paused
// until a person resumes, which he can only once every host has said what it does; what is under repair goes on, and is
// counted.
func TestControllerRestored(t *testing.T) {
	f := open(t)
	h := f.web[3]
	f.audit.expect("generation", "running")
	before := f.at().GetGeneration()
	back := f.audit.mark(f)
	f.ask("raft", "snapshot", "/root/backup")
	f.healsByPermit(f.web[2]) // which the backup does not know of
	f.slowStartOf(h, 8*time.Second)
	f.fault(h, "errors?ratio=1")
	f.eventually(upTime, h.Name+" has a permit", func() string {
		permits, err := f.permits()
		if len(permits) == 1 {
			return ""
		}
		return fmt.Sprint(permits, text(err))
	})
	f.tell("the controller goes back to its backup")
	back(func() { f.ask("raft", "restore", "/root/backup", "--yes") })
	if f.at().GetGeneration() == before {
		t.Error("the generation is that of the backup")
	}
	f.audited("restored a backup")
	f.audited(h.Name + " still runs ")
	f.eventually(upTime, "every host is known", f.strangers)
	f.doesNotHeal(f.web[1], "a new generation began")
	f.ask("resume", "all")
	f.awaitWell()
	f.slowStartOf(h, 0)
}

// stopped does something while a program of a host does not run.
func (f *fleet) stopped(h *booted.Host, unit string, do func()) {
	f.t.Helper()
	f.sh(h, "systemctl stop "+unit)
	do()
	f.sh(h, "systemctl start "+unit)
}

// save copies a folder of a host, for restore.
func (f *fleet) save(h *booted.Host, folder string) {
	f.t.Helper()
	f.tell("%s of %s is copied", folder, h.Name)
	f.must(h.Save(f.ctx(), "old", folder))
}

// restore puts the copy in place of what is there.
func (f *fleet) restore(h *booted.Host, folder string) {
	f.t.Helper()
	f.tell("%s of %s is what it was then", folder, h.Name)
	f.must(h.Restore(f.ctx(), h, "old", folder))
}

// audited waits until the audit has a record that says so.
func (f *fleet) audited(what string) {
	f.t.Helper()
	f.eventually(upTime, "the audit has: "+what, func() string {
		out, err := f.salve("audit", "--limit", "5000")
		if strings.Contains(out, what) {
			return ""
		}
		return "it has not" + text(err)
	})
}

// all is how many incidents there ever were.
func (f *fleet) all() int {
	f.t.Helper()
	all, err := f.incidents("--all")
	if err != nil {
		f.t.Fatal(err)
	}
	return len(all)
}

// handedOver waits for the one incident that is left to people.
func (f *fleet) handedOver() (id string) {
	f.t.Helper()
	f.eventually(upTime, "people have the incident", func() string {
		incidents, err := f.incidents()
		if len(incidents) != 1 || incidents[0].GetState() != logpb.IncidentState_INCIDENT_STATE_ESCALATED {
			return fmt.Sprint(incidents, text(err))
		}
		id = incidents[0].GetId()
		return ""
	})
	return id
}

// resolve ends an incident as a person does who has looked.
func (f *fleet) resolve(id string) {
	f.t.Helper()
	f.ask("resolve", id, "--reason", "it serves", "--yes")
}

// followers are two nodes that do not lead.
func (f *fleet) followers() (a, b *booted.Host) {
	f.t.Helper()
	leader := f.leader()
	var out []*booted.Host
	for _, h := range f.ctl {
		if h != leader {
			out = append(out, h)
		}
	}
	return out[0], out[1]
}

// caughtUp waits until every node has what the leader has now, by its own word.
func (f *fleet) caughtUp() {
	f.t.Helper()
	want := f.at().GetIndex()
	for _, h := range f.ctl {
		f.eventually(upTime, h.Name+" is up to date", func() string {
			if got := f.at("--stale", "--address", h.Name+":7600").GetIndex(); got < want {
				return fmt.Sprintf("it is at %d, and %d is confirmed", got, want)
			}
			return ""
		})
	}
}

// at is where the controller's log is, by the word of one node.
func (f *fleet) at(flags ...string) *adminpb.At {
	var r adminpb.ListHostsResponse
	f.eventually(upTime, "the controller says where its log is", func() string {
		return text(f.read(f.desk, &r, append([]string{"hosts"}, flags...)...))
	})
	return r.GetAt()
}
