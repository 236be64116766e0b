package freespace_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/freespace"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// A full disk: the oldest rotated logs go, no more of them than it takes, and nothing else.
func TestOldestFirst(t *testing.T) {
	d := newDisk(t)
	for i := range 6 {
		d.put(fmt.Sprintf("logs/shop.log.%d", 6-i), 2048, i)
	}
	d.put("logs/shop.log", 100, 0)     // no glob names it
	d.put("data/precious.log.1", 1, 0) // not below the folder
	d.put("logs/old/a.log.1", 1, 0)    // deeper than the glob
	d.put("logs/.hidden.log.1", 1, 0)  // as in a shell
	d.fill()
	before := d.names()
	p, err := d.Runner.Prepare(t.Context(), d.request())
	d.must(err)
	if len(p.Detail) != 5 || !strings.HasSuffix(p.Detail[0], "  2 MiB  shop.log.6") || p.Disruptive ||
		!strings.Contains(p.Text, "until 50 % are free: remove up to 5 files (10 MiB)") {
		t.Errorf("plan %q\n%s", p.Text, strings.Join(p.Detail, "\n"))
	}
	d.lost(before) // a plan changes nothing

	a := d.makeRoom()
	d.lost(before, "logs/shop.log.3", "logs/shop.log.4", "logs/shop.log.5", "logs/shop.log.6")
	if !strings.Contains(string(a.After), `"did":"removed 4 files (8 MiB)"`) {
		t.Errorf("evidence %s", a.After)
	}
	before = d.names()
	d.Refused(d.request(), "are free already", false) // the same again, now that there is room
	d.lost(before)
}

func TestNewestStays(t *testing.T) {
	d := newDisk(t)
	d.args.Keep, d.args.Files = 2, []string{"*.log.*", "old/*", "*"}
	for i := range 3 {
		d.put(fmt.Sprintf("logs/a.log.%d", i), 10, i)
		d.put(fmt.Sprintf("logs/old/b%d", i), 10, i)
		d.put(fmt.Sprintf("logs/z%d", i), 10, 9+i) // the newest by the last glob, which would let the others go
	}
	d.fill()
	before := d.names()
	d.makeRoom()
	d.lost(before, "logs/a.log.0", "logs/old/b0", "logs/z0")
	d.Refused(d.request(), "nothing in "+d.logs+" may go", false)
}

// Files that are young stay, however full the disk is: somebody writes to them.
func TestYoungStay(t *testing.T) {
	d := newDisk(t)
	d.put("logs/a.log.1", 10, 0)
	d.put("logs/a.log.2", 10, 1)
	d.must(os.WriteFile(filepath.Join(d.logs, "a.log.3"), nil, 0o644))
	d.must(os.WriteFile(filepath.Join(d.logs, "a.log.4"), nil, 0o644))
	d.fill()
	before := d.names()
	d.makeRoom()
	d.lost(before, "logs/a.log.1", "logs/a.log.2")
}

// Never by way of a link, whether of a file or a folder, below the path or on the way to it; never on another mount.
func TestLinksAndMounts(t *testing.T) {
	d := newDisk(t)
	d.put("data/a.log.1", 10, 0)
	d.put("data/b.log.1", 10, 1)
	d.put("logs/z.log.9", 10, 9) // the newest
	d.must(os.Symlink("../data/a.log.1", filepath.Join(d.logs, "a.log.1")))
	d.must(os.Symlink("../data", filepath.Join(d.logs, "link")))
	d.must(os.Symlink("old", filepath.Join(d.logs, "inner"))) // leads nowhere else, and is a link all the same
	d.put("logs/old/a", 10, 0)
	d.put("logs/old/b", 10, 1)
	d.must(os.Mkdir(filepath.Join(d.logs, "mounted"), 0o755))
	d.must(unix.Mount(filepath.Join(d.root, "data"), filepath.Join(d.logs, "mounted"), "", unix.MS_BIND, ""))
	t.Cleanup(func() { d.must(unix.Unmount(filepath.Join(d.logs, "mounted"), 0)) })
	d.args.Files = []string{"*.log.*", "link/*", "mounted/*", "inner/*"}
	d.fill()
	before := d.names()
	d.Refused(d.request(), "nothing in "+d.logs+" may go", false)

	d.must(os.Symlink("logs", filepath.Join(d.root, "way")))
	d.args.Path = filepath.Join(d.root, "way")
	d.Runner.SetAllow(acttest.Paths(d.args.Path))
	d.Refused(d.request(), "is a symbolic link", false)
	d.lost(before)
}

