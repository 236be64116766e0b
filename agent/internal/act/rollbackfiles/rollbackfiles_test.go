package rollbackfiles_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/rollbackfiles"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/snapshot"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/require"
)

// The files are what they were, with mode and owner, and the unit runs with them; nothing else changes. It is taken back once,
// and does not run twice in one incident.
func TestBackAndForth(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other, _ := s.Watcher.Unit("other.service")
	before := s.tree()
	p, err := s.Runner.Prepare(t.Context(), s.request("i"))
	s.must(err)
	detail := "put a.conf back (3 bytes instead of 4); remove c.conf (3 bytes), which was not there; make b.conf again (6 bytes); restart shop.service"
	if got := strings.Join(p.Detail, "; "); got != detail || !p.Disruptive || !strings.Contains(p.Text, "put the files in "+s.args.Path) {
		t.Errorf("plan %q, disruptive %v, %q", p.Text, p.Disruptive, got)
	}
	s.changed(before) // a plan changes nothing

	a := s.Must(s.request("i"))
	s.starts("two!one")
	s.changed(before, "conf/a.conf", "conf/b.conf", "conf/c.conf is gone", "starts")
	if got := s.tree()["conf/b.conf"]; !strings.HasPrefix(got, "-rw------- ") || !strings.HasSuffix(got, " secret") {
		t.Errorf("b.conf is %q", got)
	}
	s.Refused(s.request("i"), "was rolled back in this incident already", false)
	s.Refused(s.request("j"), "has run well itself", false)

	for range 2 { // the second time nothing is left to be done
		if a, err = s.Runner.Undo(t.Context(), a.ID); err != nil || a.Phase != incident.Undone {
			t.Fatalf("%s, %v", a.Phase, err)
		}
	}
	s.starts("two!onetwo!")
	s.changed(before, "starts")
	s.Refused(s.request("i"), "was rolled back in this incident already", false)
	if now, _ := s.Watcher.Unit("other.service"); now.InvocationID != other.InvocationID {
		t.Error("another unit was touched")
	}
	if text, err := s.Journal.Attempt(a.ID); err != nil || strings.Contains(string(text.Undo), "secret") {
		t.Errorf("the record shows what is in a file: %s, %v", text.Undo, err)
	}
}

// A state that a rollback left is not gone back to, and mode, owner and attributes alone are put back, too.
func TestAttributesAlone(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.args.Reload = true
	noted := unix.Setxattr(s.at("conf/a.conf"), "user.note", []byte("x"), 0)
	good := s.ran(-time.Minute)
	s.good = []release.Good{good}
	s.must(os.Chmod(s.at("conf/a.conf"), 0o600))
	if noted == nil {
		s.must(unix.Setxattr(s.at("conf/a.conf"), "user.note", []byte("y"), 0))
	}
	if os.Geteuid() == 0 {
		s.must(os.Chown(s.at("conf/a.conf"), 0, 12345))
	}
	left := s.ran(0)
	q := s.request("i")
	p, err := s.Runner.Prepare(t.Context(), q)
	if err != nil || !strings.HasPrefix(p.Detail[0], "put mode, owner and attributes of a.conf back (0644 ") {
		t.Errorf("%q, %v", p.Detail, err)
	}
	s.Must(q)
	if m, err := release.SetOf(s.args).Take(); err != nil || release.VersionOf(m) != good.Version {
		t.Errorf("%+v, %v", m, err)
	}
	if text, _ := os.ReadFile(s.at("reloads")); string(text) != "two!" {
		t.Errorf("reloads saw %q", text)
	}
	s.starts("two!")
	s.write("conf/a.conf", "three")
	left.At = good.At
	s.good = []release.Good{left}
	s.Refused(s.request("j"), "was left by a rollback and has not run well since", false)
}

