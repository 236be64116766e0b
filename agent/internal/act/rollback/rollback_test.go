package rollback_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/rollback"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
)

// The link leads back, in the manner in which it was written, and the unit runs that release; nothing else changes. It is
// taken back once, and does not run twice in one incident.
func TestBackAndForth(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other, _ := s.Watcher.Unit("other.service")
	before := s.tree()
	p, err := s.Runner.Prepare(t.Context(), s.request("i"))
	s.must(err)
	if want := "let " + s.args.Link + " lead back from 2 to 1, then restart what runs it"; p.Text != want || !p.Disruptive ||
		strings.Join(p.Detail, "; ") != "link "+s.args.Link+" to releases/1 instead of releases/2; restart shop.service" {
		t.Errorf("plan %q, disruptive %v, %q", p.Text, p.Disruptive, p.Detail)
	}
	s.changed(before) // a plan changes nothing

	a := s.Must(s.request("i"))
	s.link("releases/1", "21")
	s.changed(before, "current", "starts")
	s.idle()
	s.Refused(s.request("i"), "was rolled back in this incident already", false)
	s.Refused(s.request("j"), "1 has run well itself", false)

	for range 2 { // the second time nothing is left to be done
		if a, err = s.Runner.Undo(t.Context(), a.ID); err != nil || a.Phase != incident.Undone {
			t.Fatalf("%s, %v", a.Phase, err)
		}
	}
	s.link("releases/2", "212")
	s.changed(before, "starts")
	s.idle()
	s.Refused(s.request("i"), "was rolled back in this incident already", false)
	if now, _ := s.Watcher.Unit("other.service"); now.InvocationID != other.InvocationID {
		t.Error("another unit was touched")
	}
}

// A link that is written with its whole path stays so, and all units follow, in order.
func TestUnitsFollow(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.leads(s.args.Releases + "/2")
	s.args.Units = []string{"other.service", "shop.service"}
	s.Refused(s.request("i"), "permits restart on other.service", false)
	s.allow("*.service")
	other, _ := s.Watcher.Unit("other.service")
	s.Must(s.request("i"))
	s.link(s.args.Releases+"/1", "21")
	if now, _ := s.Watcher.Unit("other.service"); now.InvocationID == other.InvocationID {
		t.Error("the other unit did not follow")
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.args.Reload = true
	a := s.Must(s.request("i"))
	s.idle()
	if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	s.link("releases/2", "2") // no start
	if text, _ := os.ReadFile(filepath.Join(s.root, "reloads")); string(text) != "releases/1\nreleases/2\n" {
		t.Errorf("reloads saw %q", text)
	}
}

// What forbids it is said, and nothing has changed. It is never a release that has not run well.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	one, two := filepath.Join(s.args.Releases, "1"), filepath.Join(s.args.Releases, "2")
	for _, c := range []struct {
		why        string
		make, undo func() error
	}{
		{"no release is known to have run well before 2", func() error { s.good = nil; return nil }, nil},
		{"2 has run well itself", func() error { s.good = append([]release.Good{s.ran("2", -time.Minute)}, s.good...); return nil }, nil},
		{"there is no way back from 2: it has a file .no-rollback", func() error {
			return os.WriteFile(two+"/.no-rollback", nil, 0o644)
		}, func() error { return os.Remove(two + "/.no-rollback") }},
		{"no such file", func() error { return os.Rename(one, one+"x") }, func() error { return os.Rename(one+"x", one) }},
		{"can be changed by everybody", func() error { return os.Chmod(one, 0o777) }, func() error { return os.Chmod(one, 0o755) }},
		{"is another folder than the one that ran well", func() error {
			return errors.Join(os.Rename(one, one+"x"), os.Mkdir(one, 0o755))
		}, func() error { return errors.Join(os.Remove(one), os.Rename(one+"x", one)) }},
		{"is a symbolic link", func() error {
			return errors.Join(os.Rename(one, one+"x"), os.Symlink("1x", one))
		}, func() error { return errors.Join(os.Remove(one), os.Rename(one+"x", one)) }},
		{"does not lie in", func() error { s.leads("."); return nil }, func() error { s.leads("releases/2"); return nil }},
		{"permits restart on shop.service", func() error { s.allow("other.service"); return nil }, func() error { s.allow("shop.service"); return nil }},
		{"was stopped by a person", func() error { s.Do("stop", "shop.service"); s.Down("shop.service"); return nil },
			func() error { s.Up("shop.service"); return nil }},
	} {
		good := s.good
		s.must(c.make())
		before := s.tree()
		s.Refused(s.request("i"), c.why, false)
		s.changed(before)
		if s.good = good; c.undo != nil {
			s.must(c.undo())
		}
	}
	s.args.Link = filepath.Join(s.root, "releases/../current2") // not the one that is allowed
	s.Refused(s.request("i"), "permits rollback on", false)
	s.args.Link = ""
	s.Refused(s.request("i"), "names no release link", false)
	s.args.Link, s.args.Units = filepath.Join(s.root, "current"), nil // empty-means-all
	s.Refused(s.request("i"), "no unit that runs", false)
	s.args.Units = []string{"shop.service"}
	s.Must(s.request("i")) // what was refused left nothing behind
}

