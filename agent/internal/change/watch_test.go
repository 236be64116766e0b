package change

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/change/changetest"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
)

// rig is a watcher at work, on real files and the real kernel's announcements. Its systemd is what the test says.
type rig struct {
	*Watcher
	t    *testing.T
	dir  string
	disk *changetest.Disk
	log  *Log
	news chan Change

	mu    sync.Mutex
	units []systemd.Unit
	marks int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, dir: dir, disk: changetest.NewDisk(), news: make(chan Change, 100)}
}

// run lets a watcher of the services work until stop, or the end of the test.
func (r *rig) run(services ...*config.Service) (stop func()) {
	r.t.Helper()
	c, err := clock.System()
	if err != nil {
		r.t.Fatal(err)
	}
	if r.log, err = NewLog(r.disk, c, hclog.NewNullLogger(), func(x Change) { r.news <- x }); err != nil {
		r.t.Fatal(err)
	}
	r.Watcher, err = NewWatcher(Options{Log: r.log, Store: r.disk, Logger: hclog.NewNullLogger(), Root: r.dir,
		Units: func() []systemd.Unit {
			r.mu.Lock()
			defer r.mu.Unlock()
			return append([]systemd.Unit(nil), r.units...)
		}})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	r.Aim(services)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// unit says what systemd tells of a unit.
func (r *rig) unit(u systemd.Unit) {
	u.Load = "loaded"
	r.mu.Lock()
	r.units = []systemd.Unit{u}
	r.mu.Unlock()
	if r.Watcher != nil {
		r.Hear(systemd.Event{Kind: systemd.Changed, Unit: u})
	}
}

// settled returns when the watcher has seen all that there is, by changes of a release link that it must notice last. The look
// that notices the first may have begun earlier, and know the units of that time.
func (r *rig) settled(link string) {
	r.t.Helper()
	r.noticed(link)
	r.noticed(link)
}

// noticed returns when the watcher has noticed a change of that release link.
func (r *rig) noticed(link string) {
	r.t.Helper()
	for tries, first := 0, r.marks+1; ; tries++ {
		r.marks++
		folder := filepath.Join(r.dir, fmt.Sprint("mark", r.marks))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			r.t.Fatal(err)
		}
		lead(r.t, link, folder)
		select {
		case x := <-r.news:
			if x.Service != "mark" {
				r.t.Fatalf("noticed %+v", x)
			}
			var n int
			if _, text, _ := strings.Cut(x.Text, " leads to "+r.dir+"/mark"); text != "" {
				n, _ = strconv.Atoi(text[:strings.IndexByte(text, ',')])
			}
			if n >= first { // and none that an earlier call left
				return
			}
		case <-time.After(2 * calm): // it may not have been seen at all before
			if tries > 50 {
				r.t.Fatal("nothing is noticed")
			}
		}
	}
}

// mark is a service whose release link settled moves.
func (r *rig) mark() *config.Service {
	return &config.Service{Name: "mark", Unit: "mark.service", Release: filepath.Join(r.dir, "marked")}
}

// want waits for the next change that is not of the mark.
func (r *rig) want(kind, service, text string) Change {
	r.t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case x := <-r.news:
			got := strings.ReplaceAll(x.Text, r.dir, "")
			switch {
			case x.Service == "mark":
				continue
			case x.Kind != kind || x.Service != service || got != text:
				r.t.Fatalf("noticed %s of %q: %s; want %s of %q: %s", x.Kind, x.Service, got, kind, service, text)
			}
			return x
		case <-patience:
			r.t.Fatalf("not noticed: %s", text)
		}
	}
}

func TestReleaseLink(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	write(t, r.dir, "releases/1/app", "")
	write(t, r.dir, "releases/2/app", "")
	link := filepath.Join(r.dir, "current")
	lead(t, link, "releases/1")
	shop := &config.Service{Name: "shop", Unit: "shop.service", Release: link}
	mark := r.mark()
	stop := r.run(shop, mark)
	r.settled(mark.Release)
	lead(t, link, "releases/1") // the same again
	write(t, r.dir, "neighbour", "")
	r.settled(mark.Release)
	lead(t, link, "releases/2")
	r.want("release", "shop", "/current leads to /releases/2, before to /releases/1")
	stop()
	lead(t, link, "releases/1") // while nobody looks
	r.run(shop, mark)
	r.want("release", "shop", "/current leads to /releases/1, before to /releases/2")
}

