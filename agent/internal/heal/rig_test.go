package heal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/baseline"
	"github.com/salveops/salve/agent/internal/change"
	"github.com/salveops/salve/agent/internal/change/changetest"
	"github.com/salveops/salve/agent/internal/escalate"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/session/linetest"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/metric"
)

// rig is a fake host that reads like the requirement: units fail and recover, probes answer or not, the
// agent is started and killed, and what it did is compared with what it must do.
type rig struct {
	*machine
	t       testing.TB
	disk    *disk
	node    *linetest.Server // nil: the host is alone
	cfg     *config.Agent
	p       *process          // the agent that runs
	killAt  int               // the agent is killed at the point of this number, counted from 1; 0: at none
	passed  []string          // every point that was passed
	at      map[string]func() // what happens at a point, once
	pointMu sync.Mutex

	sampled  map[string]*float64 // what sources tell each second: "probe.health.ok{checkout}"; nil is unknown, NaN idle
	locked   atomic.Pointer[string]
	slow     atomic.Int64 // how long diagnosis takes
	checking atomic.Int64 // how long it takes to check whether a remedy may run
	lost     clock.Stamp  // when the journal was lost
	learned  baseline.Contents
	backup   func(generation string) // of the node; nil: none was made
	restored int
	record   Recorder // nil: nobody records
	noted    *changetest.Disk
	forced   bool     // a person settled permits there without knowing
	pages    []string // "trigger web" or "resolve web", with step
	deaf     map[string]bool
	pageMu   sync.Mutex
}

// process is one life of the agent.
type process struct {
	ledger *change.Log
	*rig
	*Engine
	dead      atomic.Bool
	undoFails atomic.Bool
	targets   atomic.Pointer[observe.Targets]
	afresh    atomic.Pointer[string] // the service whose probes were last told to ask afresh
	log       hclog.Logger
	disk      *memory
	events    chan systemd.Event
	batches   chan *source.Batch
	book      *source.Book
	stop      context.CancelFunc
	done      chan struct{}
	lines     sync.WaitGroup
}

// heals runs a test in a bubble with a host of these units.
func heals(t *testing.T, conf string, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, conf)
		defer r.end()
		test(r)
	})
}

func newRig(t testing.TB, conf string) *rig {
	t.Helper()
	r := &rig{t: t, machine: newMachine("checkout.service", "postgres.service", "worker@1.service", "worker@2.service"),
		sampled: map[string]*float64{}, deaf: map[string]bool{}, at: map[string]func(){},
		noted: changetest.NewDisk()}
	none := ""
	r.locked.Store(&none)
	r.disk = newDisk(r.clock)
	r.withNode(conf)
	r.Start()
	return r
}

// withNode takes a configuration, and brings up the node that it names.
func (r *rig) withNode(conf string) {
	r.t.Helper()
	if r.cfg = load(r.t, conf); r.cfg.Controller != nil {
		r.node = linetest.New(r.t)
	}
}