// The one that ran well before is taken when the last one is gone, and a person may leave one that runs well.
func TestOlderOne(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gone := s.ran("1", -time.Minute)
	gone.ID = "other " + release.ReleaseOf(gone.Version).Folder
	s.good = []release.Good{s.ran("2", -time.Second), gone}
	alone := s.request("i")
	alone.ByPerson = true // as for who only asks whether all is ready
	s.Refused(alone, "2 has run well itself, and no release is known to have run well before 2", false)
	var refusal *kind.Refusal
	if _, err := s.Run(s.request("i")); !errors.As(err, &refusal) || !refusal.Needless {
		t.Errorf("refused, though nothing is wrong with it: %v", err)
	}
	s.good = []release.Good{s.ran("2", -time.Second), gone, s.ran("1", -time.Hour)}
	q := s.request("i")
	q.ByPerson = true
	s.Must(q)
	s.link("releases/1", "21")
	s.idle()

	// Back to where a rollback came from there is no way, until it has run well anew.
	s.good = []release.Good{s.ran("2", -time.Second-time.Minute)}
	s.Refused(s.request("j"), "2 was left by a rollback and has not run well since", false)
	s.good = []release.Good{s.ran("2", 0)}
	s.Must(s.request("j"))
	s.link("releases/2", "212")
}

// A release that does not start is an attempt that failed; taken back, the one from before runs, as far as it does.
func TestDoesNotStart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.runs("1", "exit 1")
	a, err := s.Run(s.request("i"))
	if err != nil || !strings.Contains(a.Error, "leads to 1; restart shop.service") {
		t.Fatalf("%+v, %v", a, err)
	}
	s.Becomes("shop.service", "down", systemd.Unit.Down)
	if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	s.link("releases/2", "212")
	if u := s.idle(); u.Active != "active" {
		t.Errorf("it is %s", u.Active)
	}

	s.runs("2", "exit 1")
	_, _ = s.Systemctl("restart", "shop.service") // a unit that is down when it begins need not come up at the end
	s.Becomes("shop.service", "failed", func(u systemd.Unit) bool { return u.Active == "failed" && u.Job == 0 })
	if p, err := s.Runner.Prepare(t.Context(), s.request("j")); err != nil || !p.Disruptive {
		t.Errorf("hosts may leave a release all at once: %+v, %v", p, err)
	}
	a, err = s.Run(s.request("j"))
	s.must(err)
	if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
	s.link("releases/2", "2122"+"1"+"2")
}

// What cannot be written changes nothing, and there is nothing to take back.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	err := unix.Mount(s.root, s.root, "", unix.MS_BIND, "")
	why := ""
	if err != nil {
		why = err.Error()
	}
	agenttest.Require(t, "a mount (root)", err == nil, why)
	t.Cleanup(func() { s.must(unix.Unmount(s.root, unix.MNT_DETACH)) })
	s.must(unix.Mount("", s.root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	before := s.tree()
	a, err := s.Run(s.request("i"))
	if err != nil || !strings.Contains(a.Error, "read-only file system") || len(a.Undo) > 0 {
		t.Errorf("%+v, %v", a, err)
	}
	s.changed(before)
	s.must(unix.Mount("", s.root, "", unix.MS_BIND|unix.MS_REMOUNT, ""))
	s.Must(s.request("i")) // what changed nothing does not count
}

// Who deploys in the last moment wins, and after the fact, too.
func TestSomebodyDeploys(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.must(os.Mkdir(filepath.Join(s.args.Releases, "3"), 0o755))
	step, _ := s.stage()
	s.leads("releases/3")
	before := s.tree()
	var refusal *kind.Refusal
	if err := s.kind().Act(t.Context(), step); !errors.As(err, &refusal) || step.Undo != nil {
		t.Errorf("%v, and %v would be taken back", err, step.Undo)
	}
	s.changed(before)
	s.leads("releases/2")
	step, _ = s.stage()
	one := filepath.Join(s.args.Releases, "1")
	s.must(errors.Join(os.Rename(one, one+"x"), os.Mkdir(one, 0o755)))
	if err := s.kind().Act(t.Context(), step); !errors.As(err, &refusal) || step.Undo != nil {
		t.Errorf("to another folder of that name: %v", err)
	}
	s.must(errors.Join(os.Remove(one), os.Rename(one+"x", one)))
	a := s.Must(s.request("i"))
	s.leads("releases/3")
	before = s.tree()
	if _, err := s.Runner.Undo(t.Context(), a.ID); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "it stays") {
		t.Errorf("taken back: %v", err)
	}
	s.changed(before)
}

