package downgrade_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/downgrade"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// shop is a service on a real manager that runs what two packages bring: versions 2.0, and 1.0 has run well.
type shop struct {
	*acttest.Rig
	packager
	good []release.Good
	host *kind.Host // of the kind alone, for Stage
}

const service = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\n" +
	"ExecStart=/bin/sh -c 'cat /opt/shop >> /opt/starts; systemd-notify --ready; exec sleep 1000'\n"

// packager is what installs packages. Of each the repository has the same: shop and common, and some that are in their way.
type packager interface {
	missing() string // what has to be installed for it on this machine; "": nothing
	folders() []string
	prepare() error
	use() error // makes it the host's own

	name() string
	version(v string) string  // a version as it writes it
	file(named string) string // "shop-1.0" in the repository
	lockFile() string
	install(named ...string) error
	purge(names ...string) error
	hold(name string) error
	unhold(name string) error
	list() ([]string, error)     // "hold shop 1.0", "half-configured shop 1.0", "shop 1.0"
	half() (listed, said string) // shop, whose script has failed, and both in the words of an attempt
	cannotHold(t *testing.T)     // for the rest of a test
}

var packagers = []packager{debs{}, rpms{}}

// each runs a test with each of them.
func each(t *testing.T, f func(t *testing.T, s *shop)) {
	for _, p := range packagers {
		t.Run(p.name(), func(t *testing.T) { f(t, newShop(t, p)) })
	}
}

func newShop(t *testing.T, p packager) *shop {
	t.Helper()
	agenttest.Require(t, "root", os.Getenv(insideEnv) != "", "")
	agenttest.Require(t, p.name(), p.missing() == "", p.missing())
	for _, file := range []string{"/opt/starts", "/opt/script", "/opt/began", "/opt/go", "/opt/marker"} {
		_ = os.Remove(file)
	}
	s := &shop{Rig: acttest.New(t, "a.service", service, "b.service", acttest.Sleeper), packager: p}
	s.must(p.use())
	s.must(p.install("shop-2.0", "common-2.0"))
	t.Cleanup(func() { s.must(p.purge("shop", "common", "till", "glue", "core")) })
	s.Up("a.service")
	s.Up("b.service")
	s.good = []release.Good{s.ran("1.0", "1.0", -time.Hour)}
	s.WithList(helper.List{
		May:      []helper.Entry{{Pattern: "a.service", Verbs: []string{"restart", "reset-failed"}}},
		Packages: []string{"shop", "common"},
	})
	s.allow("shop", "common")
	s.host = &kind.Host{Systemd: s.Watcher, Clock: acttest.Clock(t), Helper: helper.Client{Socket: s.HelperSocket},
		Allowed:  func(remedy.Kind, string) bool { return true },
		Good:     func(string, remedy.Kind) []release.Good { return s.good },
		Attempts: s.Journal.AttemptsWithin,
		Packages: transaction.New("").Holder,
	}
	return s
}

// allow makes a runner that may change these packages.
func (s *shop) allow(packages ...string) {
	s.T.Helper()
	var err error
	s.Runner, err = act.New(act.Options{Systemd: s.Watcher, Journal: s.Journal, Clock: acttest.Clock(s.T), Helper: s.HelperSocket,
		Good: func(service string, k remedy.Kind) []release.Good {
			if service != "shop" || k != remedy.RollbackPackages {
				return nil
			}
			return s.good
		},
		Allow: []config.Allow{{Packages: packages, Actions: []string{"rollback_packages"}},
			{Units: []string{"a.service"}, Actions: []string{"restart"}}},
	})
	s.must(err)
}

func (s *shop) must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

// set is a version of both packages, as it is written everywhere.
func (s *shop) set(shop, common string) string {
	return "shop=" + s.version(shop) + " common=" + s.version(common)
}

// ran are versions as the learner knows them, so long ago.
func (s *shop) ran(shop, common string, at time.Duration) release.Good {
	return s.known(s.set(shop, common), at)
}

func (s *shop) known(versions string, at time.Duration) release.Good {
	now := clock.Now(acttest.Clock(s.T))
	now.Boot, now.Wall = now.Boot+at, now.Wall.Add(at)
	return release.Good{Version: release.Version{ID: versions, Name: versions}, At: now}
}

// request is one of a person, in an incident.
func (s *shop) request(incident string) kind.Request {
	q := acttest.Ask(remedy.RollbackPackages, "a.service", &remedy.PackagesArgs{Packages: []string{"shop", "common"},
		Marker: "/opt/marker", Return: remedy.Return{Units: []string{"a.service"}}})
	q.Remedy.Service, q.ByPerson = &config.Service{Name: "shop"}, true
	q.Attempt.Incident = incident
	return q
}

// kind is the kind without a runner, as a process has it that dies or was just started.
func (s *shop) kind() downgrade.Kind { return downgrade.New(s.host, unit.New(s.host)) }

// stage takes it as far as its intent.
func (s *shop) stage() (*kind.Step, *incident.Attempt) {
	s.T.Helper()
	return acttest.Stage(s.T, s.kind(), s.request("staged"))
}

// script is what the packages do when they are configured.
func (s *shop) script(text string) {
	s.T.Helper()
	s.must(os.WriteFile("/opt/script", []byte(text+"\n"), 0o644))
}

// slow lets the packages' script wait until the function is called that it returns.
func (s *shop) slow() (finish func()) {
	s.script("touch /opt/began; while [ ! -e /opt/go ]; do sleep 0.02; done")
	finish = func() { s.must(os.WriteFile("/opt/go", nil, 0o644)) }
	s.T.Cleanup(func() { finish(); s.idle() })
	return finish
}

// there waits until there is a file.
func (s *shop) there(path string) {
	s.T.Helper()
	agenttest.Eventually(s.T, func() bool { _, err := os.Stat(path); return err == nil }, path+" is there")
}

// idle waits until no package is being changed.
func (s *shop) idle() {
	s.T.Helper()
	agenttest.Eventually(s.T, func() bool {
		state, err := s.Property(helper.Installer, "ActiveState")
		return err == nil && state == "inactive"
	}, "the installer has ended")
}

// is checks what is installed, as the manager itself has it, and which versions were started so far.
func (s *shop) is(starts string, packages ...string) {
	s.T.Helper()
	got, err := s.list()
	s.must(err)
	want := slices.Sorted(slices.Values(packages))
	if slices.Sort(got); !slices.Equal(got, want) {
		s.T.Errorf("installed are\n%q, want\n%q", got, want)
	}
	began, _ := os.ReadFile("/opt/starts")
	if got := strings.Join(strings.Fields(string(began)), " "); got != starts {
		s.T.Errorf("started were %q, want %q", got, starts)
	}
}

// lock takes the lock as another package manager does.
func (s *shop) lock() (unlock func()) {
	s.T.Helper()
	f, err := os.OpenFile(s.lockFile(), os.O_RDWR|os.O_CREATE, 0o640)
	s.must(err)
	s.must(unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	return func() { _ = f.Close() }
}