// load reads a configuration through the real loader.
func load(t testing.TB, conf string) *config.Agent {
	t.Helper()
	dir := t.TempDir()
	agent, rules := conf, ""
	if i := strings.Index(conf, "---\n"); i >= 0 {
		agent, rules = conf[:i], conf[i+4:]
	}
	write(t, filepath.Join(dir, "agent.hcl"), agent)
	if err := os.Mkdir(filepath.Join(dir, "rules.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rules.d", "test.hcl"), rules)
	cfg, diags := config.LoadAgent(filepath.Join(dir, "agent.hcl"), config.LoadOptions{Host: "h", Offline: true})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Start starts an agent on what the disk has.
func (r *rig) Start() {
	r.t.Helper()
	p := &process{rig: r, log: hclog.NewNullLogger(), events: make(chan systemd.Event, 1024),
		batches: make(chan *source.Batch, 64), book: source.NewBook(), done: make(chan struct{})}
	if testing.Verbose() && os.Getenv("SALVE_TEST_LOG") != "" {
		p.log = hclog.New(&hclog.LoggerOptions{Output: writer{r}, Level: hclog.Debug})
	}
	p.disk = &memory{disk: r.disk, p: p, wake: make(chan struct{}, 1), opened: uint64(len(r.disk.told))}
	r.p = p
	acts := newHands(r.machine, p, r.cfg.Allow)
	r.mu.Lock()
	r.listen = p.hear
	r.mu.Unlock()
	settled := acts.Settle()
	line, controller := p.newLine()
	changes, err := change.NewLog(r.noted, r.clock, p.log, func(x change.Change) { p.Changed(x) })
	if err != nil {
		r.t.Fatal(err)
	}
	p.ledger = changes
	e, err := New(Options{Config: r.cfg, Clock: r.clock, Log: p.log, Units: r.machine, UnitEvents: p.events,
		Samples: p.batches, Act: acts, Journal: p.disk, Page: p, Diagnose: p, Packages: p, Observe: p,
		Controller: controller, Settled: settled, Baseline: r.learned, BudgetUnknown: r.lost, Record: r.record, Changes: changes,
		Step: func(step string) { p.point("step " + step) }})
	if err != nil {
		r.t.Fatal(err)
	}
	p.Engine = e
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.done)
		if err := e.Run(ctx); err != nil {
			r.t.Errorf("engine: %v", err)
		}
	}()
	if line != nil {
		p.lines.Go(func() {
			if err := line.Run(ctx); err != nil {
				r.t.Errorf("session: %v", err)
			}
		})
	}
	go p.sample(ctx)
	synctest.Wait()
}

func newHands(m *machine, p *process, allow []config.Allow) *hands {
	h := &hands{machine: m, p: p, allow: allow, undoing: make(chan struct{}, 1)}
	h.plans = map[string]kind.Request{}
	return h
}

type writer struct{ *rig }

func (w writer) Write(p []byte) (int, error) {
	w.t.Logf("%v %s", w.clock.Now().Boot-boot, p[min(len(p), 29):])
	return len(p), nil
}

// Kill ends the agent as SIGKILL does, if it was not killed on its way already: nothing that it has not
// written is on disk, and nothing that it was about to do is done.
func (r *rig) Kill() {
	r.p.dead.Store(true)
	r.Stop()
}

// Stop ends the agent as systemctl stop does.
func (r *rig) Stop() {
	r.p.stop()
	<-r.p.done
	r.p.lines.Wait()
	synctest.Wait()
}

// Restarts kills the agent and starts a new one.
func (r *rig) Restarts() {
	r.Kill()
	r.Start()
}

func (r *rig) end() {
	r.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.flaws {
		r.t.Errorf("flaw %s", f)
	}
}

// point is a place where the agent can die.
func (p *process) point(name string) {
	r := p.rig
	r.pointMu.Lock()
	defer r.pointMu.Unlock()
	if p.dead.Load() {
		return
	}
	r.passed = append(r.passed, name)
	if len(r.passed) == r.killAt {
		p.dead.Store(true)
	}
	if at := r.at[name]; at != nil {
		delete(r.at, name)
		r.pointMu.Unlock()
		defer r.pointMu.Lock()
		at()
	}
}

func (p *process) hear(ev systemd.Event) {
	select {
	case p.events <- ev:
	default: // nobody listens: it is dead
		if !p.dead.Load() {
			p.flaw("the engine does not take events")
		}
	}
}

// sample delivers what sources see, each second, half a second beside the engine's tick.
func (p *process) sample(ctx context.Context) {
	next := time.NewTimer(500 * time.Millisecond)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(time.Second)
		p.deliver(ctx)
	}
}

func (p *process) deliver(ctx context.Context) {
	b := p.book.Batch()
	now := p.clock.Now().Boot
	p.mu.Lock()
	for name, v := range p.sampled {
		signal, of, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
		h := p.book.Handle(signal, of)
		switch {
		case v == nil:
			b.Unknown(h, now)
		case math.IsNaN(*v):
			b.Figure(h, now, metric.Figure{Idle: true})
		default:
			b.Set(h, now, *v)
		}
	}
	p.mu.Unlock()
	select {
	case p.batches <- b:
	case <-ctx.Done():
	}
}

