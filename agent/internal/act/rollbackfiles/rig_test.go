package rollbackfiles_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/act/rollbackfiles"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/snapshot"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// shop is a service on a real manager that runs with the files in conf. It ran well with a ("one") and b ("same"), mode 0600;
// now a is "two!", b is gone, c is new, and same has always been there.
type shop struct {
	*acttest.Rig
	root, data string
	args       *remedy.FilesArgs
	good       []release.Good
	host       *kind.Host // of the kind alone, for Stage
}

const service = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh %[1]s/run\n" +
	"ExecReload=/bin/sh -c 'cat %[1]s/conf/a.conf >> %[1]s/reloads'\n"

func newShop(t *testing.T) *shop {
	t.Helper()
	root := t.TempDir()
	s := &shop{Rig: acttest.New(t, "shop.service", fmt.Sprintf(service, root), "other.service", acttest.Sleeper), root: root,
		data: t.TempDir()}
	s.args = &remedy.FilesArgs{Path: filepath.Join(root, "conf"), Files: []string{"*.conf"}, Marker: filepath.Join(root, "no-way"),
		Return: remedy.Return{Units: []string{"shop.service"}, GoodAfter: time.Minute}}
	s.must(os.Mkdir(s.args.Path, 0o755))
	s.write("run", "cat "+s.args.Path+"/a.conf >> "+root+"/starts\nsystemd-notify --ready; exec sleep 1000\n")
	s.write("conf/a.conf", "one")
	s.write("conf/b.conf", "secret")
	s.must(os.Chmod(s.at("conf/b.conf"), 0o600))
	s.write("conf/same.conf", "same")
	s.write("conf/other", "other")
	s.good = []release.Good{s.ran(-time.Hour)}
	s.edit()
	s.Up("shop.service")
	s.Up("other.service")
	s.allow("shop.service")
	s.host = &kind.Host{Systemd: s.Watcher, Clock: acttest.Clock(t), Data: s.data,
		Allowed:  func(remedy.Kind, string) bool { return true },
		Good:     func(string, remedy.Kind) []release.Good { return s.good },
		Attempts: s.Journal.AttemptsWithin,
		MayRun:   func([]string) error { return nil },
		Program: func(context.Context, program.Cmd) (program.Output, error) {
			return program.Output{}, nil
		},
	}
	return s
}

// edit makes the files what they are now.
func (s *shop) edit() {
	s.T.Helper()
	s.write("conf/a.conf", "two!")
	s.must(os.Remove(s.at("conf/b.conf")))
	s.write("conf/c.conf", "new")
}

// allow makes a runner that may put the files back, run checks, and start these units anew.
func (s *shop) allow(units ...string) {
	s.T.Helper()
	var err error
	s.Runner, err = act.New(act.Options{Systemd: s.Watcher, Journal: s.Journal, Clock: acttest.Clock(s.T), Data: s.data,
		Good: func(service string, k remedy.Kind) []release.Good {
			if service != "shop" || k != remedy.RollbackFiles {
				return nil
			}
			return s.good
		},
		Allow: []config.Allow{{Paths: []string{s.args.Path}, Actions: []string{"rollback_files"}},
			{Units: units, Actions: []string{"restart", "reload"}}, {Exec: []string{acttest.SafeFolder(s.T) + "/*/*"}, Actions: []string{"exec"}}},
	})
	s.must(err)
}

func (s *shop) must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

func (s *shop) at(name string) string { return filepath.Join(s.root, name) }

func (s *shop) write(name, text string) {
	s.T.Helper()
	s.must(os.WriteFile(s.at(name), []byte(text), 0o644))
}

// ran is what the files are now, kept and as the learner knows it, so long ago.
func (s *shop) ran(at time.Duration) release.Good {
	s.T.Helper()
	store, err := snapshot.Create(s.data, "shop")
	s.must(err)
	defer store.Close()
	m, err := store.Save(release.SetOf(s.args))
	s.must(err)
	now := clock.Now(acttest.Clock(s.T))
	now.Boot, now.Wall = now.Boot+at, now.Wall.Add(at)
	return release.Good{Version: release.VersionOf(m), At: now}
}

func (s *shop) request(incident string) kind.Request {
	args := *s.args
	q := acttest.Ask(remedy.RollbackFiles, "shop.service", &args)
	q.Remedy.Service = &config.Service{Name: "shop"}
	q.Attempt.Incident = incident
	return q
}

// kind is the kind without a runner, as a process has it that dies or was just started.
func (s *shop) kind() rollbackfiles.Kind { return rollbackfiles.New(s.host, unit.New(s.host)) }

// stage takes a remedy as far as its intent.
func (s *shop) stage() (*kind.Step, *incident.Attempt) {
	s.T.Helper()
	return acttest.Stage(s.T, s.kind(), s.request("staged"))
}

func (s *shop) tree() map[string]string { return acttest.Tree(s.T, s.root) }

func (s *shop) changed(before map[string]string, want ...string) {
	s.T.Helper()
	acttest.Changed(s.T, s.root, before, want...)
}

// starts checks what the service was started with so far, once systemd has told all of it.
func (s *shop) starts(want string) systemd.Unit {
	s.T.Helper()
	u := s.Becomes("shop.service", "at rest", func(u systemd.Unit) bool { return u.Job == 0 })
	if got, _ := os.ReadFile(s.at("starts")); string(got) != want {
		s.T.Errorf("it was started with %q, want %q", got, want)
	}
	return u
}
