package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/proto/localpb"
)

// course counts what was done.
type course struct {
	faults, healed, mended atomic.Int64
	reads, unread, shifts  atomic.Int64
}

// String says it in one line.
func (c *course) String() string {
	return fmt.Sprintf("%d faults, %d healed by Salve, %d by a person; %d reads, %d of them failed; %d changes of "+
		"configuration", c.faults.Load(), c.healed.Load(), c.mended.Load(), c.reads.Load(), c.unread.Load(), c.shifts.Load())
}

// idle says that nothing was put to the test.
func (c *course) idle() error {
	if c.healed.Load() < 3 || c.healed.Load() < 2*c.mended.Load() || c.reads.Load() < 2*c.unread.Load()+3 {
		return fmt.Errorf("this was no test: %s", c)
	}
	return nil
}

// faults are ways to break a service.
var faults = []struct {
	name    string
	inflict func(context.Context, *fleet, *rig.Patient) error
}{
	{"dies", func(_ context.Context, f *fleet, p *rig.Patient) error { return f.signal(p, "KILL") }},
	{"hangs", func(_ context.Context, f *fleet, p *rig.Patient) error { return f.signal(p, "STOP") }},
	{"fails", func(ctx context.Context, _ *fleet, p *rig.Patient) error { return p.Fault(ctx, "errors?ratio=1") }},
}

// signal reaches the main process of a unit. For systemd that is no job.
func (f *fleet) signal(p *rig.Patient, name string) error {
	_, err := f.manager.Systemctl("kill", "--kill-who=main", "--signal="+name, p.Unit())
	return err
}

// healTime is how long Salve may take before a person mends a service.
const healTime = 90 * time.Second

// breakHost breaks the services of a host, one after the other, and waits each time until it is well again.
func (s *soak) breakHost(ctx context.Context, n int) {
	h := s.fleet.hosts[n]
	dice := rand.New(rand.NewPCG(s.opts.Seed, uint64(n)))
	for pause(ctx, time.Duration(dice.Int64N(int64(2*s.opts.Pause)))) {
		i := dice.IntN(len(h.patients))
		p, ill := h.patients[i], faults[dice.IntN(len(faults))]
		before, err := p.Get(ctx, "/healthz")
		if err == nil {
			err = ill.inflict(ctx, s.fleet, p)
		}
		if err != nil {
			if ctx.Err() == nil {
				s.logf("%s should break and does not: %v", p.Name, err)
			}
			continue
		}
		s.course.faults.Add(1)
		healing, cancel := context.WithTimeout(ctx, healTime)
		healed := poll(healing, func() bool { return well(healing, p, before.PID) })
		cancel()
		switch {
		case healed:
			s.course.healed.Add(1)
		case ctx.Err() == nil:
			s.logf("%s %s, and a person has to mend it: %s", p.Name, ill.name, h.why(ctx, s.opts.Salve, service(i)))
			s.course.mended.Add(1)
			s.mend(ctx, p, service(i))
		}
	}
}

// mend is what a person does with what Salve could not heal.
func (s *soak) mend(ctx context.Context, p *rig.Patient, service string) {
	_, err := s.fleet.manager.Systemctl("restart", p.Unit())
	if _, forgiven := s.fleet.salve.Run(ctx, "resume", "service:"+service); err != nil {
		s.logf("mend %s: %v", p.Name, errors.Join(err, forgiven))
	}
}

// questions are what people ask all day.
var questions = [][]string{
	{"status"}, {"incidents"}, {"hosts"}, {"services"}, {"permits"}, {"incidents", "--all"}, {"explain", "last"},
	{"audit", "verify"}, {"audit", "--limit", "20"}, {"raft", "peers"}, {"status", "--stale"},
}

const (
	lookEvery = 3 * time.Second
	lookTime  = 20 * time.Second
)

// look asks the controllers, and the agents, one question after the other.
func (s *soak) look(ctx context.Context) {
	for n := 0; pause(ctx, lookEvery); n++ {
		asks, question := s.fleet.salve, questions[n%len(questions)]
		if n%3 == 2 {
			h := s.fleet.hosts[n%len(s.fleet.hosts)]
			asks, question = h.salve(s.opts.Salve), []string{"agent", "incidents"}
		}
		within, cancel := context.WithTimeout(ctx, lookTime)
		_, err := asks.Run(within, question...)
		cancel()
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.course.unread.Add(1)
			s.logf("%v", err)
			fallthrough
		default:
			s.course.reads.Add(1)
		}
	}
}

// why is how the story of a service's newest incident ends, as its agent tells it.
func (h *host) why(ctx context.Context, binary, service string) string {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var r localpb.IncidentsResponse
	if err := h.salve(binary).Ask(ctx, &r, "agent", "incidents", "--service", service, "--limit", "1"); err != nil {
		return err.Error()
	}
	if len(r.GetIncidents()) == 0 {
		return "its agent has no incident"
	}
	text, err := h.salve(binary).Run(ctx, "agent", "explain", r.GetIncidents()[0].GetId())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return "\n    " + strings.Join(lines[max(0, len(lines)-whyLines):], "\n    ")
}

// whyLines is how much of a story is told.
const whyLines = 30

func (h *host) salve(binary string) rig.Salve {
	return rig.Salve{Binary: binary, Where: []string{"--socket", h.dir + "/agent.sock"}}
}

// shifts gives the agents another configuration from time to time.
func (s *soak) shifts(ctx context.Context) {
	for n := 1; pause(ctx, s.opts.Shift); n++ {
		for _, h := range s.fleet.hosts {
			err := h.writeRules(n)
			if err == nil {
				_, err = h.salve(s.opts.Salve).Run(ctx, "agent", "reload")
			}
			if err != nil && ctx.Err() == nil {
				s.logf("%s: %v", h.name, err)
			}
		}
		s.course.shifts.Add(1)
	}
}