// What forbids it is said, and nothing has changed.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	kept := filepath.Join(s.data, "snapshots/of-shop")
	swap := func(from, to string) func() error { return func() error { return os.Rename(from, to) } }
	one := filepath.Join(kept, s.first().File("a.conf").Digest+".content")
	for _, c := range []struct {
		why        string
		make, undo func() error
	}{
		{"no state of the files is known to have run well before", func() error { s.good = nil; return nil }, nil},
		{"has run well itself", func() error { s.good = append([]release.Good{s.ran(-time.Minute)}, s.good...); return nil }, nil},
		{"there is no way back while there is a file", func() error { return os.WriteFile(s.args.Marker, nil, 0o644) },
			func() error { return os.Remove(s.args.Marker) }},
		{"the content of a.conf was not kept", swap(one, one+"x"), swap(one+"x", one)},
		{"is not what it was", func() error {
			return errors.Join(os.Rename(one, one+"x"), os.WriteFile(one, []byte("0ne"), 0o600))
		}, swap(one+"x", one)},
		{"is no regular file", func() error { return os.Symlink("a.conf", s.at("conf/l.conf")) },
			func() error { return os.Remove(s.at("conf/l.conf")) }},
		{"changed by everybody", func() error { return os.Chmod(s.at("conf/same.conf"), 0o666) },
			func() error { return os.Chmod(s.at("conf/same.conf"), 0o644) }},
		{"permits restart on shop.service", func() error { s.allow("other.service"); return nil }, func() error { s.allow("shop.service"); return nil }},
		{"was stopped by a person", func() error { s.Do("stop", "shop.service"); s.Down("shop.service"); return nil },
			func() error { s.Up("shop.service"); return nil }},
		{"is of other files than those that the remedy names now", func() error { s.args.Files = []string{"*.conf", "o*"}; return nil },
			func() error { s.args.Files = []string{"*.conf"}; return nil }},
		{"permits rollback_files on", func() error { s.args.Path += "2"; return nil }, func() error { s.args.Path = s.at("conf"); return nil }},
		{"names no files", func() error { s.args.Files = nil; return nil }, func() error { s.args.Files = []string{"*.conf"}; return nil }},
		{"no unit that runs", func() error { s.args.Units = nil; return nil }, func() error { s.args.Units = []string{"shop.service"}; return nil }},
		{"permits exec of /bin/true", func() error { s.args.Check = []string{"/bin/true"}; return nil }, func() error { s.args.Check = nil; return nil }},
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
	s.Must(s.request("i")) // what was refused left nothing behind
}

// first is the state that ran well.
func (s *shop) first() *snapshot.Manifest {
	s.T.Helper()
	return s.kept(s.good[0].ID)
}

func (s *shop) kept(id string) *snapshot.Manifest {
	s.T.Helper()
	store, err := snapshot.Open(s.data, "shop")
	s.must(err)
	defer store.Close()
	m, err := store.Load(id)
	s.must(err)
	return m
}

// A state without files is none that can be gone back to: nothing is never everything. Files that are gone come back.
func TestNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	good := s.good
	s.must(errors.Join(os.Remove(s.at("conf/a.conf")), os.Remove(s.at("conf/c.conf")), os.Remove(s.at("conf/same.conf"))))
	empty := s.ran(-time.Hour)
	before := s.tree()
	s.good = good
	a := s.Must(s.request("i"))
	s.changed(before, "conf/a.conf", "conf/b.conf", "conf/same.conf", "starts")
	_, err := s.Runner.Undo(t.Context(), a.ID)
	s.must(err)
	s.changed(before, "starts")
	s.write("conf/a.conf", "x")
	empty.At = s.ran(0).At // after it was left
	s.good = []release.Good{empty}
	s.Refused(s.request("j"), "has no file", false)
}

