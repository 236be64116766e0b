//go:build lab

package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestLeaderFaults: the leader is killed, frozen, and cut off (also one way) at each stage of a repair. The repair is
// done once, and the shop serves again before the old leader is back.
func TestLeaderFaults(t *testing.T) {
	dice := rand.New(rand.NewPCG(seed, 3))
	order := dice.Perm(len(stages))
	f := open(t)
	for i, fault := range leaderFaults {
		at := []int{order[i%len(order)]} // each fault at a stage that chance chooses
		if !inCI() {
			at = order // at each
			if i > 0 {
				f = fresh(t)
			}
		}
		f.slowStart(2 * time.Second)
		for j, k := range at {
			ok := t.Run(fmt.Sprintf("%s while it is %s", fault.name, stages[k].name), func(t *testing.T) {
				f.leaderFault(t, fault, stages[k], f.web[(i+j)%len(f.web)])
			})
			if !ok {
				return
			}
		}
		f.slowStart(0)
	}
}

// leaderFault lets the leader have a fault at one stage of the repair of one host.
func (f *fleet) leaderFault(t *testing.T, fault leaderFault, at stage, h *booted.Host) {
	defer func(before testing.TB) { f.t = before }(f.t)
	f.t = t
	since := time.Now()
	leader := f.leader()
	f.fault(h, "errors?ratio=1")
	f.eventually(upTime, at.name, func() string { return at.missing(f, h) })
	f.tell("%s is %s, and %s is %s", h.Name, at.name, leader.Name, fault.name)
	fault.begin(f, leader)
	f.eventually(upTime, h.Name+" is healed without the old leader", func() string {
		if f.jobs(h, since) == 0 || !f.serves(h) {
			return h.Name
		}
		return ""
	})
	fault.end(f, leader)
	f.awaitWell()
	if n := f.jobs(h, since); n != 1 {
		t.Errorf("%s was repaired %d times, and was ill once", h.Name, n)
	}
	f.neverTwoOut(since, 1)
}

// stage is a point of a repair; missing says "" once it is reached.
type stage struct {
	name    string
	missing func(*fleet, *booted.Host) string
}

var acting = stage{"acting", func(f *fleet, h *booted.Host) string {
	if state := f.state(h); state != "deactivating" && state != "activating" {
		return "the shop is " + state
	}
	return ""
}}

var stages = []stage{
	{"detecting", func(f *fleet, h *booted.Host) string {
		if f.serves(h) {
			return "the shop is not ill yet"
		}
		return ""
	}},
	{"waiting for leave", func(f *fleet, h *booted.Host) string {
		incidents, err := f.local(h)
		if err != nil {
			return err.Error()
		}
		if len(incidents) == 0 || incidents[0].GetEnded() != nil {
			return "there is no incident"
		}
		return ""
	}},
	acting,
	{"verifying", func(f *fleet, h *booted.Host) string {
		if !f.serves(h) {
			return "the shop does not serve yet"
		}
		return ""
	}},
}

// awaitActing waits until the shop of a host is being repaired.
func (f *fleet) awaitActing(h *booted.Host) {
	f.t.Helper()
	f.eventually(upTime, acting.name, func() string { return acting.missing(f, h) })
}

// state is systemd's word for the shop on a host.
func (f *fleet) state(h *booted.Host) string {
	out, err := h.Exec(f.ctx(), "systemctl", "show", "--property=ActiveState", "--value", shop)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out)
}

// leaderFault is what happens to the leader.
type leaderFault struct {
	name       string
	begin, end func(f *fleet, leader *booted.Host)
}

var leaderFaults = []leaderFault{
	{
		"killed",
		func(f *fleet, leader *booted.Host) { f.must(leader.PowerCut()) },
		func(f *fleet, leader *booted.Host) { f.must(leader.Boot(f.ctx())) },
	},
	{
		"frozen",
		func(f *fleet, leader *booted.Host) { f.must(leader.Freeze()) },
		func(f *fleet, leader *booted.Host) { f.must(leader.Thaw()) },
	},
	{
		"cut off",
		func(f *fleet, leader *booted.Host) {
			f.must(booted.Partition(f.ctx(), []*booted.Host{leader}, f.others(leader)))
		},
		(*fleet).heal,
	},
	{
		"deaf",
		func(f *fleet, leader *booted.Host) {
			f.must(booted.OneWay(f.ctx(), f.others(leader), []*booted.Host{leader}))
		},
		(*fleet).heal,
	},
	{
		"unheard",
		func(f *fleet, leader *booted.Host) {
			f.must(booted.OneWay(f.ctx(), []*booted.Host{leader}, f.others(leader)))
		},
		(*fleet).heal,
	},
}

func (f *fleet) heal(*booted.Host) { f.must(booted.Heal(f.ctx(), f.lab.Hosts()...)) }

// others are all hosts but these.
func (f *fleet) others(than ...*booted.Host) []*booted.Host {
	return slices.DeleteFunc(f.lab.Hosts(), func(h *booted.Host) bool { return slices.Contains(than, h) })
}

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}
