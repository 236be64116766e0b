package probe

import (
	"container/heap"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/observe/schedule"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/signal"
)

// gather is how long results without news wait for those of other probes, so that all that were asked
// together arrive together.
const gather = 20 * time.Millisecond

// Options are what a Scheduler needs.
type Options struct {
	Clock clock.Clock
	Book  *source.Book
	Grid  schedule.Grid
	Log   hclog.Logger
	Exec  ExecFunc // nil: probes with a program miss
	// Deliver takes over a batch. It is called from the goroutine of Run.
	Deliver func(*source.Batch)
}

// Scheduler runs all probes. SetTargets, Kick and Stats may be called from any goroutine and never
// wait for a probe.
type Scheduler struct {
	opt      Options
	newAsker func(Target, ExecFunc) (asker, error) // tests bring their own
	wake     chan struct{}
	results  chan result

	mu      sync.Mutex
	targets []Target // waiting to be taken over by Run
	changed bool
	kicked  []string
	byID    map[string]*probe // changed by Run only

	queue   queue
	flying  int           // attempts whose result is not in yet
	batch   *source.Batch // samples that are not delivered yet; nil: none
	since   time.Duration // when the first of them came
	urgent  bool          // they bring news
	working sync.WaitGroup
}

// probe is a target with its state.
type probe struct {
	state
	target Target
	asker  asker
	meter  source.Meter
	place  int // in the queue

	ok, latency, status *source.Handle // status is nil where there is none
	told                verdict        // the last one that was delivered
	gone                bool
}

type result struct {
	probe *probe
	attempt
	answer
}

// New makes a scheduler without probes.
func New(o Options) *Scheduler {
	return &Scheduler{
		opt: o, newAsker: newAsker, wake: make(chan struct{}, 1), results: make(chan result, 64),
		byID: map[string]*probe{},
	}
}

// SetTargets replaces the probes. Those that stay as they are keep their connection and what they know.
func (s *Scheduler) SetTargets(targets []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets, s.changed = targets, true
	s.nudge()
}

// Kick makes the probes of a service ask at once, and then every 50 ms until the first good answer, at
// most for the service's startup time. It is for the moment after a restart.
func (s *Scheduler) Kick(service string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicked = append(s.kicked, service)
	s.nudge()
}

func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Stats are the figures of each probe about itself: a miss is a failure.
func (s *Scheduler) Stats() []source.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := make([]source.Stats, 0, len(s.byID))
	for _, p := range s.byID {
		stats = append(stats, p.meter.Stats())
	}
	slices.SortFunc(stats, func(a, b source.Stats) int { return strings.Compare(a.Name, b.Name) })
	return stats
}

// Run asks until ctx ends. It returns when no attempt runs any more.
func (s *Scheduler) Run(ctx context.Context) {
	defer s.stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := s.opt.Clock.Now().Boot
		s.take(now)
		s.ask(ctx, now)
		s.flush(now)
		timer.Reset(s.rest(now))
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		case r := <-s.results:
			s.settle(r)
			s.drain()
		}
	}
}

// stop ends all attempts and waits for them.
func (s *Scheduler) stop() {
	for _, p := range s.queue {
		p.asker.close()
	}
	s.working.Wait()
	if s.batch != nil {
		s.batch.Release()
		s.batch = nil
	}
}

// take takes over new targets and kicks.
func (s *Scheduler) take(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed {
		s.replace(now, s.targets)
		s.targets, s.changed = nil, false
	}
	for _, service := range s.kicked {
		for _, p := range s.queue {
			if p.target.Service == service {
				p.kick(now, now+p.target.Startup)
			}
		}
	}
	if len(s.kicked) > 0 {
		s.kicked = s.kicked[:0]
		heap.Init(&s.queue)
	}
}

func (s *Scheduler) replace(now time.Duration, targets []Target) {
	before := s.byID
	s.byID, s.queue = map[string]*probe{}, nil
	for _, t := range targets {
		t = t.normal()
		if s.byID[t.id()] != nil {
			continue
		}
		p := before[t.id()]
		if p != nil && p.target.equal(t) {
			delete(before, t.id())
		} else if p = s.newProbe(t, now); p == nil {
			continue
		}
		p.place = len(s.queue)
		s.byID[t.id()], s.queue = p, append(s.queue, p)
	}
	heap.Init(&s.queue)
	for id, p := range before {
		p.gone = true
		p.asker.close()
		if s.byID[id] == nil {
			s.forget(p, now)
		}
	}
}

