package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

type testClock struct{ start time.Time }

func (c testClock) BootID() string { return "test" }

func (c testClock) Now() clock.Instant {
	return clock.Instant{Boot: time.Since(c.start), Wall: time.Now()}
}

// fakeService is an asker that the test controls.
type fakeService struct {
	mu     sync.Mutex
	asked  []time.Duration
	clock  clock.Clock
	takes  time.Duration
	err    error
	closed chan struct{}
}

func (f *fakeService) ask(bool) answer {
	f.mu.Lock()
	f.asked = append(f.asked, f.clock.Now().Boot)
	takes, err := f.takes, f.err
	f.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-f.closed:
		return answer{err: errors.New("closed")}
	}
	return answer{err: err, answered: err == nil, latency: takes, figure: 7}
}

func (f *fakeService) close() { close(f.closed) }

func (f *fakeService) set(takes time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes, f.err = takes, err
}

func (f *fakeService) times() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// bench is a scheduler with fake services, for use in a synctest bubble.
type bench struct {
	*Scheduler
	services map[string]*fakeService
	mu       sync.Mutex
	got      []observed
	batches  int
}

type observed struct {
	Signal string
	At     time.Duration
	Value  float64
	Known  bool
}

func newBench(t *testing.T) *bench {
	b := &bench{services: map[string]*fakeService{}}
	c := testClock{time.Now()}
	b.Scheduler = New(Options{Options: source.Options{Clock: c, Log: hclog.NewNullLogger(), Book: source.NewBook(),
		Deliver: b.deliver}})
	b.newAsker = func(target Target, _ ExecFunc) (asker, error) {
		f := &fakeService{clock: c, takes: 2 * ms, closed: make(chan struct{})}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.services[target.Service] = f
		return f, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		b.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return b
}

func (b *bench) deliver(batch *source.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches++
	for _, s := range batch.Samples {
		b.got = append(b.got, observed{s.Handle.Key.String(), s.At, s.Value, s.Known})
	}
	batch.Release()
}

func (b *bench) service(name string) *fakeService {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.services[name]
}

// of takes the samples of one signal that came since it was asked last.
func (b *bench) of(signal string) []observed {
	b.mu.Lock()
	defer b.mu.Unlock()
	var mine, rest []observed
	for _, o := range b.got {
		if o.Signal == signal {
			mine = append(mine, o)
		} else {
			rest = append(rest, o)
		}
	}
	b.got = rest
	return mine
}

func TestSchedulerDeliversSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.SetTargets([]Target{{Service: "shop", Name: "health", TCP: "x"}})
		time.Sleep(1900 * ms)
		first := b.service("shop").times()
		if len(first) != 2 || first[1]-first[0] != time.Second {
			t.Fatalf("asked at %v", first)
		}
		want := []observed{
			{"probe.health.ok{shop}", first[0] + 2*ms, 1, true}, {"probe.health.ok{shop}", first[1] + 2*ms, 1, true},
		}
		if diff := cmp.Diff(want, b.of("probe.health.ok{shop}")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got := b.of("probe.health.latency{shop}"); len(got) != 2 || got[0].Value != .002 {
			t.Errorf("latency %v", got)
		}
		if got := b.of("probe.health.status{shop}"); got != nil {
			t.Errorf("a TCP probe has a status: %v", got)
		}
	})
}

func TestHangAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.SetTargets([]Target{{Service: "shop", Name: "health", TCP: "x"}})
		time.Sleep(1900 * ms)
		shop := b.service("shop")
		shop.set(500*ms, errors.New("timed out"))
		b.of("probe.health.ok{shop}")
		hung := shop.times()[1] + time.Second
		time.Sleep(hung + 599*ms - b.opt.Clock.Now().Boot)
		if got := b.of("probe.health.ok{shop}"); got != nil {
			t.Fatalf("judged before all three missed: %v", got)
		}
		time.Sleep(2 * ms)
		want := []observed{{"probe.health.ok{shop}", hung + 600*ms, 0, true}}
		if diff := cmp.Diff(want, b.of("probe.health.ok{shop}")); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		if got := b.of("probe.health.latency{shop}"); got[len(got)-1].Known {
			t.Error("a probe without an answer has a latency")
		}

		shop.set(2*ms, nil)
		b.Kick("shop")
		b.Kick("another")
		kicked := b.opt.Clock.Now().Boot
		time.Sleep(10 * ms)
		want = []observed{{"probe.health.ok{shop}", kicked + 2*ms, 1, true}}
		if diff := cmp.Diff(want, b.of("probe.health.ok{shop}")); diff != "" {
			t.Errorf("after the kick -want +got:\n%s", diff)
		}
	})
}

