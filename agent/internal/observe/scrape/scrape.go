// Package scrape reads pages of metrics over HTTP, and tells the figures that the metric blocks of
// services make of them. Each page has a goroutine and a connection of its own.
package scrape

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// Target is one page of one service. Only Except may be missing.
type Target struct {
	Service   string
	Unit      string   // unit name or glob of the service
	Except    []string // units and globs that Unit does not mean
	Name      string
	URL       string
	Exemplars bool // the page is asked for as OpenMetrics, and exemplars are kept
	Native    bool // it is asked for as protocol buffers, and quantiles are of native histograms where it has some
	Every     time.Duration
	Timeout   time.Duration // of the whole page; not longer than Every
	Metrics   []source.Metric
}

func (t Target) equal(o Target) bool {
	return t.Service == o.Service && t.Unit == o.Unit && slices.Equal(t.Except, o.Except) && t.Name == o.Name &&
		t.URL == o.URL && t.Exemplars == o.Exemplars && t.Native == o.Native && t.Every == o.Every && t.Timeout == o.Timeout &&
		slices.EqualFunc(t.Metrics, o.Metrics, source.Metric.Equal)
}

// Watcher reads all pages.
type Watcher = source.Group[Target]

// New makes a watcher without pages.
func New(o source.Options) *Watcher {
	return source.NewGroup(func(t Target) source.Member[Target] { return newScraper(o, t) })
}

// scraper is one target with its page and the figures of it.
type scraper struct {
	opt     source.Options
	target  Target
	page    *page
	meter   source.Meter
	handles []*source.Handle // of the metrics
}

func newScraper(o source.Options, t Target) *scraper {
	s := &scraper{opt: o, target: t, page: newPage(t), handles: o.Book.Metrics(t.Metrics, t.Service)}
	s.meter.Name = "scrape." + t.Name + "{" + t.Service + "}"
	return s
}

// Watches implements source.Member.
func (s *scraper) Watches(t Target) bool { return s.target.equal(t) }

// Stats implements source.Member.
func (s *scraper) Stats() source.Stats { return s.meter.Stats() }

// Run reads the page at each moment of its schedule.
func (s *scraper) Run(ctx context.Context) {
	defer s.page.close()
	s.opt.Each(ctx, s.target.Service+"\x00"+s.target.Name, s.target.Every, s.once)
	s.opt.Unknown(s.handles)
}

// once reads the page once and delivers the figures. They are of the moment before the page was asked
// for: nothing on it is older.
func (s *scraper) once(ctx context.Context) {
	start, at := time.Now(), s.opt.Clock.Now()
	within, cancel := context.WithTimeout(ctx, s.target.Timeout)
	defer cancel()
	failure := s.page.read(within, at)
	if ctx.Err() != nil {
		return
	}
	err := failure
	if err == nil {
		err = s.fault()
	}
	if s.meter.Record(s.opt.Clock.Now().Boot, time.Since(start), err) {
		s.tell(err)
	}
	if failure != nil {
		s.opt.Unknown(s.handles)
		return
	}
	b := s.opt.Book.Batch()
	for i, h := range s.handles {
		b.Figure(h, at.Boot, s.page.figure(i))
	}
	s.opt.Deliver(b)
}

// fault is why a figure cannot be made of the page though it was read; the first of them.
func (s *scraper) fault() error {
	for i, m := range s.target.Metrics {
		f := s.page.figure(i)
		switch {
		case f.Fault != nil && s.page.old > 0:
			return fmt.Errorf("metric %s: %w; %d samples are more than %s old", m.Name, f.Fault, s.page.old, late)
		case f.Fault != nil:
			return fmt.Errorf("metric %s: %w", m.Name, f.Fault)
		}
	}
	return nil
}

func (s *scraper) tell(err error) {
	if err != nil {
		s.opt.Log.Warn("metrics cannot be read", "service", s.target.Service, "scrape", s.target.Name, "error", err)
		return
	}
	s.opt.Log.Info("metrics can be read again", "service", s.target.Service, "scrape", s.target.Name)
}