// The agent's own folder is out of reach, whether it lies below the path or around it, and by whatever way it is configured.
func TestOwnFolder(t *testing.T) {
	d := newDisk(t)
	for i := range 2 {
		d.put(fmt.Sprintf("logs/old/journal.log.%d", i), 10, i)
		d.put(fmt.Sprintf("logs/a.log.%d", i), 10, i)
	}
	d.must(os.Symlink("logs/old", filepath.Join(d.root, "own")))
	d.args.Files = []string{"*.log.*", "old/*"}
	d.fill()
	k := freespace.New(&kind.Host{Systemd: d.Watcher, Clock: acttest.Clock(t), Data: filepath.Join(d.root, "own")}, unit.Units{})
	s, _ := acttest.Stage(t, k, d.request())
	if len(s.Detail) != 1 || !strings.HasSuffix(s.Detail[0], "  a.log.0") {
		t.Errorf("what may go: %q", s.Detail)
	}
	d.args.Path, d.args.Files = filepath.Join(d.logs, "old"), []string{"*.log.*"}
	s = &kind.Step{Request: d.request(), Target: d.args.Path}
	if err := k.Precheck(t.Context(), s); err == nil || !strings.Contains(err.Error(), "may go") {
		t.Errorf("within: %v, %q", err, s.Detail)
	}
}

// What was written to, or became something else, between the list and the removal stays.
func TestListedFilesOnly(t *testing.T) {
	d := newDisk(t)
	d.args.Files = []string{"*.log.*", "old/deep/*"}
	d.must(os.Mkdir(filepath.Join(d.logs, "old/deep"), 0o755))
	for i := range 5 {
		d.put(fmt.Sprintf("logs/a.log.%d", i), 10, i)
		d.put(fmt.Sprintf("logs/old/deep/%d", i), 10, i)
	}
	d.fill()
	k := freespace.New(&kind.Host{Systemd: d.Watcher, Clock: acttest.Clock(t)}, unit.Units{})
	s, _ := acttest.Stage(t, k, d.request())
	now := time.Now()
	d.must(os.Chtimes(filepath.Join(d.logs, "a.log.0"), now, now))
	d.must(os.Rename(filepath.Join(d.logs, "a.log.1"), filepath.Join(d.logs, "kept")))
	d.must(os.Symlink("../data/base", filepath.Join(d.logs, "a.log.1")))
	d.must(os.Rename(filepath.Join(d.logs, "a.log.3"), filepath.Join(d.logs, "kept, too")))
	d.put("logs/a.log.3", 0, 3) // of the same time
	d.must(os.Rename(filepath.Join(d.logs, "old"), filepath.Join(d.logs, "moved")))
	d.must(os.Symlink("moved", filepath.Join(d.logs, "old"))) // the same files, by a link on the way
	before := d.names()
	d.must(k.Act(t.Context(), s))
	d.lost(before, "logs/a.log.2")
}

// No more go than it takes, also where room does not come back at once: here because somebody holds the files open.
func TestNoMoreThanItTakes(t *testing.T) {
	d := newDisk(t)
	for i := range 6 {
		d.put(fmt.Sprintf("logs/a.log.%d", i), 2048, i)
		f, err := os.Open(filepath.Join(d.logs, fmt.Sprintf("a.log.%d", i)))
		d.must(err)
		t.Cleanup(func() { f.Close() })
	}
	d.fill()
	before := d.names()
	d.makeRoom()
	d.lost(before, "logs/a.log.0", "logs/a.log.1", "logs/a.log.2", "logs/a.log.3")
}

// What has another name, as in backups that share what did not change, takes as much room without this one.
func TestOtherLinks(t *testing.T) {
	d := newDisk(t)
	for i := range 3 {
		d.put(fmt.Sprintf("logs/a.log.%d", i), 10, i)
	}
	for _, name := range []string{"a.log.0", "a.log.2"} { // of which one would be the newest
		d.must(os.Link(filepath.Join(d.logs, name), filepath.Join(d.root, "data", name)))
	}
	d.put("logs/a.log.3", 10, 1)
	d.fill()
	before := d.names()
	d.makeRoom()
	d.lost(before, "logs/a.log.1")
}

// ends is a context that is over after it has been asked so many times.
type ends struct {
	context.Context
	left int
}