// TestAfresh: questions that a service does not answer while an action runs say nothing of how it is after it.
func TestAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.SetTargets([]Target{{Service: "shop", Name: "health", TCP: "x"}, {Service: "site", Name: "cert", TLS: "x"}})
		time.Sleep(1900 * ms)
		shop := b.service("shop")
		shop.set(500*ms, errors.New("timed out"))
		hung := shop.times()[len(shop.times())-1] + time.Second
		time.Sleep(hung + 550*ms - b.opt.Clock.Now().Boot) // two of three have missed
		b.of("probe.health.ok{shop}")
		shop.set(2*ms, nil)
		b.Afresh("shop")
		b.Afresh("site")
		b.Afresh("another")
		at, asked, cert := b.opt.Clock.Now().Boot, len(shop.times()), len(b.service("site").times())
		time.Sleep(100 * ms)
		want := []observed{{"probe.health.ok{shop}", at + 2*ms, 1, true}}
		if diff := cmp.Diff(want, b.of("probe.health.ok{shop}")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got := len(shop.times()) - asked; got != 1 {
			t.Errorf("asked %d times, want once", got)
		}
		if got := len(b.service("site").times()) - cert; got != 0 {
			t.Errorf("the certificate was asked for %d times", got)
		}
	})
}

// What is asked together is delivered together: the receiver is woken a few times a second, however
// many probes there are.
func TestHundredProbesInFewBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var targets []Target
		for i := range 100 {
			targets = append(targets, Target{Service: fmt.Sprint("service-", i), Name: "health", TCP: "x"})
		}
		b.SetTargets(targets)
		time.Sleep(2 * time.Second)
		b.mu.Lock()
		before := b.batches
		b.mu.Unlock()
		time.Sleep(10 * time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if n := b.batches - before; n != 20 {
			t.Errorf("%d batches in ten seconds, want 20", n)
		}
		if n := len(b.got); n < 2*1000 {
			t.Errorf("%d samples", n)
		}
	})
}

func TestReloadKeepsWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stay, change := Target{Service: "stay", Name: "p", TCP: "x"}, Target{Service: "change", Name: "p", TCP: "x"}
		b.SetTargets([]Target{stay, change, {Service: "go", Name: "p", TCP: "x"}})
		time.Sleep(1500 * ms)
		kept, replaced, gone := b.service("stay"), b.service("change"), b.service("go")
		change.TCP = "y"
		b.SetTargets([]Target{change, stay})
		time.Sleep(10 * ms)
		if b.service("stay") != kept || b.service("change") == replaced {
			t.Error("the unchanged probe was replaced, or the changed one kept")
		}
		<-gone.closed
		<-replaced.closed
		if got := b.of("probe.p.ok{go}"); got[len(got)-1].Known {
			t.Error("a probe that was removed is still known")
		}
		if got := b.of("probe.p.ok{change}"); got != nil && !got[len(got)-1].Known {
			t.Error("a probe that was replaced became unknown")
		}
		var names []string
		for _, s := range b.Stats() {
			names = append(names, s.Name)
		}
		if diff := cmp.Diff([]string{"probe.p{change}", "probe.p{stay}"}, names); diff != "" {
			t.Error(diff)
		}
	})
}

// A probe that cannot be asked is left out, the others go on.
func TestBadTargetIsLeftOut(t *testing.T) {
	s := New(Options{Options: source.Options{Clock: testClock{time.Now()}, Log: hclog.NewNullLogger(), Book: source.NewBook()}})
	s.SetTargets([]Target{{Service: "a", Name: "p", HTTP: "gopher://x"}, {Service: "b", Name: "p", TCP: "127.0.0.1:1"}})
	s.take(0)
	if len(s.queue) != 1 || s.queue[0].target.Service != "b" {
		t.Errorf("%d probes", len(s.queue))
	}
}

// What a kind of probe has beside ok and latency is told under its name, and a kick asks no certificates.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.SetTargets([]Target{
			{Service: "shop", Name: "cert", TLS: "x", Every: time.Minute},
			{Service: "site", Name: "name", DNS: "x", Every: time.Minute},
		})
		time.Sleep(time.Second + 10*ms)
		for _, signal := range []string{"probe.cert.expires{shop}", "probe.name.status{site}"} {
			if got := b.of(signal); len(got) != 1 || got[0].Value != 7 || !got[0].Known {
				t.Errorf("%s: %+v", signal, got)
			}
		}
		for _, signal := range []string{"probe.cert.status{shop}", "probe.name.expires{site}"} {
			if got := b.of(signal); got != nil {
				t.Errorf("%s: %+v", signal, got)
			}
		}
		b.Kick("shop")
		b.Kick("site")
		time.Sleep(10 * ms)
		if shop, site := b.service("shop").times(), b.service("site").times(); len(shop) != 1 || len(site) != 2 {
			t.Errorf("after a kick asked at %v and %v", shop, site)
		}
		b.SetTargets(nil)
		time.Sleep(10 * ms)
		if got := b.of("probe.cert.expires{shop}"); len(got) == 0 || got[len(got)-1].Known {
			t.Errorf("a probe that was removed: %+v", got)
		}
	})
}
