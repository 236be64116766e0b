package observe

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/agenttest/journaltest"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// receiver keeps the newest sample of each signal.
type receiver struct {
	mu     sync.Mutex
	newest map[string]Sample
	count  map[string]int
	keys   map[string][]string
}

func newReceiver() *receiver {
	return &receiver{newest: map[string]Sample{}, count: map[string]int{}, keys: map[string][]string{}}
}

func (r *receiver) deliver(b *Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range b.Samples {
		r.newest[s.Handle.Key.String()] = s
		r.count[s.Handle.Key.String()]++
	}
	b.Release()
}

func (r *receiver) instances(family string, keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[family] = keys
}

// known reports whether there is a value of the signal.
func (r *receiver) known(signal string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest[signal].Known
}

// toldUnknown reports whether the newest sample of the signal says that it is unknown.
func (r *receiver) toldUnknown(signal string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.newest[signal]
	return ok && !s.Known
}

// fakeRoot is a host with one unit, control groups version 2 and little else.
func fakeRoot(t testing.TB) string {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/self/mountinfo": "30 20 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"proc/meminfo":        "MemTotal: 1000 kB\nMemAvailable: 500 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
		"proc/pressure/cpu":   "some total=1\n",
		"proc/42/cgroup":      "0::/system.slice/x.service\n",
		"sys/fs/cgroup/system.slice/x.service/cpu.stat":       "usage_usec 1\n",
		"sys/fs/cgroup/system.slice/x.service/pids.current":   "3\n",
		"sys/fs/cgroup/system.slice/x.service/memory.events":  "oom_kill 0\n",
		"sys/fs/cgroup/system.slice/x.service/memory.current": "500\n",
		"sys/fs/cgroup/system.slice/x.service/cgroup.procs":   "42\n",
		"sys/fs/cgroup/system.slice/x.service/cpu.pressure":   "some total=1\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// running starts an observer that ends with the test.
func running(t testing.TB, o Options) *Observer {
	t.Helper()
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	o.Clock, o.Log = c, hclog.NewNullLogger()
	ob, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ob.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ob
}

func TestObserver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, root := newReceiver(), fakeRoot(t)
	o := running(t, Options{Root: root, Deliver: r.deliver, Keys: r.instances})
	targets := Targets{
		Units:  []UnitTarget{{Name: "x.service", Every: 100 * time.Millisecond}},
		Probes: []ProbeTarget{{Service: "x", Name: "port", TCP: l.Addr().String(), Every: 100 * time.Millisecond}},
		Scrapes: []ScrapeTarget{{Service: "x", Name: "app", URL: "http://127.0.0.1:1/metrics", Every: 100 * time.Millisecond,
			Timeout: 100 * time.Millisecond, Metrics: []Metric{{Name: "queue"}}}},
		Pools: []PoolTarget{{
			Service: "x", Name: "db", Signals: []string{"active"}, PgBouncer: "/none/.s.PGSQL.1", Database: "d",
		}},
		Contexts: []ContextTarget{{
			Name: "market", File: "/none", Every: 100 * time.Millisecond,
			Fields: []ContextField{{Signal: signal.Path{Family: signal.Context, Key: "market", Field: "volatility"}}},
		}},
		Needs: []series.Key{{Signal: "unit.psi.cpu.some", Of: "x.service"}, {Signal: "host.psi.cpu.some"}},
	}
	o.SetTargets(targets)
	o.UnitStarted("x.service", UnitRun{ControlGroup: "/system.slice/x.service", MainPID: 42})
	for _, signal := range []string{
		"host.memory.available_ratio", "host.psi.cpu.some", "unit.cpu{x.service}", "unit.memory_bytes{x.service}",
		"unit.tasks{x.service}", "unit.oom_kills{x.service}", "unit.psi.cpu.some{x.service}",
		"probe.port.ok{x}", "probe.port.latency{x}",
	} {
		agenttest.Eventually(t, func() bool { return r.known(signal) }, signal+" is known")
	}
	eventually := func(signal string) {
		t.Helper()
		agenttest.Eventually(t, func() bool { return r.toldUnknown(signal) }, signal+" is unknown")
	}
	eventually("pool.db.active{x}")
	eventually("metric.queue{x}")
	eventually("context.market.volatility")
	eventually("host.cpu.busy") // its file is missing

	// An OOM kill is announced by the kernel when the file changes, not only at the next sample.
	events := filepath.Join(root, "sys/fs/cgroup/system.slice/x.service/memory.events")
	if err := os.WriteFile(events, []byte("oom_kill 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.newest["unit.oom_kills{x.service}"].Value == 4
	}, "the OOM kills are counted")

	o.UnitGone("x.service")
	eventually("unit.cpu{x.service}")

	o.SetTargets(Targets{})
	eventually("probe.port.ok{x}")
	var names []string
	for _, s := range o.Stats() {
		names = append(names, s.Name)
	}
	for _, name := range []string{"host.cpu", "host.disk", "unit"} {
		if !slices.Contains(names, name) {
			t.Errorf("no figures of %s about itself in %v", name, names)
		}
	}
}

