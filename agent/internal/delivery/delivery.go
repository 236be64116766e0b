// Package delivery brings bundles of rules from the controller to this host: what standing orders name is fetched,
// checked as the host's own files are, kept on the disk, and only then holds.
//
//	orders ─► fetch ─► digest ─► load beside the host's files ─► disk ─► swap ─► report
//
// Whatever goes wrong on the way, what held before goes on holding, and the controller hears why. A controller that is out
// of reach changes nothing: the bundles on the disk hold, also after a restart.
package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of what is done and said.
const (
	retryAfter = 30 * time.Second // when something is missing that may come
	fetchTime  = 30 * time.Second
	mostNames  = 32   // of rules, in a report
	mostError  = 1000 // bytes
)

// Offer is one bundle in the versions that would do, the preferred one first.
type Offer []*config.Bundle

// Outcome is what became of offers.
type Outcome struct {
	Held      []*config.Bundle    // of each offer the first that loads
	Delivered []*config.Delivered // what they are on this host, in the same order
	Refused   map[string]string   // by name: why the first of an offer does not load
}

// Options of New. All are required, but for Log.
type Options struct {
	Data string // state folder
	// Fetch gets the files of an order from the controller.
	Fetch func(ctx context.Context, o *agentpb.BundleOrder) ([]*logpb.BundleFile, error)
	// Hold loads the offers beside the host's files, calls keep with what came of it, and has that hold if keep went
	// well. With an error nothing holds that did not before. No two calls, and none of Offers and Loaded, run side by side.
	Hold func(ctx context.Context, offers []Offer, keep func(Outcome) error) error
	// Report tells the controller; it must not wait.
	Report func([]*logpb.HostBundle)
	Log    hclog.Logger // nil: silent
}

// Delivery is what this host has of bundles. Its methods may be called from any goroutine.
type Delivery struct {
	o    Options
	log  hclog.Logger
	wake chan struct{}

	mu       sync.Mutex
	known    bool // somebody has said what is to run
	orders   []*agentpb.BundleOrder
	kept     []*config.Bundle         // on the disk
	trials   map[*config.Bundle]trial // of kept
	deadly   []cached                 // on the disk as well, for the next process: what agents died of
	outcome  Outcome
	refused  map[string]refusal // by name: what was fetched and does not load
	failed   map[string]string  // by name: why what is wanted could not be had
	reported bool               // the controller has heard, or may have, that there are some
}

// refusal is of one content. It is not fetched again before the host's files change.
type refusal struct {
	digest string
	why    string
}

// New takes up what an earlier process kept. What it was told to run comes with Order.
func New(o Options) *Delivery {
	d := &Delivery{o: o, log: o.Log, wake: make(chan struct{}, 1), failed: map[string]string{}}
	if d.log == nil {
		d.log = hclog.NewNullLogger()
	}
	all, err := read(d.path())
	if err != nil {
		d.log.Error("bundles of rules on the disk are damaged, and do not hold until the controller gives them anew", "error", err)
	}
	d.try(all)
	d.reported = len(all) > 0
	return d
}

func (d *Delivery) path() string { return filepath.Join(d.o.Data, FileName) }

// Offers are the bundles that hold, or would if the host's files let them.
func (d *Delivery) Offers() []Offer {
	d.mu.Lock()
	defer d.mu.Unlock()
	offers := make([]Offer, len(d.kept))
	for i, b := range d.kept {
		offers[i] = Offer{b}
	}
	return offers
}

// Order says which bundles this host has to run: these and no others.
func (d *Delivery) Order(orders []*agentpb.BundleOrder) {
	seen := map[string]bool{}
	orders = slices.DeleteFunc(slices.Clone(orders), func(o *agentpb.BundleOrder) bool {
		twice := seen[o.GetName()]
		seen[o.GetName()] = true
		return twice || bundle.CheckName(o.GetName()) != nil
	})
	d.mu.Lock()
	d.known, d.orders = true, orders[:min(len(orders), bundle.MaxBundles)]
	d.deadly = slices.DeleteFunc(d.deadly, func(c cached) bool {
		return !slices.ContainsFunc(d.orders, func(o *agentpb.BundleOrder) bool { return o.GetName() == c.Name && is(c.Bundle, o) })
	})
	d.mu.Unlock()
	d.Look()
}

// Look has Run look at once whether there is something to do: the line is up again.
func (d *Delivery) Look() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Loaded says what became of Offers when the host's files were read. What they kept out before may be let in now.
func (d *Delivery) Loaded(o Outcome) {
	d.mu.Lock()
	d.outcome, d.refused = o, d.refusals()
	d.mu.Unlock()
	for name, why := range o.Refused {
		d.log.Error("bundle of rules does not load beside the host's files any more", "bundle", name, "error", why)
	}
	d.Look()
}

// Run does what orders say, until ctx ends.
func (d *Delivery) Run(ctx context.Context) error {
	var through <-chan time.Time // a trial
	for began := []*config.Bundle(nil); ; {
		var again <-chan time.Time
		if !d.step(ctx) {
			again = time.After(retryAfter)
		}
		if on := d.onTrial(); !slices.Equal(on, began) {
			through, began = time.After(trialTime), on
		}
		select {
		case <-ctx.Done():
			d.end(false)
			return nil
		case <-d.wake:
		case <-again:
		case <-through:
			d.end(true)
		}
	}
}