func (c *ends) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Who is told to stop in the middle removes no further file, and says which are gone.
func TestCut(t *testing.T) {
	d := newDisk(t)
	for i := range 4 {
		d.put(fmt.Sprintf("logs/a.log.%d", i), 10, i)
	}
	d.fill()
	k := freespace.New(&kind.Host{Systemd: d.Watcher, Clock: acttest.Clock(t)}, unit.Units{})
	s, _ := acttest.Stage(t, k, d.request())
	before := d.names()
	if err := k.Act(&ends{context.Background(), 1}, s); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	d.lost(before, "logs/a.log.0")
	if text := string(kind.Raw(s.After)); !strings.Contains(text, `"name":"a.log.0"`) || strings.Contains(text, "a.log.1") {
		t.Errorf("evidence %s", text)
	}
}

// An agent that stops lets the part that runs come to its end, and begins no further one.
func TestHalt(t *testing.T) {
	d := newDisk(t)
	d.must(d.WriteUnit("clean.service", fmt.Sprintf(cleaner, d.root)))
	d.Do("daemon-reload")
	d.put("data/cache", 10, 0)
	d.put("logs/a.log.1", 10, 0)
	d.put("logs/a.log.2", 10, 1)
	d.fill()
	d.args.Cleaners = []string{"clean.service"}
	before := d.names()
	p, err := d.Runner.Prepare(t.Context(), d.request())
	d.must(err)
	ctx, stop := context.WithCancel(t.Context())
	d.Journal.After = func(a *incident.Attempt) error {
		if a.Phase == incident.Intended {
			stop()
		}
		return nil
	}
	a, err := d.Runner.Run(ctx, p)
	d.must(err)
	if a.Phase != incident.Acted || a.Error != "it was told to stop: no further part began" {
		t.Errorf("%s, %q", a.Phase, a.Error)
	}
	halt := make(chan struct{})
	close(halt)
	if p, err = d.Runner.Prepare(t.Context(), d.request()); err != nil {
		t.Fatal(err)
	}
	p.Halt = halt
	if _, err := d.Runner.Run(t.Context(), p); err == nil || err.Error() != "it was told to stop before it began" {
		t.Errorf("halted before it began: %v", err)
	}
	d.lost(before)
}

// Many tiny files fill a disk, too.
func TestInodes(t *testing.T) {
	d := newDisk(t)
	d.args.Files = []string{"old/*"}
	for i := range 150 {
		d.put(fmt.Sprintf("logs/old/%03d", i), 0, i%100)
	}
	var err error
	for i := 0; err == nil; i++ {
		var f *os.File
		if f, err = os.Create(filepath.Join(d.root, "data", fmt.Sprint(i))); err == nil {
			f.Close()
		}
	}
	a := d.makeRoom()
	if left, _ := os.ReadDir(filepath.Join(d.logs, "old")); len(left) > 60 || len(left) < 10 {
		t.Errorf("%d tiny files are left: %s", len(left), a.After)
	}
}

const cleaner = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'rm -f %s/data/cache'\n"

// Cleaners are run to their end before a file goes, and none goes if they make room enough.
func TestCleanersFirst(t *testing.T) {
	d := newDisk(t)
	d.must(d.WriteUnit("clean.service", fmt.Sprintf(cleaner, d.root)))
	d.must(d.WriteUnit("slow.service", acttest.Sleeper))
	d.Do("daemon-reload")
	d.put("data/cache", 9<<10, 0)
	d.put("logs/a.log.1", 10, 0)
	d.put("logs/a.log.2", 10, 1)
	d.fill()
	d.args.Cleaners = []string{"slow.service"}
	d.Refused(d.request(), "is no oneshot service", false)
	d.args.Cleaners = []string{"clean.service"}
	d.Runner.SetAllow(acttest.Paths(d.logs))
	d.Refused(d.request(), "permits start on clean.service", false)
	d.Runner.SetAllow(append(acttest.Paths(d.logs), acttest.Everything("clean.service")...))
	before := d.names()
	a := d.makeRoom()
	d.lost(before, "data/cache")
	if !strings.Contains(string(a.After), `"did":"ran clean.service"`) {
		t.Errorf("evidence %s", a.After)
	}
}

// Cleaners and services are allowed by their primary names: another name of a unit opens no way around the allow blocks.
func TestOtherNames(t *testing.T) {
	d := newDisk(t)
	d.must(d.WriteUnit("secret.service", fmt.Sprintf(cleaner, d.root)))
	d.Do("daemon-reload")
	file, err := d.Systemctl("show", "-p", "FragmentPath", "--value", "secret.service")
	d.must(err)
	d.must(os.Symlink("secret.service", filepath.Join(filepath.Dir(strings.TrimSpace(file)), "clean.service")))
	d.Do("daemon-reload")
	d.put("data/cache", 10, 0)
	d.fill()
	before := d.names()
	d.Runner.SetAllow(append(acttest.Paths(d.logs), acttest.Everything("clean.service")...))
	d.args.Cleaners = []string{"clean.service"}
	d.Refused(d.request(), "permits start on secret.service", false)
	d.args.Cleaners, d.args.Reopen = nil, []string{"clean.service"}
	d.Refused(d.request(), "permits reload on secret.service", false)
	d.lost(before)
}