// A check that fails puts all back before a unit is touched, one that hangs as well, and one that passes changes nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	conf := s.args.Path
	check := func(text string) {
		s.args.Check = []string{acttest.Script(t, "#!/bin/sh\n"+text), "-t"}
	}
	was, _ := s.Watcher.Unit("shop.service")
	before := s.tree()
	check(`test "$1" = -t && test "$(cat ` + conf + `/a.conf)" = one && test ! -e ` + conf + `/c.conf && exit 3`)
	a, err := s.Run(s.request("i"))
	if err != nil || !strings.Contains(a.Error, "the files are as before") || !strings.Contains(a.Error, "status 3") || len(a.Undo) > 0 {
		t.Errorf("%s, %s, %v", a.Error, a.Undo, err)
	}
	s.changed(before)
	check("exec sleep 1000")
	q := s.request("i")
	q.Remedy.Timeout = 4 * time.Second // enough to come as far as its check
	a, err = s.Run(q)
	if err != nil || !strings.Contains(a.Error, "the files are as before") || len(a.Undo) > 0 {
		t.Errorf("%s, %s, %v", a.Error, a.Undo, err)
	}
	s.changed(before)
	if now, _ := s.Watcher.Unit("shop.service"); now.InvocationID != was.InvocationID {
		t.Error("the unit was started anew")
	}
	check("exit 0")
	s.Must(s.request("i"))
	s.starts("two!one")
}

// What cannot be written, or has no room to be kept, touches no file and no unit, and leaves nothing.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	mount := func(at, fstype, options string, flags uintptr) {
		t.Helper()
		err := unix.Mount("salve-test", at, fstype, flags, options)
		why := ""
		if err != nil {
			why = err.Error()
		}
		agenttest.Require(t, "a mount (root)", err == nil, why)
		t.Cleanup(func() { s.must(unix.Unmount(at, unix.MNT_DETACH)) })
	}
	s.args.Path = s.at("small")
	s.must(os.Mkdir(s.args.Path, 0o755))
	mount(s.args.Path, "tmpfs", "size=64k,mode=755", 0)
	s.write("small/a.conf", "good")
	s.write("small/b.conf", strings.Repeat("x", 20<<10))
	s.good = []release.Good{s.ran(-time.Hour)}
	s.write("small/a.conf", "bad")
	s.must(os.Remove(s.at("small/b.conf")))
	s.write("small/fill", strings.Repeat("x", 48<<10))
	s.allow("shop.service")
	before := s.tree()
	a, err := s.Run(s.request("i"))
	if err != nil || !strings.Contains(a.Error, "no space left") || len(a.Undo) > 0 {
		t.Errorf("%q, %s, %v", a.Error, a.Undo, err)
	}
	s.changed(before)
	s.must(os.Remove(s.at("small/fill")))

	s.must(unix.Mount("", s.args.Path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	before = s.tree()
	a, err = s.Run(s.request("i"))
	if err != nil || !strings.Contains(a.Error, "read-only file system") || len(a.Undo) > 0 {
		t.Errorf("%q, %s, %v", a.Error, a.Undo, err)
	}
	s.changed(before)
	s.must(unix.Mount("", s.args.Path, "", unix.MS_REMOUNT, "size=64k"))

	kept := filepath.Join(s.data, "snapshots")
	s.must(unix.Mount(kept, kept, "", unix.MS_BIND, ""))
	t.Cleanup(func() { s.must(unix.Unmount(kept, unix.MNT_DETACH)) })
	s.must(unix.Mount("", kept, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	a, err = s.Run(s.request("i"))
	if err != nil || !strings.Contains(a.Error, "keep a snapshot") || len(a.Undo) > 0 {
		t.Errorf("%q, %s, %v", a.Error, a.Undo, err)
	}
	s.changed(before)
	s.must(unix.Mount("", kept, "", unix.MS_BIND|unix.MS_REMOUNT, ""))
	s.starts("two!")
	s.Must(s.request("i")) // what changed nothing does not count
}

// Who edits in the last moment wins, and after the fact, too.
func TestSomebodyEdits(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var refusal *kind.Refusal
	for _, edit := range []func(){func() { s.write("conf/same.conf", "x") }, func() { s.write("conf/d.conf", "x") }} {
		step, _ := s.stage()
		edit()
		before := s.tree()
		if err := s.kind().Act(t.Context(), step); !errors.As(err, &refusal) || step.Undo != nil {
			t.Errorf("%v, and %v would be taken back", err, step.Undo)
		}
		s.changed(before)
	}
	// Between what is laid beside the places, and what takes them.
	from, err := release.SetOf(s.args).Take()
	s.must(err)
	store, err := snapshot.Open(s.data, "shop")
	s.must(err)
	defer store.Close()
	s.write("conf/d.conf", "y")
	before := s.tree()
	if touched, err := rollbackfiles.Put(t.Context(), store, s.data, from, s.first()); touched || !errors.As(err, &refusal) {
		t.Errorf("touched %v, %v", touched, err)
	}
	s.changed(before)
	s.must(os.Remove(s.at("conf/d.conf")))

	a := s.Must(s.request("i"))
	s.write("conf/same.conf", "mine")
	before = s.tree()
	if _, err := s.Runner.Undo(t.Context(), a.ID); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "they stay") {
		t.Errorf("taken back: %v", err)
	}
	s.changed(before)
	s.starts("two!one")
	s.must(os.RemoveAll(filepath.Join(s.data, "snapshots")))
	if err := s.kind().Undo(t.Context(), &a); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "is not kept") {
		t.Errorf("without a snapshot: %v", err)
	}
}

// A service that does not start with them is an attempt that failed, and is taken back.
func TestDoesNotStart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.write("run", "cat "+s.args.Path+"/a.conf >> "+s.root+"/starts\ngrep -q one "+s.args.Path+"/a.conf && exit 1\n"+
		"systemd-notify --ready; exec sleep 1000\n")
	s.write("conf/.b.conf.salve", "of an agent that died")
	a, err := s.Run(s.request("i"))
	if err != nil || !strings.Contains(a.Error, "are back; restart shop.service") {
		t.Fatalf("%+v, %v", a, err)
	}
	s.Becomes("shop.service", "down", systemd.Unit.Down)
	if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if u := s.starts("two!onetwo!"); u.Active != "active" {
		t.Errorf("it is %s", u.Active)
	}
}

