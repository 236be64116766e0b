package downgrade_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

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
	good []release.Good
	host *kind.Host // of the kind alone, for Stage
}

const service = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\n" +
	"ExecStart=/bin/sh -c 'cat /opt/shop >> /opt/starts; systemd-notify --ready; exec sleep 1000'\n"

func newShop(t *testing.T) *shop {
	t.Helper()
	agenttest.Require(t, "root, dpkg and apt-get", os.Getenv(insideEnv) != "", "")
	for _, file := range []string{"/opt/starts", "/opt/script", "/opt/began", "/opt/go", "/opt/marker"} {
		_ = os.Remove(file)
	}
	s := &shop{Rig: acttest.New(t, "a.service", service, "b.service", acttest.Sleeper)}
	s.run("dpkg", "--install", "--force-downgrade", repository+"/shop_2.0.deb", repository+"/common_2.0.deb")
	t.Cleanup(func() { s.run("dpkg", "--purge", "--force-all", "shop", "common", "till", "glue") })
	s.Up("a.service")
	s.Up("b.service")
	s.good = []release.Good{s.ran("shop=1.0 common=1.0", -time.Hour)}
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

func (s *shop) run(argv ...string) {
	s.T.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		s.T.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// ran are versions as the learner knows them, so long ago.
func (s *shop) ran(versions string, at time.Duration) release.Good {
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
	agenttest.Eventually(s.T, 20*time.Second, func() bool { _, err := os.Stat(path); return err == nil }, path+" is there")
}

// idle waits until no package is being changed.
func (s *shop) idle() {
	s.T.Helper()
	agenttest.Eventually(s.T, 20*time.Second, func() bool {
		state, err := s.Property(helper.Installer, "ActiveState")
		return err == nil && state == "inactive"
	}, "the installer has ended")
}

// is checks what is installed, as dpkg itself has it: "hold ok installed shop 1.0", and which versions were started so far.
func (s *shop) is(starts string, packages ...string) {
	s.T.Helper()
	out, err := exec.Command("dpkg-query", "--show", "--showformat=${Status} ${Package} ${Version}\n").Output()
	s.must(err)
	var got []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); !strings.Contains(line, "not-installed") {
			got = append(got, line)
		}
	}
	want := slices.Sorted(slices.Values(packages))
	if slices.Sort(got); !slices.Equal(got, want) {
		s.T.Errorf("installed are\n%q, want\n%q", got, want)
	}
	began, _ := os.ReadFile("/opt/starts")
	if got := strings.Join(strings.Fields(string(began)), " "); got != starts {
		s.T.Errorf("started were %q, want %q", got, starts)
	}
}