// newProbe is nil for a target that cannot be asked. Configuration refuses those before.
func (s *Scheduler) newProbe(t Target, now time.Duration) *probe {
	a, err := s.newAsker(t, s.opt.Exec)
	if err != nil {
		s.opt.Log.Warn("probe left out", "service", t.Service, "probe", t.Name, "error", err)
		return nil
	}
	handle := func(field string) *source.Handle {
		return s.opt.Book.Handle(signal.Path{Family: "probe", Key: t.Name, Field: field}.String(), t.Service)
	}
	p := &probe{target: t, asker: a, ok: handle("ok"), latency: handle("latency")}
	p.meter.Name = "probe." + t.Name + "{" + t.Service + "}"
	if t.TCP == "" {
		p.status = handle("status")
	}
	offset := s.opt.Grid.Offset(t.id(), t.Every)
	p.state = state{
		grid: s.opt.Grid, every: t.Every, offset: offset, timeout: t.Timeout, needed: t.Misses,
		due: s.opt.Grid.Next(now, min(t.Every, defaultEvery), offset%defaultEvery),
	}
	return p
}

// forget makes the signals of a probe that was removed unknown.
func (s *Scheduler) forget(p *probe, now time.Duration) {
	b := s.open(now)
	b.Unknown(p.ok, now)
	b.Unknown(p.latency, now)
	if p.status != nil {
		b.Unknown(p.status, now)
	}
	s.urgent = true
}

// ask starts every attempt that is due.
func (s *Scheduler) ask(ctx context.Context, now time.Duration) {
	for len(s.queue) > 0 && s.queue[0].due <= now {
		p := s.queue[0]
		a := p.begin(now)
		heap.Fix(&s.queue, 0)
		s.flying++
		s.working.Add(1)
		go s.attempt(ctx, p, a)
	}
}

func (s *Scheduler) attempt(ctx context.Context, p *probe, a attempt) {
	defer s.working.Done()
	r := result{probe: p, attempt: a, answer: p.asker.ask(a.fresh)}
	select {
	case s.results <- r:
	case <-ctx.Done():
	}
}

// drain settles the results that are in.
func (s *Scheduler) drain() {
	for {
		select {
		case r := <-s.results:
			s.settle(r)
		default:
			return
		}
	}
}

// settle takes one result.
func (s *Scheduler) settle(r result) {
	s.flying--
	p, now := r.probe, s.opt.Clock.Now().Boot
	if p.gone {
		return
	}
	p.meter.Record(r.latency, r.err)
	counts, settled := p.answer(r.attempt, now, r.err == nil)
	if !counts {
		return
	}
	heap.Fix(&s.queue, p.place)
	b := s.open(now)
	b.Maybe(p.latency, now, r.latency.Seconds(), r.answered)
	if p.status != nil {
		b.Maybe(p.status, now, float64(r.status), r.hasStatus)
	}
	if settled {
		ok := 0.0
		if p.verdict == good {
			ok = 1
		}
		b.Set(p.ok, now, ok)
		s.urgent = s.urgent || p.told != p.verdict
		p.told = p.verdict
	}
	s.urgent = s.urgent || r.err != nil
}

// open is the batch to add to.
func (s *Scheduler) open(now time.Duration) *source.Batch {
	if s.batch == nil {
		s.batch, s.since = s.opt.Book.Batch(), now
	}
	return s.batch
}

// flush delivers what there is: at once if it is news or nothing more is coming, else after a while.
func (s *Scheduler) flush(now time.Duration) {
	if s.batch == nil || !s.urgent && s.flying > 0 && now-s.since < gather {
		return
	}
	b := s.batch
	s.batch, s.urgent = nil, false
	s.opt.Deliver(b)
}

// rest is how long nothing is due.
func (s *Scheduler) rest(now time.Duration) time.Duration {
	next := now + time.Hour
	if len(s.queue) > 0 {
		next = min(next, s.queue[0].due)
	}
	if s.batch != nil {
		next = min(next, s.since+gather)
	}
	return max(0, next-now)
}

// queue is a heap of probes by the time of their next attempt.
type queue []*probe

var _ heap.Interface = (*queue)(nil)

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is not used: probes come and go together.
func (q *queue) Push(x any) { *q = append(*q, x.(*probe)) }

// Pop is not used.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