// dies-in-the-middle: after every step the next agent knows what became of the files, and goes on.
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
	before := s.tree()
	step, a := s.stage()
	settled(a, incident.NotDone, "are still") // what is there was not even kept
	s.ran(0)
	s.write("conf/.a.conf.salve", "half a fi")
	settled(a, incident.NotDone, "are still")
	s.changed(before) // and what lay there is gone

	from, to := s.kept(step.Undo.(rollbackfiles.Record).Left.ID), s.first()
	store, err := snapshot.Open(s.data, "shop")
	s.must(err)
	defer store.Close()
	halves := *from // a.conf is back, c.conf is still there
	halves.Files = append([]snapshot.File{*to.File("a.conf")}, from.Files[1:]...)
	_, err = rollbackfiles.Put(t.Context(), store, s.data, from, &halves)
	s.must(err)
	s.changed(before, "conf/a.conf")
	settled(a, incident.Unknown, "they are taken back")
	a.Phase = incident.Unknown
	s.must(s.Journal.PutAttempt(a)) // as the runner does with what it settled, which then serves
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Runner.Serve(ctx) }()
	agenttest.Eventually(t, func() bool {
		now, err := s.Journal.Attempt(a.ID)
		return err == nil && now.Phase == incident.Undone
	}, "it is taken back")
	cancel()
	s.must(<-done)
	s.changed(before)
	if now, _ := s.Watcher.Unit("shop.service"); now.InvocationID != began.InvocationID {
		t.Error("the unit was restarted though it ran with the files from before all the time")
	}

	step, a = acttest.Stage(t, s.kind(), s.request("j"))
	_, err = rollbackfiles.Put(t.Context(), store, s.data, from, to) // the units have not followed
	s.must(err)
	settled(a, incident.Acted, "are "+s.good[0].Name)
	s.must(s.kind().Undo(t.Context(), a))
	s.changed(before)

	s.must(s.kind().Act(t.Context(), step))
	settled(a, incident.Acted, "are "+s.good[0].Name)
	s.starts("two!one")
	_, err = rollbackfiles.Put(t.Context(), store, s.data, to, from) // an undo that was interrupted
	s.must(err)
	s.must(s.kind().Undo(t.Context(), a))
	s.starts("two!onetwo!")
	s.changed(before, "starts")

	s.write("conf/same.conf", "mine")
	settled(a, incident.Unknown, "are neither")
	s.must(os.Chmod(s.at("conf/a.conf"), 0o666))
	settled(a, incident.Unknown, "changed by everybody")
	a.Undo = nil
	settled(a, incident.Unknown, "not recorded")
}

