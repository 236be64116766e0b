package probe

import (
	"container/heap"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// gather is how long results without news wait for those of other probes, so that all that were asked
// together arrive together.
const gather = 20 * time.Millisecond

// Options are what a Scheduler needs.
type Options struct {
	source.Options
	Exec ExecFunc // nil: probes with a program miss
}

// Scheduler runs all probes. SetTargets, Kick, Afresh and Stats may be called from any goroutine and never
// wait for a probe.
type Scheduler struct {
	opt      Options
	newAsker func(Target, ExecFunc) (asker, error) // tests bring their own
	wake     chan struct{}
	results  chan result

	mu      sync.Mutex
	targets []Target // waiting to be taken over by Run
	changed bool
	kicks   []kick
	byID    map[string]*probe // changed by Run only

	queue   queue
	flying  int           // attempts whose result is not in yet
	batch   *source.Batch // samples that are not delivered yet; nil: none
	since   time.Duration // when the first of them came
	urgent  bool          // they bring news
	working sync.WaitGroup
}

// kick makes the probes of a service ask at once.
type kick struct {
	service string
	eager   bool // and then again soon
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
// most for the service's startup time. It is for the moment after a restart. Probes of certificates stay out of it: they
// cost a handshake each, and do not tell whether the service is up.
func (s *Scheduler) Kick(service string) { s.kick(kick{service, true}) }

// Afresh makes the probes of a service ask at once, once. It is for the moment after an action: no verdict that is told
// after it rests on a question from before. Those of certificates stay out of it, too.
func (s *Scheduler) Afresh(service string) { s.kick(kick{service, false}) }

func (s *Scheduler) kick(k kick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicks = append(s.kicks, k)
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
	for _, k := range s.kicks {
		for _, p := range s.queue {
			switch {
			case p.target.Service != k.service || p.target.TLS != "":
			case k.eager:
				p.kick(now, now+p.target.Startup)
			default:
				p.afresh(now)
			}
		}
	}
	if len(s.kicks) > 0 {
		s.kicks = s.kicks[:0]
		heap.Init(&s.queue)
	}
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
	s.take(now) // first: a kick may say that the question no longer counts
	if p.gone {
		return
	}
	p.meter.Record(now, r.latency, r.err)
	counts, settled := p.answer(r.attempt, now, r.err == nil)
	if !counts {
		return
	}
	heap.Fix(&s.queue, p.place)
	b := s.open(now)
	b.Maybe(p.latency, now, r.latency.Seconds(), r.answered)
	if p.figure != nil {
		b.Maybe(p.figure, now, r.figure, r.answered)
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
