package act_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// The time of a permit is over while the first of several parts is at work: it comes to its end, and no other part begins.
// What needs a server of its own is tried beside its kind: scale, dump, clear_cache, and terminate, pause and drain of
// reset_pool. The other kinds have one part.
func TestPermitEndsInMidRun(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string) {
		if err := os.WriteFile(file(name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func(name string) bool { _, err := os.Lstat(file(name)); return err == nil }
	const waits = ": > %[1]s/%[2]s.began; while [ ! -e %[1]s/go ]; do sleep 0.02; done"
	var units []string
	for name, more := range map[string]string{"first": "", "second": "", "a": "RemainAfterExit=yes\n", "b": "RemainAfterExit=yes\n"} {
		units = append(units, name+".service", acttest.ServiceOf(fmt.Sprintf(waits, dir, name), "", "Type=oneshot\n"+more))
	}
	g := acttest.New(t, units...)
	write("go")
	g.Up("a.service")
	g.Up("b.service")
	for n := range 3 {
		write(fmt.Sprintf("x.log.%d", n))
	}
	for n := range 2 {
		if err := os.MkdirAll(filepath.Join(dir, "releases", fmt.Sprint(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("releases/1", file("current")); err != nil {
		t.Fatal(err)
	}
	known, err := release.Open(file("current"), file("releases"))
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	good, err := known.Find(file("releases/0"))
	if err != nil {
		t.Fatal(err)
	}
	asks := acttest.Script(t, "#!/bin/sh\nn=c; [ -e "+dir+"/c.began ] && n=d\n"+fmt.Sprintf(waits, dir, "$n")+"; exit 75\n")
	g.Runner, err = act.New(act.Options{Systemd: g.Watcher, Journal: g.Journal, Clock: acttest.Clock(t),
		Good: func(string, remedy.Kind) []release.Good {
			return []release.Good{{Version: good.Version(), At: clock.Now(acttest.Clock(t))}}
		},
		Allow: append(acttest.Everything("*.service"), config.Allow{Paths: []string{dir, file("current")},
			Actions: []string{string(remedy.FreeSpace), string(remedy.Rollback)}})})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind          remedy.Kind
		args          remedy.Args
		begins, never string
	}{
		{remedy.FreeSpace, &remedy.FreeSpaceArgs{Path: dir, Free: 1, Cleaners: []string{"first.service", "second.service"},
			Files: []string{"*.log.*"}, Keep: 1}, "first", "second"},
		{remedy.Rollback, &remedy.RollbackArgs{Link: file("current"), Releases: file("releases"),
			Return: remedy.Return{Units: []string{"a.service", "b.service"}}, Marker: ".no-rollback"}, "a", "b"},
		{remedy.Exec, &remedy.ExecArgs{Command: []string{asks}, Retry: []int{75}}, "c", "d"},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			for _, name := range []string{"go", c.begins + ".began", c.never + ".began"} {
				_ = os.Remove(file(name))
			}
			q := acttest.Ask(c.kind, "a.service", c.args)
			q.Remedy.Service = &config.Service{Name: "shop", Release: file("current")}
			p, err := g.Runner.Prepare(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			halt, gates := make(chan struct{}), 0
			p.Permit, p.Halt = &permit.Held{Token: permit.Token{Generation: "g1", N: 1}, Epoch: 1}, halt
			p.Gate = func() error { gates++; return nil }
			go func() {
				agenttest.Eventually(t, func() bool { return there(c.begins + ".began") }, "the first part begins")
				close(halt)
				write("go")
			}()
			a, err := g.Runner.Run(t.Context(), p)
			if err != nil || a.Error == "" || gates != 1 {
				t.Errorf("it ended with %q, %v, after %d questions at the gate", a.Error, err, gates)
			}
			if there(c.never + ".began") {
				t.Error("another part began")
			}
			if !there("x.log.0") || !there("x.log.1") {
				t.Error("files went")
			}
		})
	}
}
