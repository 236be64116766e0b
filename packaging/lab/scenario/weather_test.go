//go:build lab

package scenario

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/pkg/defaults"
)

// weather makes shops ill all the time, two at once at most: which, how and when is by the seed. It is bounded, because
// a remedy that helps again and again is no remedy, and Salve then calls a person.
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

// startWeather begins, and goes on until end or until there is nothing left that may befall a shop.
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
	deck := deal(dice, hosts)
	for _, card := range deck {
		select {
		case <-time.After(time.Duration(dice.Int64N(int64(4 * time.Second)))):
		case <-ctx.Done():
			return
		}
		if !w.befall(card.host, card.ailment) {
			return
		}
	}
}

type card struct {
	host    *booted.Host
	ailment ailment
}

// deal is all that may befall some hosts: each remedy may help so often before it counts as none.
func deal(dice *rand.Rand, hosts []*booted.Host) []card {
	var deck []card
	for _, h := range hosts {
		for range defaults.RecurringCount {
			deck = append(deck, card{h, crashes}, card{h, []ailment{hangs, fails}[dice.IntN(2)]})
		}
	}
	dice.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
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

// freshRemedies gives the remedies of all shops new names, under which none of them has helped too often yet.
func (f *fleet) freshRemedies(name string) {
	f.t.Helper()
	rules := strings.ReplaceAll(shopRules, `start-it"`, `start-`+name+`"`)
	f.each(f.web, func(ctx context.Context, h *booted.Host) error {
		if err := h.Write("/etc/salve/rules.d/shop.hcl", rules, 0o644); err != nil {
			return err
		}
		_, err := h.Exec(ctx, "systemctl", "restart", "salve-agent")
		return err
	})
}