// Send implements Pager: every notifier answers a second later.
func (p *process) Send(i incident.Incident, d incident.Delivery) {
	if p.dead.Load() {
		return
	}
	kind := "trigger"
	if i.State == incident.Resolved {
		kind = "resolve"
	}
	p.pageMu.Lock()
	defer p.pageMu.Unlock()
	p.pages = append(p.pages, fmt.Sprintf("%s %s: %s", kind, cmp.Or(i.Service, "host"), strings.Join(d.Notify, ", ")))
	for _, n := range d.Notify {
		res := escalate.Result{Incident: i.ID, Notifier: n, Key: d.Key}
		if p.deaf[n] {
			res.Err, res.Final = errors.New("gone"), true
		}
		time.AfterFunc(time.Second, func() { p.Delivered(res) })
	}
}

// Volatile and Durable implement Diagnoser.
func (p *process) Volatile(ctx context.Context, u systemd.Unit) []incident.Evidence {
	select {
	case <-time.After(time.Duration(p.slow.Load())):
	case <-ctx.Done():
	}
	return []incident.Evidence{{Title: "processes of " + u.Name, Text: "x"}}
}

func (p *process) Durable(_ context.Context, u systemd.Unit) []incident.Evidence {
	return []incident.Evidence{{Title: "journal of " + u.Name, Text: "y"}}
}

// Holder implements Packages.
func (p *process) Holder() (string, error) { return *p.locked.Load(), nil }

func (p *process) SetTargets(t observe.Targets)      { p.targets.Store(&t) }
func (*process) UnitStarted(string, observe.UnitRun) {}
func (*process) UnitGone(string)                     {}
func (p *process) Kick(string)                       {}
func (p *process) Afresh(service string)             { p.afresh.Store(&service) }

// Advance lets time pass.
func (r *rig) Advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Until lets time pass until done, at most so long.
func (r *rig) Until(what string, most time.Duration, done func() bool) {
	r.t.Helper()
	for end := r.clock.Now().Boot + most; !done(); r.Advance(100 * time.Millisecond) {
		if r.clock.Now().Boot > end {
			r.t.Fatalf("after %v: not %s\n%s", most, what, r.Story())
		}
	}
}

// Fails makes a unit fail.
func (r *rig) Fails(unit string) {
	r.fail(unit, "exit-code")
	synctest.Wait()
}

// Pauses pauses; d 0 is until Resumes.
func (r *rig) Pauses(scope string, d time.Duration) {
	r.t.Helper()
	if _, err := r.p.Pause(r.ctx(), scope, d, "maintenance", "eve"); err != nil {
		r.t.Fatal(err)
	}
}

// when does something at the next time that the agent passes the point.
func (r *rig) when(point string, do func()) {
	r.pointMu.Lock()
	defer r.pointMu.Unlock()
	r.at[point] = do
}

// pauseAt pauses everything when the agent passes the point.
func (r *rig) pauseAt(point string) {
	r.at[point] = func() { r.Pauses("all", 0) }
}

// Resumes ends all pauses.
func (r *rig) Resumes() {
	r.t.Helper()
	if _, err := r.p.Resume(r.ctx(), r.p.paused(), "eve"); err != nil {
		r.t.Fatal(err)
	}
}

// paused is the scope of the first pause.
func (p *process) paused() string {
	list, err := p.Engine.Pauses(context.Background())
	if err != nil || len(list) == 0 {
		p.t.Fatalf("nothing is paused: %v", err)
	}
	return list[0].Scope
}

// Locks makes a package manager hold its lock; "" ends that.
func (r *rig) Locks(file string) { r.locked.Store(&file) }

// packaged makes the checkout a package's unit.
func (r *rig) packaged() {
	r.change("checkout.service", func(u *systemd.Unit) { u.FragmentPath = "/usr/lib/systemd/system/checkout.service" })
}

// stoppedByPerson stops the checkout as systemctl stop does.
func (r *rig) stoppedByPerson() {
	r.change("checkout.service", func(u *systemd.Unit) {
		u.Active, u.Sub, u.MainPID, u.Stopped, u.Job = "inactive", "dead", 0, systemd.Person, 0
	})
}

// Tells makes a source tell a value from now on.
func (r *rig) Tells(name string, v float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sampled[name] = &v
}