func TestLeanObserverSamplesWhatIsNeeded(t *testing.T) {
	r := newReceiver()
	o := running(t, Options{Root: fakeRoot(t), Deliver: r.deliver})
	o.SetTargets(Targets{
		Units: []UnitTarget{{Name: "x.service", Every: 100 * time.Millisecond}},
		Needs: []series.Key{{Signal: "unit.tasks", Of: "x.service"}, {Signal: "host.memory.swap_ratio"}},
		Lean:  true,
	})
	o.UnitStarted("x.service", UnitRun{ControlGroup: "/system.slice/x.service", MainPID: 42})
	agenttest.Eventually(t, func() bool {
		return r.known("unit.tasks{x.service}") && r.known("host.memory.swap_ratio")
	}, "the needed signals are known")
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range maps.Keys(r.newest) {
		host := strings.HasPrefix(name, "host.memory.") || strings.HasPrefix(name, "host.disk")
		if !host && name != "unit.tasks{x.service}" {
			t.Errorf("%s is sampled", name)
		}
	}
}

// The handle of a series is the same for as long as its target stays, also over reloads: receivers keep
// their own mark on it.
func TestHandlesStay(t *testing.T) {
	r := newReceiver()
	o := running(t, Options{Root: fakeRoot(t), Deliver: r.deliver})
	targets := Targets{Units: []UnitTarget{{Name: "x.service", Every: 100 * time.Millisecond}}}
	o.SetTargets(targets)
	o.UnitStarted("x.service", UnitRun{ControlGroup: "/system.slice/x.service", MainPID: 42})
	const signal = "unit.tasks{x.service}"
	agenttest.Eventually(t, func() bool { return r.known(signal) }, "the unit is sampled")
	r.mu.Lock()
	before := r.newest[signal].Handle
	seen := r.count[signal]
	r.mu.Unlock()
	o.SetTargets(targets)
	agenttest.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.count[signal] > seen+1
	}, "it is sampled after the reload")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newest[signal].Handle != before {
		t.Error("another handle for the same series")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	full := Options{Clock: c, Log: hclog.NewNullLogger(), Deliver: func(*Batch) {}}
	for name, cut := range map[string]func(*Options){
		"Clock": func(o *Options) { o.Clock = nil }, "Log": func(o *Options) { o.Log = nil },
		"Deliver": func(o *Options) { o.Deliver = nil }, "control groups": func(o *Options) { o.Root = t.TempDir() },
	} {
		o := full
		cut(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// The journal below the root is read, and the lines that match are at hand for the evidence.
func TestObserverReadsTheJournal(t *testing.T) {
	r, root := newReceiver(), fakeRoot(t)
	folder := filepath.Join(root, "var/log/journal/m")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.Mkdir(filepath.Join(root, "etc"), 0o755),
		os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte("m\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	o := running(t, Options{Root: root, Deliver: r.deliver})
	o.SetTargets(Targets{Logs: []LogTarget{
		{Service: "x", Name: "errors", Unit: "x.service", Match: regexp.MustCompile("error")},
	}})
	agenttest.Eventually(t, func() bool { return r.toldUnknown("log.errors.rate{x}") },
		"without a journal it is unknown")
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		t.Fatal(err)
	}
	journaltest.Remote(t, filepath.Join(folder, "system.journal"), nil, journaltest.Entry{
		Boot: strings.ReplaceAll(o.opt.Clock.BootID(), "-", ""), At: time.Duration(mono.Nano()),
		Unit: "x.service", Text: "error 1"})
	agenttest.Eventually(t, func() bool { return r.known("log.errors.rate{x}") }, "the rate is known")
	if m := o.LogMatches("x.service"); len(m) != 1 || m[0].Text != "error 1" {
		t.Errorf("matches %+v", m)
	}
	if s := o.Stats(); s[len(s)-1].Name != "log" {
		t.Errorf("the source tells nothing about itself: %+v", s)
	}
}
