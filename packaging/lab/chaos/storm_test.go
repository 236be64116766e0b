package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// storm breaks everything at random for d, and puts together again what it broke itself: programs that it killed run,
// and those that it froze go on. What it did to the services stays.
func (f *fleet) storm(ctx context.Context, d time.Duration, seed uint64) {
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
			torture{every: 9 * time.Second, down: 3 * time.Second, frozen: 4 * time.Second}))
	}
	for i, a := range f.agents {
		// Frozen for more than ten seconds, a host is lost.
		begin(f.torment("agent of "+host(i), a,
			torture{every: 12 * time.Second, down: 2 * time.Second, frozen: 14 * time.Second}))
	}
	for range 2 {
		begin(f.weather)
	}
	all.Wait()
}

// torture is how a program is treated.
type torture struct {
	every  time.Duration // twice the mean time between two faults
	down   time.Duration // most, after it was killed
	frozen time.Duration // most
}

// torment kills or freezes one program, again and again. At the end it runs.
func (f *fleet) torment(name string, p *rig.Process, o torture) func(context.Context, *rand.Rand) {
	return func(ctx context.Context, dice *rand.Rand) {
		for pause(ctx, upTo(dice, o.every)) {
			if dice.IntN(2) == 0 {
				f.kill(ctx, name, p, upTo(dice, o.down))
			} else {
				f.freeze(ctx, name, p, upTo(dice, o.frozen))
			}
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

// signal reaches the main process of a unit, if it has one. For systemd that is no job.
func (f *fleet) signal(p Place, name string) {
	_, _ = f.manager.Systemctl("kill", "--kill-who=main", "--signal="+name, unitOf(p))
}

// upTo is a random time, shorter ones as likely as longer ones.
func upTo(dice *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(dice.Int64N(int64(most)))
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
