//go:build lab

package scenario

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// weather makes shops ill all the time, two at once at most: which, how and when is by the seed.
type weather struct {
	f      *fleet
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu    sync.Mutex
	falls map[*booted.Host]int // to be read after the end
}

// ailment is a way for the shop on a host to become ill.
type ailment struct {
	name   string
	strike func(context.Context, *fleet, *booted.Host) error
}

var (
	crashes = ailment{"crashes", func(ctx context.Context, _ *fleet, h *booted.Host) error {
		_, err := h.Exec(ctx, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", shop)
		return err
	}}
	hangs = ailment{"hangs", func(ctx context.Context, f *fleet, h *booted.Host) error {
		return f.shops[h].Fault(ctx, "hang")
	}}
	fails = ailment{"fails", func(ctx context.Context, f *fleet, h *booted.Host) error {
		return f.shops[h].Fault(ctx, "errors?ratio=1")
	}}
)

// startWeather begins, and goes on until its end.
func (f *fleet) startWeather() *weather {
	ctx, cancel := context.WithCancel(f.ctx())
	w := &weather{f: f, cancel: cancel, falls: map[*booted.Host]int{}}
	f.t.Cleanup(w.end)
	for i := range 2 {
		dice := rand.New(rand.NewPCG(seed, uint64(i))) // one each, so that no order of the two changes what falls
		w.ended.Go(func() { w.blow(ctx, dice, f.web[2*i:2*i+2]) })
	}
	return w
}

// end lets what is ill become well, and nothing more befall.
func (w *weather) end() {
	w.cancel()
	w.ended.Wait()
}

// blow makes one of some hosts ill at a time, and the next after that is over.
func (w *weather) blow(ctx context.Context, dice *rand.Rand, hosts []*booted.Host) {
	for {
		select {
		case <-time.After(time.Duration(dice.Int64N(int64(2 * time.Second)))):
		case <-ctx.Done():
			return
		}
		if !w.befall(hosts[dice.IntN(len(hosts))], []ailment{crashes, hangs, fails}[dice.IntN(3)]) {
			return
		}
	}
}

// befall makes a shop ill and reports whether it was healed, and its story ended.
func (w *weather) befall(h *booted.Host, a ailment) bool {
	last := ""
	if missing := await(upTime, func() (missing string) { last, missing = w.f.lastEnded(h); return missing }); missing != "" {
		w.f.t.Errorf("before the shop on %s %s: %s", h.Name, a.name, missing)
		return false
	}
	w.f.tell("the shop on %s %s", h.Name, a.name)
	ctx, cancel := context.WithTimeout(w.f.ctx(), 5*time.Second)
	defer cancel()
	if err := a.strike(ctx, w.f, h); err != nil {
		w.f.t.Errorf("the shop on %s %s: %v", h.Name, a.name, err)
		return false
	}
	w.mu.Lock()
	w.falls[h]++
	w.mu.Unlock()
	missing := await(2*upTime, func() string {
		id, missing := w.f.lastEnded(h)
		switch {
		case missing != "":
			return missing
		case id == last:
			return "there is no incident"
		}
		return w.f.ill(h)
	})
	if missing != "" {
		w.f.t.Errorf("the shop on %s %s, and is not healed: %s", h.Name, a.name, missing)
	}
	return missing == ""
}

// lastEnded is the newest incident in the journal of a host. While it has not ended, missing says so.
func (f *fleet) lastEnded(h *booted.Host) (id, missing string) {
	incidents, err := f.local(h)
	switch {
	case err != nil:
		return "", err.Error()
	case len(incidents) == 0:
		return "", ""
	case incidents[0].GetEnded() == nil:
		return "", "its incident has not ended"
	}
	return incidents[0].GetId(), ""
}
