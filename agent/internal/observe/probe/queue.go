package probe

import (
	"container/heap"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/signal"
)

// probe is a target with its state.
type probe struct {
	state
	target Target
	asker  asker
	meter  source.Meter
	place  int // in the queue

	ok, latency, figure *source.Handle // figure is nil where there is none
	told                verdict        // the last one that was delivered
	gone                bool
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

// replace takes over new targets. Those that stay as they are keep their probe.
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
	if field := t.figure(); field != "" {
		p.figure = handle(field)
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
	if p.figure != nil {
		b.Unknown(p.figure, now)
	}
	s.urgent = true
}