// step does what can be done now. It reports whether nothing is left for later.
func (d *Delivery) step(ctx context.Context) bool {
	d.mu.Lock()
	known, orders, kept := d.known, d.orders, d.kept
	d.mu.Unlock()
	if !known {
		return true
	}
	var offers []Offer
	failed := map[string]string{}
	changed := slices.ContainsFunc(kept, func(b *config.Bundle) bool { return !ordered(orders, b.Name) })
	for _, o := range orders {
		offer, err := d.offer(ctx, o, find(kept, o.GetName()))
		if err != nil {
			failed[o.GetName()] = err.Error()
		}
		if len(offer) > 0 {
			offers = append(offers, offer)
			changed = changed || !slices.Contains(kept, offer[0])
		}
	}
	if changed && ctx.Err() == nil {
		if err := d.hold(ctx, orders, offers); err != nil {
			for _, o := range orders {
				if b := find(kept, o.GetName()); b == nil || !is(b, o) {
					failed[o.GetName()] = err.Error()
				}
			}
		}
	}
	d.mu.Lock()
	for name, why := range failed {
		if d.failed[name] != why && ctx.Err() == nil {
			d.log.Warn("bundle of rules is not as the controller wants it", "bundle", name, "error", why)
		}
	}
	d.failed = failed
	d.mu.Unlock()
	d.report()
	return len(failed) == 0
}

// offer is what would do for an order: what was kept before is better than nothing.
func (d *Delivery) offer(ctx context.Context, o *agentpb.BundleOrder, former *config.Bundle) (Offer, error) {
	var offer Offer
	if former != nil {
		offer = Offer{former}
	}
	d.mu.Lock()
	no := d.refused[o.GetName()]
	d.mu.Unlock()
	if former != nil && is(former, o) || no.digest == string(o.GetDigest()) {
		return offer, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	list, err := d.o.Fetch(ctx, o)
	if err != nil {
		return offer, fmt.Errorf("fetch: %w", err)
	}
	files, err := verified(list, o)
	if err != nil {
		return offer, err
	}
	return append(Offer{{Name: o.GetName(), Files: files}}, offer...), nil
}

// hold has offers hold.
func (d *Delivery) hold(ctx context.Context, orders []*agentpb.BundleOrder, offers []Offer) error {
	d.mu.Lock()
	kept, before, trials := d.kept, d.outcome, d.trials
	d.mu.Unlock()
	written := false
	err := d.o.Hold(ctx, offers, func(o Outcome) error {
		d.refuse(orders, o)
		if slices.Equal(o.Held, kept) {
			return errSame
		}
		err := d.become(o.Held, d.trialsOf(o.Held), o)
		written = err == nil
		return err
	})
	switch {
	case errors.Is(err, errSame):
		return nil
	case err != nil && written:
		return errors.Join(err, d.become(kept, trials, before))
	case err != nil:
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.outcome.Delivered {
		d.log.Info("bundle of rules holds", "bundle", b.Name, "digest", fmt.Sprintf("%.6x", b.Digest), "rules", len(b.Rules),
			"shadowed", len(b.Shadowed), "absent", len(b.Absent))
	}
	return nil
}

// errSame says that nothing else than before would hold.
var errSame = errors.New("nothing changes")

// refuse remembers what was fetched and does not load.
func (d *Delivery) refuse(orders []*agentpb.BundleOrder, outcome Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range orders {
		if why := outcome.Refused[o.GetName()]; why != "" {
			d.refused[o.GetName()] = refusal{string(o.GetDigest()), why}
			d.log.Error("bundle of rules refused", "bundle", o.GetName(), "version", o.GetVersion(), "error", why)
		}
	}
}

// become has bundles hold, once they are on the disk.
func (d *Delivery) become(kept []*config.Bundle, trials map[*config.Bundle]trial, o Outcome) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(kept, trials); err != nil {
		return fmt.Errorf("keep bundles on the disk: %w", err)
	}
	d.kept, d.trials, d.outcome = kept, trials, o
	return nil
}

// State is what this host says of its bundles, those that it has to run and has not among them.
func (d *Delivery) State() []*logpb.HostBundle {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*logpb.HostBundle
	for _, o := range d.orders {
		hb := &logpb.HostBundle{Name: o.GetName(), Wanted: o.GetDigest(), Error: d.failed[o.GetName()]}
		for _, b := range d.outcome.Delivered {
			if b.Name == o.GetName() {
				hb.Running, hb.Shadowed, hb.Absent = bytes.Clone(b.Digest[:]), few(b.Shadowed), few(b.Absent)
			}
		}
		if no := d.refused[o.GetName()]; no.digest == string(o.GetDigest()) {
			hb.Refused, hb.Error = true, no.why
		} else if why := d.outcome.Refused[o.GetName()]; why != "" && hb.Error == "" && len(hb.Running) == 0 {
			hb.Refused, hb.Error = true, why
		}
		hb.Error = strings.ToValidUTF8(hb.Error[:min(len(hb.Error), mostError)], "")
		out = append(out, hb)
	}
	return out
}

func few(list []string) []string { return list[:min(len(list), mostNames)] }

// report tells the controller, which has never to hear of bundles if it has none.
func (d *Delivery) report() {
	state := d.State()
	d.mu.Lock()
	d.reported = d.reported || len(state) > 0
	tell := d.reported
	d.mu.Unlock()
	if tell {
		d.o.Report(state)
	}
}

// is reports whether a bundle is what an order names.
func is(b *config.Bundle, o *agentpb.BundleOrder) bool {
	sum := bundle.Sum(b.Files)
	return bytes.Equal(sum[:], o.GetDigest())
}

func ordered(orders []*agentpb.BundleOrder, name string) bool {
	return slices.ContainsFunc(orders, func(o *agentpb.BundleOrder) bool { return o.GetName() == name })
}

func find(list []*config.Bundle, name string) *config.Bundle {
	for _, b := range list {
		if b.Name == name {
			return b
		}
	}
	return nil
}
