//go:build lab

package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/packaging/lab/rig"
)

// watcher looks at the shops' sockets, many times a second, and asks no part of Salve.
type watcher struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu    sync.Mutex
	shops map[string][]sight // by host
}

// sight is how a shop was from a moment on.
type sight struct {
	at     time.Time
	serves bool // somebody answers at its socket
}

const lookEvery = 30 * time.Millisecond

// startWatching watches the shops of all hosts until the fleet is closed.
func (f *fleet) startWatching() {
	ctx, cancel := context.WithCancel(context.Background())
	f.watch = &watcher{cancel: cancel, shops: map[string][]sight{}}
	for _, h := range f.web {
		f.watch.ended.Go(func() { f.watch.look(ctx, h, f.shops[h]) })
	}
	f.audit = f.startAudit()
}

func (w *watcher) close() {
	w.cancel()
	w.ended.Wait()
}

func (w *watcher) look(ctx context.Context, h *booted.Host, p *rig.Patient) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		began := time.Now()
		one, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := p.Get(one, "/healthz")
		cancel()
		switch {
		case err == nil:
			w.saw(h.Name, sight{began, true})
		case errors.Is(err, syscall.ECONNREFUSED):
			w.saw(h.Name, sight{began, false})
		default: // it is slow, as everything is on a machine that stalls: nothing can be told
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) saw(host string, s sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.shops[host]
	if len(known) == 0 || known[len(known)-1].serves != s.serves {
		w.shops[host] = append(known, s)
	}
}

// outage is a time in which nobody was at a shop's socket.
type outage struct {
	host        string
	from, until time.Time
}

func (o outage) String() string {
	return fmt.Sprintf("%s for %v from %s", o.host, o.until.Sub(o.from).Round(time.Millisecond), o.from.Format("15:04:05.000"))
}

// outages are all since a moment, in order; one that lasts ends now.
func (w *watcher) outages(since time.Time) []outage {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []outage
	for host, sights := range w.shops {
		for i, s := range sights {
			until := time.Now()
			if i+1 < len(sights) {
				until = sights[i+1].at
			}
			if !s.serves && until.After(since) {
				out = append(out, outage{host, s.at, until})
			}
		}
	}
	slices.SortFunc(out, func(a, b outage) int { return a.from.Compare(b.from) })
	return out
}

// outagesOf counts those of one host.
func (w *watcher) outagesOf(h *booted.Host, since time.Time) int {
	n := 0
	for _, o := range w.outages(since) {
		if o.host == h.Name {
			n++
		}
	}
	return n
}

// together are pairs of outages on different hosts that overlap.
func together(outages []outage) []string {
	var out []string
	for i, a := range outages {
		for _, b := range outages[:i] {
			if a.host != b.host && a.from.Before(b.until) && b.from.Before(a.until) {
				out = append(out, fmt.Sprintf("%v, and %v", b, a))
			}
		}
	}
	return out
}

// neverTwoOut: since a moment no two shops were out at once; want is how many outages there must have been, so that
// something was put to the test.
func (f *fleet) neverTwoOut(since time.Time, want int) {
	f.t.Helper()
	outages := f.watch.outages(since)
	for _, both := range together(outages) {
		f.t.Errorf("two out at once: %s", both)
	}
	if len(outages) < want {
		var all []string
		for _, o := range outages {
			all = append(all, o.String())
		}
		f.t.Errorf("%d outages were seen, want %d at least: %s", len(outages), want, strings.Join(all, "; "))
	}
}