// Drop-ins are put back with systemd told of them before the unit starts, and taken back so; those of another unit are not touched.
func TestDropIns(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	path, err := s.Property("shop.service", "FragmentPath")
	s.must(err)
	s.args.Path = strings.TrimSpace(path) + ".d"
	s.must(os.Mkdir(s.args.Path, 0o755))
	drop := filepath.Join(s.args.Path, "limits.conf")
	with := func(what string) {
		t.Helper()
		s.must(os.WriteFile(drop, []byte("[Service]\nEnvironment=WITH="+what+"\n"), 0o644))
		s.Do("daemon-reload")
	}
	has := func(want string) {
		t.Helper()
		if got, err := s.Property("shop.service", "Environment"); err != nil || strings.TrimSpace(got) != want {
			t.Errorf("systemd knows of %q, %v; want %q", got, err, want)
		}
	}
	with("good")
	s.good = []release.Good{s.ran(-time.Hour)}
	with("bad")
	k := s.kind().WithDropIns(func(folder string) string { return strings.TrimSuffix(filepath.Base(folder), ".d") })
	step, a := acttest.Stage(t, k, s.request("i"))
	s.must(k.Act(t.Context(), step))
	has("WITH=good")
	s.starts("two!two!")
	s.must(k.Undo(t.Context(), a))
	has("WITH=bad")
	s.starts("two!two!two!")

	// A systemd that cannot be told takes nothing, and all is as before.
	step, _ = acttest.Stage(t, k, s.request("j"))
	plan := step.Undo.(rollbackfiles.Record)
	plan.DropIn = "no such unit"
	step.Undo = plan
	before, _ := os.ReadFile(drop)
	if err := k.Act(t.Context(), step); err == nil || !strings.Contains(err.Error(), "the files are as before") || step.Undo != nil {
		t.Errorf("error %v, and %v would be taken back", err, step.Undo)
	}
	if after, _ := os.ReadFile(drop); string(after) != string(before) {
		t.Errorf("the drop-in is %q", after)
	}
	s.starts("two!two!two!")

	k = s.kind().WithDropIns(func(string) string { return "other.service" })
	q := s.request("k")
	if err := k.Precheck(t.Context(), &kind.Step{Request: q, Target: s.args.Path}); err == nil ||
		!strings.Contains(err.Error(), "drop-ins of other.service") {
		t.Errorf("another unit's: %v", err)
	}
	q.Remedy.Args = &remedy.FilesArgs{Path: "/etc", Files: []string{"salve/*.hcl"}, Return: s.args.Return}
	if err := k.Precheck(t.Context(), &kind.Step{Request: q, Target: "/etc"}); err == nil || !strings.Contains(err.Error(), "Salve's own") {
		t.Errorf("Salve's own: %v", err)
	}
}

func TestOwner(t *testing.T) {
	require.Root(t, "nobody else can give a file away")
	t.Parallel()
	s := newShop(t)
	s.must(os.Chown(s.at("conf/a.conf"), 0, 12345))
	s.good = []release.Good{s.ran(-time.Hour)}
	s.must(os.Chown(s.at("conf/a.conf"), 0, 54321))
	s.Must(s.request("i"))
	if got := s.tree()["conf/a.conf"]; !strings.HasPrefix(got, "-rw-r--r-- 0:12345 ") {
		t.Errorf("a.conf is %q", got)
	}
}