// A file that was removed and is held open takes room until its service opens its files anew.
func TestHeldOpen(t *testing.T) {
	d := newDisk(t, "shop.service", acttest.Sleeper)
	log := filepath.Join(d.logs, "shop.log")
	d.must(os.WriteFile(log, make([]byte, 9<<20), 0o644))
	script := "exec 9>>" + log + "; trap \"exec 9>&-\" HUP; systemd-notify --ready; while :; do sleep 0.02; done"
	d.must(d.WriteUnit("shop.service", acttest.ServiceOf(script, "", "Type=notify\nNotifyAccess=all\nExecReload=/bin/kill -HUP $MAINPID")))
	d.Do("daemon-reload")
	d.Up("shop.service")
	d.args.Files, d.args.Reopen = nil, []string{"shop.service"}
	d.fill()
	a := d.makeRoom()
	if !strings.Contains(string(a.After), "nothing was done") {
		t.Errorf("it was reloaded though it holds nothing that was removed: %s", a.After)
	}
	d.must(os.Remove(log))
	before := d.names()
	d.Becomes("shop.service", "idle", func(u systemd.Unit) bool { return u.Job == 0 })
	a = d.makeRoom()
	if !strings.Contains(string(a.After), `"did":"reloaded shop.service"`) {
		t.Errorf("evidence %s", a.After)
	}
	d.lost(before)
}

// dies-in-the-middle: what is gone tells whether it ran; what a cleaner did, nobody can tell.
func TestSettle(t *testing.T) {
	d := newDisk(t)
	for i := range 3 {
		d.put(fmt.Sprintf("logs/a.log.%d", i), 10, i)
	}
	d.fill()
	k := freespace.New(&kind.Host{Systemd: d.Watcher, Clock: acttest.Clock(t)}, unit.Units{})
	_, a := acttest.Stage(t, k, d.request())
	if phase, why := k.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("before: %s, %s", phase, why)
	}
	d.must(os.Chtimes(filepath.Join(d.logs, "a.log.1"), time.Time{}, time.Now()))
	if phase, why := k.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("after one was written to: %s, %s", phase, why)
	}
	cleaned := *a
	cleaned.Before = []byte(strings.Replace(string(a.Before), "{", `{"services":1,`, 1))
	if phase, why := k.Settle(t.Context(), &cleaned); phase != incident.Unknown {
		t.Errorf("with a cleaner: %s, %s", phase, why)
	}
	d.must(os.Remove(filepath.Join(d.logs, "a.log.0")))
	if phase, why := k.Settle(t.Context(), a); phase != incident.Acted || why != "1 of 2 files are gone" {
		t.Errorf("in the middle: %s, %s", phase, why)
	}
	a.Before = nil
	if phase, _ := k.Settle(t.Context(), a); phase != incident.Unknown {
		t.Errorf("without evidence: %s", phase)
	}
}

// What cannot be written loses nothing, and that is said.
func TestReadOnly(t *testing.T) {
	d := newDisk(t)
	for i := range 3 {
		d.put(fmt.Sprintf("logs/a.log.%d", i), 10, i)
	}
	d.fill()
	before := d.names()
	d.must(unix.Mount("", d.root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	a, err := d.Run(d.request())
	if err != nil || !strings.Contains(a.Error, "no room was made") || !strings.Contains(a.Error, "read-only") {
		t.Errorf("%q, %v", a.Error, err)
	}
	d.lost(before)
}

// empty-means-all: nothing named is nothing removed.
func TestNothingNamed(t *testing.T) {
	d := newDisk(t)
	d.put("logs/a.log.1", 10, 0)
	d.put("logs/a.log.2", 10, 1)
	d.fill()
	before := d.names()
	for _, args := range []*remedy.FreeSpaceArgs{
		{}, {Path: d.logs, Free: 0.5}, {Path: d.root, Free: 0.5, Files: []string{"*"}, Keep: 1},
		{Path: d.logs, Free: 0.5, Files: []string{"nobody/*"}, Keep: 1},
	} {
		d.args = args
		if a, err := d.Run(d.request()); err == nil {
			t.Errorf("%+v ran: %+v", args, a)
		}
	}
	d.lost(before)
}