func TestReplacedProgram(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	program, mark := write(t, r.dir, "bin/app", "one"), r.mark()
	u := systemd.Unit{Name: "shop.service", InvocationID: "a", ExecStart: program}
	r.unit(u)
	stop := r.run(&config.Service{Name: "shop", Unit: "shop.service"}, mark)
	r.settled(mark.Release)
	if err := os.Chtimes(program, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	u.InvocationID = "b" // started anew without any change
	r.unit(u)
	r.settled(mark.Release)
	running, err := os.Open(program) // as a process has it
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	replace(t, program, "two")
	old := r.want("binary", "shop", "shop.service still runs the old program; a start would run another /bin/app")
	if !old.Pending {
		t.Error("it is not in effect, and does not say so")
	}
	replace(t, program, "three") // says nothing new
	stop()
	r.run(&config.Service{Name: "shop", Unit: "shop.service"}, mark)
	r.settled(mark.Release)
	u.InvocationID = "c"
	r.unit(u)
	now := r.want("binary", "shop", "shop.service runs another /bin/app since it was started anew")
	if now.Pending || now.N != old.N || now.At.Boot <= old.At.Boot {
		t.Errorf("first %+v, then %+v", old, now)
	}
	replace(t, program, "four")
	r.want("binary", "shop", "shop.service still runs the old program; a start would run another /bin/app")
}

// TestUnitFile: another unit file counts once systemd has read it.
func TestUnitFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := systemd.Unit{Name: "shop.service", FragmentPath: write(t, r.dir, "shop.service", "[Service]\n")}
	r.unit(u)
	mark := r.mark()
	r.run(&config.Service{Name: "shop", Unit: "shop.service"}, mark)
	r.settled(mark.Release)
	write(t, r.dir, "shop.service", "[Service]\nNice=5\n")
	r.unit(u)
	r.settled(mark.Release)
	r.Hear(systemd.Event{Kind: systemd.Reloaded})
	r.want("unit", "shop", "/shop.service has another content")
	r.Hear(systemd.Event{Kind: systemd.Reloaded})
	r.settled(mark.Release)
}

// TestInstancesAreForgotten: what was seen of units that are gone is not kept for ever.
func TestInstancesAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	program, mark := write(t, r.dir, "bin/job", ""), r.mark()
	jobs := &config.Service{Name: "jobs", Unit: "job@*.service"}
	for i := range 3 {
		r.unit(systemd.Unit{Name: fmt.Sprintf("job@%d.service", i), InvocationID: "a", ExecStart: program, FragmentPath: program})
		stop := r.run(jobs, mark)
		r.settled(mark.Release)
		stop()
		if len(r.seen.Runs) != 1 || len(r.seen.Files) != 1 {
			t.Fatalf("seen are %v and %v", r.seen.Runs, r.seen.Files)
		}
	}
}

// TestProgramBehindALink: the program of a release that the unit names by a link.
func TestProgramBehindALink(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	write(t, r.dir, "releases/1/app", "one")
	write(t, r.dir, "releases/2/app", "two")
	link := filepath.Join(r.dir, "current")
	lead(t, link, "releases/1")
	u := systemd.Unit{Name: "shop.service", InvocationID: "a", ExecStart: link + "/app"}
	r.unit(u)
	mark := r.mark()
	r.run(&config.Service{Name: "shop", Unit: "shop.service"}, mark)
	r.settled(mark.Release)
	lead(t, link, "releases/2")
	r.want("release", "shop",
		"shop.service still runs the old program; a start would run /releases/2/app instead of /releases/1/app")
	u.InvocationID = "b"
	r.unit(u)
	r.want("release", "shop", "shop.service runs /releases/2/app instead of /releases/1/app since it was started anew")
}

