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
	f := open(t)
	f.slowStart(2 * time.Second)
	dice := rand.New(rand.NewPCG(seed, 3))
	for _, c := range leaderCases(dice) {
		h := f.web[dice.IntN(len(f.web))]
		t.Run(fmt.Sprintf("%s while it is %s", c.fault.name, c.stage.name), func(t *testing.T) {
			since := time.Now()
			leader := f.leader()
			f.fault(h, "errors?ratio=1")
			f.eventually(upTime, c.stage.name, func() string { return c.stage.missing(f, h) })
			f.tell("%s is %s, and %s is %s", h.Name, c.stage.name, leader.Name, c.fault.name)
			c.fault.begin(f, leader)
			f.eventually(upTime, h.Name+" is healed without the old leader", func() string {
				if f.jobs(h, since) == 0 || !f.serves(h) {
					return h.Name
				}
				return ""
			})
			c.fault.end(f, leader)
			f.awaitWell()
			if n := f.jobs(h, since); n != 1 {
				t.Errorf("%s was repaired %d times, and was ill once", h.Name, n)
			}
			f.neverTwoOut(since, 1)
		})
		if t.Failed() {
			return
		}
	}
	f.slowStart(0)
}

// leaderCases are each fault at each stage; in CI each fault at a stage that chance chooses.
func leaderCases(dice *rand.Rand) []leaderCase {
	var out []leaderCase
	order := dice.Perm(len(stages))
	for i, fault := range leaderFaults {
		for j := range stages {
			if inCI() && j > 0 {
				continue
			}
			out = append(out, leaderCase{fault, stages[order[(i+j)%len(stages)]]})
		}
	}
	return out
}

type leaderCase struct {
	fault leaderFault
	stage stage
}

// stage is a point of a repair; missing says "" once it is reached.
type stage struct {
	name    string
	missing func(*fleet, *booted.Host) string
}

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
	{"acting", func(f *fleet, h *booted.Host) string {
		if state := f.state(h); state != "deactivating" && state != "activating" {
			return "the shop is " + state
		}
		return ""
	}},
	{"verifying", func(f *fleet, h *booted.Host) string {
		if !f.serves(h) {
			return "the shop does not serve yet"
		}
		return ""
	}},
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
