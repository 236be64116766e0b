//go:build lab

package scenario

import (
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestMinoritySide: a node and two hosts are cut off from the rest. There, what needs no leave is healed, what needs it
// waits, and what became well meanwhile is not repaired afterwards. The other side heals, but for what would be the
// second host out.
func TestMinoritySide(t *testing.T) {
	f := open(t)
	away := []*booted.Host{f.leader(), f.web[0], f.web[1]}
	home := f.others(away...)
	since := time.Now()
	f.tell("%s, %s and %s are cut off", away[0].Name, away[1].Name, away[2].Name)
	f.must(booted.Partition(f.ctx(), away, home))

	f.crash(f.web[0])
	f.fault(f.web[1], "errors?ratio=1")
	f.fault(f.web[2], "hang")
	f.eventually(upTime, "what is dead starts without leave", func() string { return f.ill(f.web[0]) })
	f.eventually(upTime, "the other side gives leave to a host that is down", func() string { return f.ill(f.web[2]) })
	f.eventually(upTime, "the hosts that are cut off are lost", func() string {
		hosts, err := f.hosts()
		if !hosts[f.web[0].Name].GetHost().GetLost() || !hosts[f.web[1].Name].GetHost().GetLost() {
			return "not yet " + text(err)
		}
		return ""
	})
	f.fault(f.web[3], "errors?ratio=1") // it serves, and two others are not known to
	f.pass(5 * time.Second)             // in which it could have acted
	for _, h := range []*booted.Host{f.web[1], f.web[3]} {
		if n := f.jobs(h, since); n != 0 {
			t.Errorf("%d jobs on %s without leave", n, h.Name)
		}
		f.fault(h, "none") // whatever it was goes by itself
	}
	f.eventually(upTime, "all alerts are over", func() string {
		for _, h := range f.web {
			if incidents, err := f.local(h); err != nil || len(incidents) > 0 && incidents[0].GetEnded() == nil {
				return h.Name + text(err)
			}
		}
		return ""
	})
	f.tell("the cut is healed")
	f.heal(nil)
	f.awaitWell()
	for _, h := range []*booted.Host{f.web[1], f.web[3]} {
		if n := f.jobs(h, since); n != 0 {
			t.Errorf("%s became well by itself, and was repaired afterwards: %d jobs", h.Name, n)
		}
	}
	for _, h := range []*booted.Host{f.web[0], f.web[2]} {
		if n := f.jobs(h, since); n != 1 {
			t.Errorf("%s was ill once, and had %d jobs", h.Name, n)
		}
	}
}

// ill says that the shop on a host does not serve, "" if it does.
func (f *fleet) ill(h *booted.Host) string {
	if !f.serves(h) {
		return h.Name + " does not serve"
	}
	return ""
}
