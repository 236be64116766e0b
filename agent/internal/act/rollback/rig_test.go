package rollback_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/rollback"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// shop is a service on a real manager that runs what its release link leads to: release 2, and 1 has run well.
type shop struct {
	*acttest.Rig
	root string
	args *remedy.RollbackArgs
	good []release.Good
	host *kind.Host // of the kind alone, for Stage
}

const service = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh %[1]s/current/run\n" +
	"ExecReload=/bin/sh -c 'readlink %[1]s/current >> %[1]s/reloads'\n"

func newShop(t *testing.T) *shop {
	t.Helper()
	root := t.TempDir()
	s := &shop{Rig: acttest.New(t, "shop.service", fmt.Sprintf(service, root), "other.service", acttest.Sleeper), root: root}
	s.args = &remedy.RollbackArgs{Link: filepath.Join(root, "current"), Releases: filepath.Join(root, "releases"),
		Return: remedy.Return{Units: []string{"shop.service"}, GoodAfter: time.Minute}, Marker: ".no-rollback"}
	for _, name := range []string{"1", "2"} {
		s.must(os.MkdirAll(filepath.Join(s.args.Releases, name), 0o755))
		s.runs(name, "systemd-notify --ready; exec sleep 1000")
	}
	s.leads("releases/2")
	s.Up("shop.service")
	s.Up("other.service")
	s.good = []release.Good{s.ran("1", -time.Hour)}
	s.allow("shop.service")
	s.host = &kind.Host{Systemd: s.Watcher, Clock: acttest.Clock(t),
		Allowed:  func(remedy.Kind, string) bool { return true },
		Good:     func(string, remedy.Kind) []release.Good { return s.good },
		Attempts: s.Journal.AttemptsWithin,
	}
	return s
}

// allow makes a runner that may roll the link back, and start these units anew.
func (s *shop) allow(units ...string) {
	s.T.Helper()
	var err error
	s.Runner, err = act.New(act.Options{Systemd: s.Watcher, Journal: s.Journal, Clock: acttest.Clock(s.T),
		Good: func(service string, k remedy.Kind) []release.Good {
			if service != "shop" || k != remedy.Rollback {
				return nil
			}
			return s.good
		},
		Allow: []config.Allow{{Paths: []string{s.args.Link}, Actions: []string{"rollback"}},
			{Units: units, Actions: []string{"restart", "reload"}}},
	})
	s.must(err)
}

func (s *shop) must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

// runs says what a release does when it is started.
func (s *shop) runs(name, script string) {
	s.T.Helper()
	s.must(os.WriteFile(filepath.Join(s.args.Releases, name, "run"),
		[]byte("echo "+name+" >> "+s.root+"/starts; "+script+"\n"), 0o644))
}

// leads lets the link lead elsewhere, as a deployment does.
func (s *shop) leads(text string) {
	s.T.Helper()
	s.must(os.Symlink(text, filepath.Join(s.root, "next")))
	s.must(os.Rename(filepath.Join(s.root, "next"), s.args.Link))
}

// ran is a release as the learner knows it, so long ago.
func (s *shop) ran(name string, at time.Duration) release.Good {
	s.T.Helper()
	p, err := release.Open(s.args.Link, s.args.Releases)
	s.must(err)
	defer p.Close()
	r, err := p.Find(filepath.Join(s.args.Releases, name))
	s.must(err)
	now := clock.Now(acttest.Clock(s.T))
	now.Boot, now.Wall = now.Boot+at, now.Wall.Add(at)
	return release.Good{Version: r.Version(), At: now}
}

func (s *shop) request(incident string) kind.Request {
	args := *s.args
	q := acttest.Ask(remedy.Rollback, "shop.service", &args)
	q.Remedy.Service = &config.Service{Name: "shop", Release: s.args.Link}
	q.Attempt.Incident = incident
	return q
}

// kind is the kind without a runner, as a process has it that dies or was just started.
func (s *shop) kind() rollback.Kind { return rollback.New(s.host, unit.New(s.host)) }

// stage takes a rollback as far as its intent.
func (s *shop) stage() (*kind.Step, *incident.Attempt) {
	s.T.Helper()
	return acttest.Stage(s.T, s.kind(), s.request("staged"))
}

func (s *shop) tree() map[string]string { return acttest.Tree(s.T, s.root) }

func (s *shop) changed(before map[string]string, want ...string) {
	s.T.Helper()
	acttest.Changed(s.T, s.root, before, want...)
}

// link checks what the link says, and which releases were started so far.
func (s *shop) link(want, starts string) {
	s.T.Helper()
	text, err := os.Readlink(s.args.Link)
	began, _ := os.ReadFile(filepath.Join(s.root, "starts"))
	if got := strings.Join(strings.Fields(string(began)), ""); err != nil || text != want || got != starts {
		s.T.Errorf("the link says %q (%v), started were %q; want %q and %q", text, err, got, want, starts)
	}
}

// idle waits until systemd has told all of a restart.
func (s *shop) idle() systemd.Unit {
	s.T.Helper()
	return s.Becomes("shop.service", "at rest", func(u systemd.Unit) bool { return u.Job == 0 })
}