// Silent makes a source fail from now on.
func (r *rig) Silent(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sampled[name] = nil
}

// Trait says how a unit takes to being started.
func (r *rig) Trait(unit string, t trait) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.traits[unit] = t
}

// WantActs compares what was done since the last call.
func (r *rig) WantActs(want ...string) {
	r.t.Helper()
	if got := r.taken(); got != strings.Join(want, "\n") {
		r.t.Errorf("at %v, acts:\n%s\nwant:\n%s\n%s", r.clock.Now().Boot-boot, got, strings.Join(want, "\n"), r.Story())
	}
}

// WantPages compares whom people heard from since the last call.
func (r *rig) WantPages(want ...string) {
	r.t.Helper()
	r.pageMu.Lock()
	got := strings.Join(r.pages, "\n")
	r.pages = nil
	r.pageMu.Unlock()
	if got != strings.Join(want, "\n") {
		r.t.Errorf("at %v, pages:\n%s\nwant:\n%s\n%s", r.clock.Now().Boot-boot, got, strings.Join(want, "\n"), r.Story())
	}
}

// Last is the newest incident of a service, with its attempts; none is an error.
func (r *rig) Last(service string) local.Story {
	r.t.Helper()
	found, err := r.p.Incidents(r.ctx(), local.IncidentFilter{Service: service, Limit: 1})
	if err != nil || len(found) == 0 {
		r.t.Fatalf("no incident of %s: %v", service, err)
	}
	s, err := r.p.Incident(r.ctx(), found[0].ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) ctx() context.Context { return context.Background() }

// WantState compares the state of the service's newest incident; "" means that there is none.
func (r *rig) WantState(service string, want incident.State) {
	r.t.Helper()
	found, err := r.p.Incidents(r.ctx(), local.IncidentFilter{Service: service, Limit: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	got := incident.State("")
	if len(found) > 0 {
		got = found[0].State
	}
	if got != want {
		r.t.Errorf("at %v, incident of %s is %q, want %q\n%s", r.clock.Now().Boot-boot, service, got, want, r.Story())
	}
}

// WantOutcomes compares the outcomes of the attempts of the service's newest incident; one without an
// outcome shows its phase.
func (r *rig) WantOutcomes(service string, want ...string) {
	r.t.Helper()
	var got []string
	for _, a := range r.Last(service).Runs {
		got = append(got, fmt.Sprintf("%s %s", a.Remedy, cmp.Or(string(a.Outcome), string(a.Phase))))
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("at %v, outcomes %q, want %q\n%s", r.clock.Now().Boot-boot, got, want, r.Story())
	}
}

// WantSaid checks that the timeline of the service's newest incident has a line with each text.
func (r *rig) WantSaid(service string, texts ...string) {
	r.t.Helper()
	story := r.timeline(service)
	for _, text := range texts {
		if !strings.Contains(story, text) {
			r.t.Errorf("nothing says %q in:\n%s", text, story)
		}
	}
}

func (r *rig) timeline(service string) string {
	var b strings.Builder
	for _, ev := range r.Last(service).Timeline {
		fmt.Fprintf(&b, "%8v %-9s %s\n", (ev.At.Boot - boot).Round(time.Millisecond), ev.Type, ev.Text)
	}
	return b.String()
}

// Story is everything that is known, for a test that failed.
func (r *rig) Story() string {
	var b strings.Builder
	found, _ := r.p.disk.Incidents(journal.Filter{})
	for _, i := range found[:min(3, len(found))] {
		fmt.Fprintf(&b, "%s %s, %s: %s (%s)\n", i.ID[:8], i.Service, i.State, i.Title, i.End)
		for _, ev := range i.Timeline {
			fmt.Fprintf(&b, "  %8v %-9s %s\n", (ev.At.Boot - boot).Round(time.Millisecond), ev.Type, ev.Text)
		}
	}
	for _, a := range r.disk.attempts() {
		fmt.Fprintf(&b, "attempt %s: %s %s %s %s\n", a.ID[28:], a.Remedy, a.Phase, a.Outcome, a.Reason)
	}
	return b.String()
}

// stampNow is the moment as records keep it.
func (r *rig) stampNow() clock.Stamp { return clock.Now(r.clock) }
