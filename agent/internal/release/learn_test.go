package release

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestLearns(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	s.pass(14*time.Minute, true)
	s.pass(59*time.Second, true)
	s.want()
	s.pass(time.Second, true)
	s.want("1")
	s.deploy("2")
	s.pass(time.Hour, true)
	s.want("2", "1")
	s.anew() // what is known outlives the agent
	s.want("2", "1")
	s.deploy("1")
	s.pass(time.Hour, true)
	s.want("1", "2")
	for _, name := range []string{"3", "4", "5", "6"} {
		s.deploy(name)
		s.pass(16*time.Minute, true)
	}
	s.want("6", "5", "4", "3", "1")
}

// Time in which it is ill, or nobody knows, does not count, and neither does what was before.
func TestIllIsNotGood(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	s.pass(14*time.Minute, true)
	s.pass(time.Second, false)
	s.pass(14*time.Minute, true)
	s.start() // and so does a start
	s.pass(14*time.Minute, true)
	s.unit.Active = "failed"
	s.pass(time.Hour, true)
	s.unit.Active, s.unit.Job = "active", 7
	s.pass(time.Hour, true)
	s.want()
	s.unit.Job = 0
	s.pass(16*time.Minute, true)
	s.want("1")
	before := s.good()[0].At
	s.pass(time.Second, false)
	s.pass(14*time.Minute, true)
	if s.good()[0].At != before {
		t.Error("it counts as good again before it has run well for long enough")
	}
	s.pass(2*time.Minute, true)
	if s.good()[0].At == before {
		t.Error("that it ran well again is not noted")
	}
}

// Time in which nobody looked does not count: the machine was suspended, or the agent stood still.
func TestUnseenIsNotGood(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	s.pass(10*time.Minute, true)
	s.now = s.now.Add(20 * time.Minute)
	s.pass(14*time.Minute, true)
	s.want()
	s.pass(time.Minute, true)
	s.want("1")
}

// A process that began before the link led elsewhere runs the release from before, whatever a clock says.
func TestWhatRunsCounts(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	s.pass(16*time.Minute, true)
	s.must(os.Mkdir(filepath.Join(s.args.Releases, "2"), 0o755))
	s.link("releases/2")
	s.pass(time.Hour, true)
	s.want("1")
	s.unit.Changed = s.now.Boot // a reload is no start
	s.pass(time.Hour, true)
	s.want("1")
	s.args.Reload = true
	s.pass(time.Hour, true)
	s.want("2", "1")

	s.args.Reload = false
	s.anew() // by the age of the link alone
	s.pass(time.Hour, true)
	s.unit.ExecMainStart = s.now.Boot - 1 // a little before the link was last seen to lead elsewhere
	s.link("releases/1")
	s.pass(time.Hour, true)
	s.want("2", "1")
	s.link("releases/2")
	s.start()
	s.pass(14*time.Minute, true)
	s.want("2", "1")
	if r := s.l.runs[ofShop]; r.well == 0 || r.known {
		t.Errorf("it is not on its way to be known: %+v", r)
	}
}

// Another folder of the same name is another release.
func TestReplacedFolder(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	s.pass(16*time.Minute, true)
	s.must(os.Rename(filepath.Join(s.args.Releases, "1"), filepath.Join(s.args.Releases, "old")))
	s.must(os.Mkdir(filepath.Join(s.args.Releases, "1"), 0o755))
	s.pass(16*time.Minute, true)
	s.want("1")
	s.start()
	s.pass(16*time.Minute, true)
	s.want("1", "1")
	s.must(os.Remove(s.args.Link))
	s.pass(time.Hour, true) // nothing can be known
	s.want("1", "1")
}

// A release that cannot be left takes with it what ran before it, whether or not it runs well, and on a full disk too.
func TestMarker(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	s.pass(16*time.Minute, true)
	s.deploy("2")
	s.must(os.WriteFile(filepath.Join(s.args.Releases, "2", s.args.Marker), nil, 0o644))
	s.pass(time.Second, false)
	s.want()
	s.pass(16*time.Minute, true)
	s.deploy("3")
	s.pass(16*time.Minute, true)
	s.want("3", "2")
	s.disk.full = true
	s.must(os.WriteFile(filepath.Join(s.args.Releases, "3", s.args.Marker), nil, 0o644))
	s.pass(time.Second, true)
	if got := s.good(); len(got) != 1 || got[0].Name != "3" {
		t.Errorf("known to be good: %v", got)
	}
}

// What is not on disk is not known.
func TestFullDisk(t *testing.T) {
	s := newShop(t)
	s.disk.full = true
	s.deploy("1")
	s.pass(16*time.Minute, true)
	s.want()
	s.disk.full = false
	s.pass(16*time.Minute, true)
	s.want("1")
}

// What a service has shown that is not configured any more is forgotten, but not at once.
func TestForget(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	s.pass(16*time.Minute, true)
	s.l.Aim(nil)
	s.aim()
	s.want("1")
	s.now = s.now.Add(31 * 24 * time.Hour)
	s.aim()
	s.want("1")
	s.l.Aim(nil)
	s.want()
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.deploy("1")
		s.args.GoodAfter = 10 * time.Second
		s.unit.ExecMainStart += time.Second
		s.l.o.Well = func(context.Context) (map[string]bool, error) {
			s.now = s.now.Add(time.Second)
			return map[string]bool{"shop": true}, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.must(s.l.Run(ctx))
		s.want("1")
	})
}