// human-wins: what a person stops while others follow stays down, and keeps those others from nothing, there and back.
func TestStoppedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gate, last := filepath.Join(s.root, "gate"), filepath.Join(s.root, "last")
	s.must(s.WriteUnit("gate.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"+
		"ExecStart=/bin/sh -c '[ ! -e "+gate+" ] || cat "+gate+"'\n"))
	s.must(s.WriteUnit("last.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"+
		"ExecStart=/bin/sh -c 'readlink "+s.args.Link+" > "+last+"'\n"))
	s.Do("start", "gate.service", "last.service")
	s.args.Units = []string{"gate.service", "shop.service", "last.service"}
	s.allow("*.service")
	s.must(unix.Mkfifo(gate, 0o600))
	ran := make(chan incident.Attempt)
	go func() {
		a, err := s.Run(s.request("i"))
		if err != nil {
			t.Error(err)
		}
		ran <- a
	}()
	open, err := os.OpenFile(gate, os.O_WRONLY, 0) // once the first unit is on its way up again
	s.must(err)
	s.Do("stop", "shop.service")
	s.Becomes("shop.service", "stopped by a person", func(u systemd.Unit) bool { return u.Job == 0 && u.Stopped == systemd.Person })
	s.must(errors.Join(open.Close(), os.Remove(gate)))
	a := <-ran
	follows := func(want string) {
		t.Helper()
		s.link(want, "2")
		if text, err := os.ReadFile(last); strings.TrimSpace(string(text)) != want {
			t.Errorf("the last unit ran %q (%v), want %q", text, err, want)
		}
		if u := s.idle(); !u.Down() {
			t.Errorf("what a person stopped is %s", u.Active)
		}
	}
	if a.Error != "" {
		t.Error(a.Error)
	}
	follows("releases/1")
	if undone, err := s.Runner.Undo(t.Context(), a.ID); err != nil || undone.Phase != incident.Undone {
		t.Errorf("undo: %s, %q, %v", undone.Phase, undone.Stays, err)
	}
	follows("releases/2")
}

// dies-in-the-middle: at every step the link leads to one of the two, the next agent knows which, and can go on.
func TestSettle(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	began, _ := s.Watcher.Unit("shop.service")
	settled := func(a *incident.Attempt, want incident.Phase, text string) {
		t.Helper()
		if phase, why := s.kind().Settle(t.Context(), a); phase != want || !strings.Contains(why, text) {
			t.Errorf("%s, %s; want %s, %s", phase, why, want, text)
		}
	}
	_, a := s.stage()
	settled(a, incident.NotDone, "still leads to 2")
	before := s.tree()
	p, err := release.Open(s.args.Link, s.args.Releases)
	s.must(err)
	defer p.Close()
	s.must(rollback.Lay(p.Dir(), ".current.salve", "releases/1")) // the new link lies there
	settled(a, incident.NotDone, "still leads to 2")

	step, a := s.stage()
	plan := step.Undo.(rollback.Record)
	done, err := rollback.Flip(s.args.Link, s.args.Releases, plan.From, plan.To) // the units have not followed
	if err != nil || !done {
		t.Fatal(done, err)
	}
	s.changed(before, "current")
	settled(a, incident.Acted, "leads to 1")
	s.must(s.kind().Undo(t.Context(), a))
	s.link("releases/2", "2")
	s.changed(before)
	if now, _ := s.Watcher.Unit("shop.service"); now.InvocationID != began.InvocationID {
		t.Error("the unit was restarted though it ran the release from before all the time")
	}

	step, a = s.stage()
	s.must(s.kind().Act(t.Context(), step))
	settled(a, incident.Acted, "leads to 1")
	s.idle()
	_, err = rollback.Flip(s.args.Link, s.args.Releases, plan.To, plan.From) // an undo that was interrupted
	s.must(err)
	s.must(s.kind().Undo(t.Context(), a))
	s.link("releases/2", "212")

	s.leads("releases/3")
	settled(a, incident.Unknown, "leads to releases/3")
	s.must(os.Remove(s.args.Link))
	settled(a, incident.Unknown, "no such file")
	a.Undo = nil
	settled(a, incident.Unknown, "not recorded")
}
