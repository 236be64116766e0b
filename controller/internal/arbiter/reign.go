package arbiter

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Times of a leadership.
const (
	followEvery = time.Second            // how often a follower looks at the newest stamp
	retryAfter  = 200 * time.Millisecond // after preparations that failed
	barrierTime = 10 * time.Second       // for Raft to apply what earlier leaders left
)

// Run does the leader's work while this node leads, until ctx ends.
//
//	follower ──► elected: barrier, first commands ──► open for commands, with its duties ──► lost
//	   ▲                                                                                       │
//	   └───────────────────────────────────────────────────────────────────────────────────────┘
func (a *Arbiter) Run(ctx context.Context) error {
	var end func()
	stop := func() {
		if end != nil {
			end()
			end = nil
		}
	}
	defer stop()
	var carrier sync.WaitGroup
	defer carrier.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	carrier.Go(func() { a.carry(ctx) })
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	a.follow()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			switch leads := a.o.Node.IsLeader(); {
			case leads && end == nil: // the word of it was lost
				end = a.begin(ctx)
			case !leads:
				stop()
				a.follow()
			}
		case leads := <-a.o.Node.LeaderCh():
			stop()
			if leads {
				end = a.begin(ctx)
			}
		}
	}
}

// follow notes how far log time has come under another leader.
func (a *Arbiter) follow() {
	var at int64
	a.o.Replica.View(func(s *state.State) { at = s.At() })
	a.work.follow(at, a.o.Clock.Now())
}

// begin starts a leadership; what it returns ends it and waits for its end.
func (a *Arbiter) begin(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			if a.o.Node.IsLeader() {
				if err := a.reign(ctx); err != nil && ctx.Err() == nil {
					a.log.Warn("leadership has to begin anew", "error", err)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryAfter):
			}
		}
	}()
	return func() { cancel(); <-over }
}

// reign is one leadership, from the preparations on.
func (a *Arbiter) reign(ctx context.Context) error {
	barrier, cancel := context.WithTimeout(ctx, barrierTime)
	err := a.o.Node.Barrier(barrier)
	cancel()
	if err != nil {
		return err
	}
	a.follow()
	l := newLine(a)
	turns := turns{}
	if err := a.prepare(ctx, l, turns); err != nil {
		return err
	}
	start := a.o.Clock.Now().Boot
	a.hearing.begin(map[string]heard{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { l.run(ctx); return nil })
	g.Go(func() error { return a.listen(ctx, l, start) })
	g.Go(func() error { return a.tend(ctx, l, turns) })
	a.open(l)
	a.metrics.leading.Set(1)
	a.log.Info("leading")
	<-ctx.Done()
	a.open(nil)
	err = g.Wait()
	a.metrics.leading.Set(0)
	a.hearing.begin(nil)
	a.cutOff.Store(false)
	a.metrics.cutOff.Set(0)
	a.log.Info("leading no more")
	return err
}

// prepare proposes what has to be in the log before anybody else's command: a first generation with this
// node's configuration, and the windows that are open now, so that no grant slips in before them.
func (a *Arbiter) prepare(ctx context.Context, l *line, t turns) error {
	var first []*logpb.Command
	fresh := false
	a.o.Replica.View(func(s *state.State) {
		l.format.Store(s.FormatLevel())
		fresh = s.Generation() == ""
	})
	if fresh {
		first = append(first, &logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
			Id: NewID(), Reason: "the cluster begins", Bootstrap: true,
		}}})
	}
	if c, _ := a.file.waiting(); c != nil && fresh { // else carry brings it in, as it does for every node
		first = append(first, configureCommand(c, a.o.ID))
	}
	if len(first) > 0 {
		if _, err := l.direct(ctx, first...); err != nil {
			return err
		}
	}
	if open := a.due(t); len(open) > 0 { // by the configuration that holds now
		if _, err := l.direct(ctx, open...); err != nil {
			return err
		}
	}
	return nil
}

// listen marks hosts as lost or heard again.
func (a *Arbiter) listen(ctx context.Context, l *line, start time.Duration) error {
	ticker := time.NewTicker(listenEvery)
	defer ticker.Stop()
	judge := listener{since: start}
	var hosts []fact
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before := judge.cutOff
		hosts = facts(a.o.Replica, hosts)
		edges := judge.judge(a.o.Clock.Now().Boot, hosts, &a.hearing)
		a.tellCutOff(before, judge.cutOff)
		for _, c := range commands(edges) {
			if err := l.duty(ctx, c); err != nil {
				return err
			}
			for _, e := range c.GetEdges().GetEdge() {
				if e.GetLost() {
					a.metrics.lost.Inc()
				}
				a.log.Info("host", "id", e.GetHost(), "lost", e.GetLost())
			}
		}
	}
}

// tellCutOff says that this leader hears too few hosts to blame them, and when it does again.
func (a *Arbiter) tellCutOff(before, now bool) {
	switch {
	case now && !before:
		a.cutOff.Store(true)
		a.metrics.cutOff.Set(1)
		a.log.Warn("more than half of the hosts fell silent at once: this node is cut off from them, so none is marked as lost")
	case before && !now:
		a.cutOff.Store(false)
		a.metrics.cutOff.Set(0)
		a.log.Info("most hosts are heard again")
	}
}

// duty proposes a command of the leader's own. An error means that the leadership is over.
func (l *line) duty(ctx context.Context, c *logpb.Command) error {
	b, err := seal(c)
	if err != nil {
		return err
	}
	call := newCall(b)
	err = l.enter(call)
	if err == nil {
		err = l.outcome(ctx, call).err
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrBusy): // then it is due the next time
		return nil
	}
	return err
}
