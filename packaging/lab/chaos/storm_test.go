package chaos

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// storm breaks everything at random for d, and puts together again what it broke itself: programs that it killed run,
// and those that it froze go on. What it did to the services stays.
func (f *fleet) storm(ctx context.Context, d time.Duration, seed uint64, w *Witness) {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	var all sync.WaitGroup
	streams := uint64(0)
	begin := func(run func(context.Context, *rand.Rand)) {
		streams++
		dice := rand.New(rand.NewPCG(seed, streams)) // of its own, so that no order of the goroutines changes what falls
		all.Go(func() { run(ctx, dice) })
	}
	for i, n := range f.nodes {
		begin(f.torment(node(i), n.Process,
			torture{every: 20 * time.Second, down: 3 * time.Second, frozen: 4 * time.Second}))
	}
	now := map[string]chan struct{}{}
	for i, a := range f.agents {
		now[host(i)] = make(chan struct{})
		// Frozen for more than ten seconds a host is lost, if nobody has begun to lead meanwhile.
		begin(f.torment("agent of "+host(i), a,
			torture{every: 24 * time.Second, now: now[host(i)], down: 2 * time.Second, frozen: 20 * time.Second}))
	}
	begin(func(ctx context.Context, dice *rand.Rand) { aim(ctx, dice, w, now) })
	for range 2 {
		begin(f.weather)
	}
	begin(f.person)
	all.Wait()
}

// torture is how a program is treated.
type torture struct {
	every  time.Duration // twice the mean time between two faults
	now    chan struct{} // asks for a fault at once; nil: never
	down   time.Duration // most, after it was killed
	frozen time.Duration // most
}

// torment kills or freezes one program, again and again. At the end it runs.
func (f *fleet) torment(name string, p *rig.Process, o torture) func(context.Context, *rand.Rand) {
	return func(ctx context.Context, dice *rand.Rand) {
		for pauseUnless(ctx, upTo(dice, o.every), o.now) {
			if dice.IntN(2) == 0 {
				f.kill(ctx, name, p, upTo(dice, o.down))
			} else {
				f.freeze(ctx, name, p, upTo(dice, o.frozen))
			}
		}
	}
}

// aim asks for faults at the worst moment: while the agent does something to its host.
func aim(ctx context.Context, dice *rand.Rand, w *Witness, now map[string]chan struct{}) {
	for pause(ctx, upTo(dice, 8*time.Second)) {
		jobs := w.Running()
		for len(jobs) == 0 && pause(ctx, 20*time.Millisecond) {
			jobs = w.Running()
		}
		if len(jobs) == 0 {
			return
		}
		select {
		case now[jobs[dice.IntN(len(jobs))].Host] <- struct{}{}:
		default: // it has a fault already
		}
	}
}

func (f *fleet) kill(ctx context.Context, name string, p *rig.Process, down time.Duration) {
	if err := p.Kill(); err != nil {
		f.fault(p, err)
		return
	}
	f.tell("%s is killed, for %v", name, down.Round(time.Millisecond))
	pause(ctx, down)
	if err := p.Start(); err != nil {
		f.t.Errorf("start %s: %v", name, err)
	}
}

func (f *fleet) freeze(ctx context.Context, name string, p *rig.Process, d time.Duration) {
	if err := p.Freeze(); err != nil {
		f.fault(p, err)
		return
	}
	f.tell("%s is frozen, for %v", name, d.Round(time.Millisecond))
	pause(ctx, d)
	if err := p.Thaw(); err != nil {
		f.t.Error(err)
	}
}

// fault: a program that nobody killed must run.
func (f *fleet) fault(p *rig.Process, err error) {
	if why := p.Fault(); why != nil {
		err = why
	}
	f.t.Error(err)
}

// weather makes a service ill on some hosts at once: dead, hung, or failing.
func (f *fleet) weather(ctx context.Context, dice *rand.Rand) {
	for pause(ctx, upTo(dice, 8*time.Second)) {
		service, ill := services[dice.IntN(len(services))], faults[dice.IntN(len(faults))]
		many := []int{1, 1, 2, 3, 4, hosts}[dice.IntN(6)]
		for _, i := range dice.Perm(hosts)[:many] {
			p := Place{service, host(i)}
			f.tell("%v %s", p, ill.name)
			ill.inflict(ctx, f, p) // it may be dead already, or hung
		}
	}
}

var faults = []struct {
	name    string
	inflict func(context.Context, *fleet, Place)
}{
	{"dies", func(_ context.Context, f *fleet, p Place) { f.signal(p, "KILL") }},
	{"hangs", func(_ context.Context, f *fleet, p Place) { f.signal(p, "STOP") }},
	{"fails", func(ctx context.Context, f *fleet, p Place) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = f.patients[p].Fault(ctx, "errors?ratio=1")
	}},
}

// person does what somebody on call may do meanwhile: lets remedies go on that failed too often, closes a breaker,
// pauses a service for a moment. Often there is nothing of the kind, or no quorum: then nothing happens.
func (f *fleet) person(ctx context.Context, dice *rand.Rand) {
	for pause(ctx, upTo(dice, 10*time.Second)) {
		service, rule := services[dice.IntN(len(services))], rules[dice.IntN(len(rules))]
		orders := [][]string{
			{"resume", "service:" + service},
			{"breaker", "close", service, service + "-" + rule.name},
			{"pause", "service:" + service, "--for", "4s", "--wait", "0s", "--reason", "to look at it"},
		}
		order := orders[dice.IntN(len(orders))]
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		if _, err := f.salve.Run(within, order...); err == nil {
			f.tell("a person says salve %s", strings.Join(order, " "))
		}
		cancel()
	}
}

// signal reaches the main process of a unit, if it has one. For systemd that is no job.
func (f *fleet) signal(p Place, name string) {
	_, _ = f.manager.Systemctl("kill", "--kill-who=main", "--signal="+name, unitOf(p))
}

// upTo is a random time, shorter ones as likely as longer ones.
func upTo(dice *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(dice.Int64N(int64(most)))
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool { return pauseUnless(ctx, d, nil) }

// pauseUnless ends as soon as somebody asks for it.
func pauseUnless(ctx context.Context, d time.Duration, now <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-now:
		return true
	case <-ctx.Done():
		return false
	}
}
