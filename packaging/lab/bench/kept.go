package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/salveops/salve/packaging/lab/rig"
)

// keptSeries is how many series an agent keeps when its memory is looked at, on scrapes pages.
const keptSeries = 10_000

// Kept is the memory of an agent that keeps something.
type Kept struct {
	What   string
	Count  int // of what is kept; 0: only what every agent keeps
	Memory rig.Memory
}

// series looks at the memory of agents that read no page, that make a few signals of all lines of their pages, and that
// make a signal of each.
func (s *Sources) series(ctx context.Context) error {
	golden := func(url string) string { return goldenScrape(url, scrapeEvery) }
	for _, k := range []struct {
		Kept
		page   func(series int) *page
		scrape func(url string) string
	}{
		{Kept{What: "nothing of pages"}, newPage, func(string) string { return "" }},
		{Kept{What: "lines of pages, 17 of 20 of which make 30 signals", Count: keptSeries}, newPage, golden},
		{Kept{What: "signals, each made of a line", Count: keptSeries}, newDepths, gaugeScrape},
	} {
		if err := s.keep(ctx, &k.Kept, k.page, k.scrape); err != nil {
			return fmt.Errorf("%s: %w", k.What, err)
		}
		s.logf("%s: %.1f MiB", k.What, mib(k.Memory.RSS))
		s.result.Kept = append(s.result.Kept, k.Kept)
	}
	return nil
}

// keep starts an agent that reads pages, and looks at its memory when it has read each of them a few times.
func (s *Sources) keep(ctx context.Context, k *Kept, show func(int) *page, scrape func(string) string) error {
	pages := make([]*page, scrapes)
	for i := range pages {
		pages[i] = show(keptSeries / scrapes)
	}
	shelf, err := newShelf(pages...)
	if err != nil {
		return err
	}
	defer shelf.close()
	w := world{units: lonely}
	for i, url := range shelf.urls() {
		w.rules += service(fmt.Sprintf("app-%d", i), scrape(url))
	}
	return s.within(func(dir string) error {
		agent, err := w.start(ctx, s.opts.Agent, s.manager.Address, dir)
		if err != nil {
			return err
		}
		defer agent.Stop()
		wait(ctx, settle)
		if k.Count > 0 {
			if err := await(ctx, shelf.shown, 3*scrapes); err != nil {
				return err
			}
		}
		k.Memory, err = rig.MemoryOf(agent.PID())
		return err
	})
}

// gaugeScrape makes a signal of each gauge of a page of newDepths.
func gaugeScrape(url string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  scrape \"app\" {\n    url   = %q\n    every = %q\n", url, scrapeEvery.String())
	for n := range keptSeries / scrapes {
		fmt.Fprintf(&b, "    metric \"depth_%[1]d\" { value = \"queue_depth{queue='%[1]d'}\" }\n", n)
	}
	b.WriteString("  }\n")
	return b.String()
}