// TestTransaction: while a package manager holds its lock, what it installs is one change that grows.
func TestTransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	log := write(t, r.dir, "var/log/dpkg.log", "")
	write(t, r.dir, "var/lib/dpkg/updates/0000", "")
	if err := os.Symlink("/proc", filepath.Join(r.dir, "proc")); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(r.dir, "var/lib/dpkg/lock-frontend"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.FcntlFlock(lock.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	mark := r.mark()
	r.run(mark)
	r.settled(mark.Release)
	text, first := "", Change{}
	for i, want := range []string{"p0 1 installed", "p0 1 installed, p1 1 installed"} {
		text += fmt.Sprintf("2026-11-27 21:00:00 install p%d:all <none> 1\n", i)
		if err := os.WriteFile(log, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		write(t, r.dir, fmt.Sprintf("var/lib/dpkg/updates/000%d", i+1), "")
		x := r.want("package", "", want)
		if i == 0 {
			first = x
		}
		if !x.Open || x.ID != first.ID || x.At != first.At {
			t.Errorf("the change that began as %+v is %+v", first, x)
		}
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if x := r.want("package", "", "p0 1 installed, p1 1 installed"); x.Open || x.ID != first.ID {
		t.Errorf("in the end it is %+v", x)
	}
}

// TestDpkg runs real transactions on a root of their own: of a package with the unit of a service, of one with the unit of
// another service, and of one with none.
func TestDpkg(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"dpkg", "dpkg-deb"} {
		_, err := exec.LookPath(program)
		agenttest.Require(t, program, err == nil, "Debian's package dpkg")
	}
	r := newRig(t)
	for _, dir := range []string{"var/lib/dpkg/updates", "var/lib/dpkg/info", "var/log"} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, r.dir, "var/lib/dpkg/status", "")
	write(t, r.dir, "var/log/dpkg.log", "")
	if err := os.Symlink("/proc", filepath.Join(r.dir, "proc")); err != nil {
		t.Fatal(err)
	}
	build := func(name, version string, units ...string) string {
		from := filepath.Join(t.TempDir(), name)
		write(t, from, "DEBIAN/control", fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\n"+
			"Maintainer: nobody <nobody@example.org>\nDescription: a test\n", name, version))
		for _, u := range units {
			write(t, from, "lib/systemd/system/"+u, "[Service]\nExecStart=/bin/true\n")
		}
		deb := from + ".deb"
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "-b", from, deb).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return deb
	}
	dpkg := func(debs ...string) {
		t.Helper()
		args := append([]string{"--root=" + r.dir, "--log=" + filepath.Join(r.dir, "var/log/dpkg.log"), "-i"}, debs...)
		cmd := exec.Command("dpkg", args...)
		if os.Geteuid() != 0 { // dpkg installs for root only, which one is in a namespace of one's own
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
			}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	dpkg(build("shop", "1", "shop.service"), build("other", "1", "other.service")) // before anybody looks
	shop := &config.Service{Name: "shop", Unit: "shop.service"}
	other := &config.Service{Name: "other", Unit: "other.service"}
	r.units = []systemd.Unit{
		{Name: "shop.service", Load: "loaded", FragmentPath: "/usr/lib/systemd/system/shop.service"},
		{Name: "other.service", Load: "loaded", FragmentPath: "/lib/systemd/system/other.service"},
	}
	mark := r.mark()
	r.run(shop, other, mark)
	r.settled(mark.Release)
	final := func(service, text string) {
		t.Helper()
		for {
			if x := r.want("package", service, text); !x.Open {
				return
			}
		}
	}
	dpkg(build("shop", "2", "shop.service"))
	final("shop", "shop 1 → 2")
	dpkg(build("other", "2", "other.service"))
	final("other", "other 1 → 2")
	dpkg(build("tool", "1"))
	final("", "tool 1 installed")
	var near []string
	for _, x := range Near(r.log.All(), "shop", clock.Now(r.log.clock), time.Hour) {
		near = append(near, x.Text)
	}
	if got := strings.Join(near, ", "); got != "tool 1 installed, shop 1 → 2" {
		t.Errorf("near the service: %s", got)
	}
}
