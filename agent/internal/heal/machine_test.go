package heal

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/permit"
)

// boot is how long the machine has been up when a test begins.
const boot = time.Hour

// ticking is the machine's clock, on the bubble's time. The wall can be set, as people do.
type ticking struct {
	start time.Time
	wrong atomic.Int64 // how much the wall clock is off
	id    atomic.Value // boot ID
}

func newTicking() *ticking {
	c := &ticking{start: time.Now()}
	c.id.Store("boot-1")
	return c
}

func (c *ticking) Now() clock.Instant {
	now := time.Now()
	return clock.Instant{Boot: now.Sub(c.start) + boot, Wall: now.Add(time.Duration(c.wrong.Load()))}
}

func (c *ticking) BootID() string { return c.id.Load().(string) }

// machine is a host with systemd's units on it. It outlives the agent.
type machine struct {
	clock *ticking

	mu     sync.Mutex
	units  map[string]*systemd.Unit
	system string
	traits map[string]trait
	serial int
	acts   []string          // every action that began, "restart checkout.service"
	times  []time.Duration   // and when, since the test began
	ran    map[string]int    // how often each attempt acted
	props  map[string]string // unit properties that were set
	used   map[permit.Token]string
	hidden map[string]bool // targets whose state nobody can tell
	flaws  []string        // what no agent may ever do
	listen func(systemd.Event)
}

// trait is how a unit takes to being started.
type trait struct {
	takes  time.Duration // from the job to its end
	broken bool          // it does not come up
	dies   time.Duration // so long after it came up; 0: never
	echo   bool          // its restart shows as failed for a moment
	cures  func()        // what its coming up sets right
}

func newMachine(units ...string) *machine {
	m := &machine{clock: newTicking(), units: map[string]*systemd.Unit{}, system: "running", traits: map[string]trait{},
		ran: map[string]int{}, props: map[string]string{}, used: map[permit.Token]string{}, hidden: map[string]bool{},
		listen: func(systemd.Event) {}}
	for _, name := range units {
		m.serial++
		m.units[name] = &systemd.Unit{Name: name, Load: "loaded", Active: "active", Sub: "running", Result: "success",
			InvocationID: fmt.Sprintf("%032x", m.serial), ControlGroup: "/system.slice/" + name, MainPID: 1000 + m.serial,
			FragmentPath: "/etc/systemd/system/" + name, Restart: "no", ActiveEnter: time.Minute, Changed: time.Minute}
	}
	return m
}

// Unit implements Units.
func (m *machine) Unit(name string) (systemd.Unit, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, ok := m.units[name]
	if !ok || m.system == "" {
		return systemd.Unit{}, false
	}
	return *u, true
}

// Match implements Units.
func (m *machine) Match(pattern string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m.units)) {
		if name == pattern || glob.Match(pattern, name) {
			out = append(out, name)
		}
	}
	return out
}

// SystemState implements Units.
func (m *machine) SystemState() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.system
}

// change moves a unit and tells who listens, as systemd's signals do.
func (m *machine) change(name string, f func(*systemd.Unit)) {
	m.mu.Lock()
	u := m.units[name]
	was := u.Active
	f(u)
	now := m.clock.Now().Boot
	if u.Active != was {
		u.Changed = now
		if u.Active == "active" {
			u.ActiveEnter, u.Stopped = now, ""
		}
	}
	ev, tell := systemd.Event{Kind: systemd.Changed, Unit: *u, Was: was, At: now}, m.listen
	m.mu.Unlock()
	tell(ev)
}

// say tells who listens of something else than a unit.
func (m *machine) say(k systemd.Kind, system string) {
	m.mu.Lock()
	m.system = system
	tell := m.listen
	m.mu.Unlock()
	tell(systemd.Event{Kind: k, At: m.clock.Now().Boot})
}

func (m *machine) fail(name, result string) {
	m.change(name, func(u *systemd.Unit) {
		u.Active, u.Sub, u.Result, u.MainPID, u.Stopped, u.Job = "failed", "failed", result, 0, systemd.Itself, 0
	})
}

func (m *machine) up(name string) {
	m.change(name, func(u *systemd.Unit) {
		u.Active, u.Sub, u.Result, u.Job = "active", "running", "success", 0
	})
}

func (m *machine) trait(name string) trait {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.traits[name]
	if t.takes == 0 {
		t.takes = 20 * time.Millisecond
	}
	return t
}

// life starts a unit anew: a new invocation, up after a while, or not.
func (m *machine) life(name string) error {
	t := m.trait(name)
	m.change(name, func(u *systemd.Unit) {
		m.serial++
		u.Active, u.Sub, u.MainPID, u.Job = "activating", "start", 1000+m.serial, 1
		u.InvocationID = fmt.Sprintf("%032x", m.serial)
	})
	time.Sleep(t.takes)
	if t.broken {
		m.fail(name, "exit-code")
		return fmt.Errorf("systemd's job for %s ended as %q", name, "failed")
	}
	m.up(name)
	if t.cures != nil {
		t.cures()
	}
	if t.dies > 0 {
		life := m.invocation(name)
		time.AfterFunc(t.dies, func() {
			if m.invocation(name) == life {
				m.fail(name, "exit-code")
			}
		})
	}
	return nil
}

func (m *machine) invocation(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.units[name].InvocationID
}

// restart is a restart job.
func (m *machine) restart(name string) error {
	if u, _ := m.Unit(name); !u.Down() {
		m.change(name, func(u *systemd.Unit) { u.Active, u.Sub, u.Job = "deactivating", "stop-sigterm", 1 })
		time.Sleep(5 * time.Millisecond)
		if m.trait(name).echo {
			m.change(name, func(u *systemd.Unit) {
				u.Active, u.Sub, u.Result, u.MainPID, u.Job, u.Stopped = "failed", "failed", "signal", 0, 1, systemd.Salve
			})
			time.Sleep(time.Millisecond)
		}
	}
	return m.life(name)
}

// flaw notes a breach of what the agent promises.
func (m *machine) flaw(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flaws = append(m.flaws, fmt.Sprintf("at %v: ", m.clock.Now().Boot-boot)+fmt.Sprintf(format, args...))
}

// did notes that an attempt began to act.
func (m *machine) did(attempt, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acts, m.times = append(m.acts, what), append(m.times, m.clock.Now().Boot-boot)
	if m.ran[attempt]++; m.ran[attempt] > 1 {
		m.flaws = append(m.flaws, fmt.Sprintf("attempt %s ran %d times", attempt, m.ran[attempt]))
	}
}

// gaps are the times between all actions so far.
func (m *machine) gaps() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []time.Duration
	for i := 1; i < len(m.times); i++ {
		out = append(out, m.times[i]-m.times[i-1])
	}
	return out
}

// count is how many actions began so far.
func (m *machine) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.times)
}

// taken returns the acts since the last call, one a line.
func (m *machine) taken() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := strings.Join(m.acts, "\n")
	m.acts = nil
	return out
}
