package main

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/defaults"
)

// SourcesResult is everything that a run about sources measured.
type SourcesResult struct {
	Machine  rig.Machine
	Options  SourcesOptions
	Rest     []Rest
	Recorded Recorded
	Pages    []contender
	Probes   []contender
	Floods   []Flood
	Kept     []Kept
	Go       []GoBench
}

// Rest is what a tool costs at rest.
type Rest struct {
	Tool string
	Usage
}

// Markdown is the report: the agent at rest, then each source, then what is kept.
func (r *SourcesResult) Markdown() string {
	var b strings.Builder
	o := r.Options
	fmt.Fprint(&b, r.Machine.Headline())
	fmt.Fprintf(&b, "Command: `%s` (%d tries of %v, %v at rest).\n\n", o.Command, o.Tries, o.Watch, o.Rest)
	r.restTable(&b)
	fmt.Fprintf(&b, "### A page of %d series\n\nAsked for every %v, made by client_golang. Salve makes the golden signals "+
		"of 17 of its 20 lines; Prometheus keeps all.\n\n", bigSeries, bigEvery)
	contestTable(&b, "page", namePrometheus, r.Pages)
	fmt.Fprintf(&b, "### %d HTTP probes a second\n\n", probesSecond)
	contestTable(&b, "probe", nameMonit, r.Probes)
	r.floodTable(&b)
	r.keptTable(&b)
	goTable(&b, r.Go)
	return b.String()
}

func (r *SourcesResult) restTable(b *strings.Builder) {
	fmt.Fprintf(b, "### At rest with %d services\n\nEach with an HTTP probe and its unit's figures every second, as in the "+
		"table above. %d scrapes: pages of %d series every %v, half of the default of %v, with three metrics and a rule "+
		"each. Recording: every signal, every second.\n\n",
		r.Options.Services, scrapes, scrapeSeries, scrapeEvery, defaults.ScrapeEvery)
	b.WriteString("| tool | CPU s/min | RSS MiB | PSS MiB |\n|---|---|---|---|\n")
	for _, u := range r.Rest {
		fmt.Fprintf(b, "| %s | %.2f | %.1f | %.1f |\n", u.Tool, u.CPU, mib(u.Memory.RSS), mib(u.Memory.PSS))
	}
	b.WriteString("\n")
	if n := r.Recorded; n.Samples > 0 {
		fmt.Fprintf(b, "The recording took %.2f bytes a sample: %d samples in %d bytes.\n\n",
			float64(n.Bytes)/float64(n.Samples), n.Samples, n.Bytes)
	}
	budgetTable(b, r.budgets())
}

// budgets are those of the agent that reads pages beside all else.
func (r *SourcesResult) budgets() []budget {
	own, peer := r.rest(nameScraping), r.rest(nameMonit)
	if own == nil || peer == nil {
		return nil
	}
	n := r.Options.Services
	all := []budget{cpuBudget(n, own.Usage, peer.Usage)}
	if n == 100 {
		all = append(all, memoryBudget(n, own.Usage))
	}
	for i := range all {
		all[i].what = fmt.Sprintf("%d scrapes: %s", scrapes, all[i].what)
	}
	return all
}

func (r *SourcesResult) rest(tool string) *Rest {
	for i := range r.Rest {
		if r.Rest[i].Tool == tool {
			return &r.Rest[i]
		}
	}
	return nil
}

// contestTable has a line for each contender, held against the peer.
func contestTable(b *strings.Builder, what, peer string, all []contender) {
	fmt.Fprintf(b, "| who | %[1]ss/s | CPU a %[1]s, median / worst | × that of %[2]s | of a core | RSS MiB |\n"+
		"|---|---|---|---|---|---|\n", what, peer)
	var other Try
	for _, c := range all {
		if c.Name == peer {
			other = c.median()
		}
	}
	for _, c := range all {
		m := c.median()
		fmt.Fprintf(b, "| %s | %.0f | %s | %.2f | %.1f %% | %.1f |\n", c.Name, m.Rate(), c.spread(),
			float64(m.Each())/float64(other.Each()), 100*m.Cores(), mib(m.RSS))
	}
	b.WriteString("\n")
}

// spread is "median / worst".
func (c contender) spread() string {
	return rounded(float64(c.median().Each())) + " / " + rounded(float64(c.worst().Each()))
}

func (r *SourcesResult) floodTable(b *strings.Builder) {
	fmt.Fprint(b, `### StatsD over UDP

Two metrics are made of every line. Lost is what the kernel dropped, of all tries. Debian has no server of StatsD to hold
it against.

| lines a packet | taken/s | lost | CPU a packet, median / worst | packets a second of one core | lines | RSS MiB |
|---|---|---|---|---|---|---|
`)
	for _, f := range r.Floods {
		m := f.median()
		core := m.Rate() / m.Cores()
		fmt.Fprintf(b, "| %d | %.0f | %s | %s | %.0f | %.0f | %.1f |\n", f.Lines, m.Rate(), f.loss(), f.spread(), core,
			core*float64(f.Lines), mib(m.RSS))
	}
	b.WriteString("\n")
}

// loss is "0", or how many packets in a thousand.
func (f Flood) loss() string {
	if f.Lost == 0 {
		return "0"
	}
	sent := int64(f.Lost)
	for _, t := range f.Tries {
		sent += t.Count
	}
	return fmt.Sprintf("%.1f ‰", 1e3*float64(f.Lost)/float64(sent))
}

func (r *SourcesResult) keptTable(b *strings.Builder) {
	if len(r.Kept) == 0 {
		return
	}
	fmt.Fprintf(b, "### %d series\n\nMemory of an agent with ten services. A signal is kept with what rules look back at; "+
		"these, which no rule reads, with the last eight samples. What `anomaly` and the recorder cost stands below.\n\n"+
		"| what is kept | RSS MiB | bytes each |\n|---|---|---|\n", keptSeries)
	for _, k := range r.Kept {
		each := "–"
		if k.Count > 0 {
			each = fmt.Sprint((k.Memory.RSS - r.Kept[0].Memory.RSS) / int64(k.Count))
			k.What = fmt.Sprintf("%d %s", k.Count, k.What)
		}
		fmt.Fprintf(b, "| %s | %.1f | %s |\n", k.What, mib(k.Memory.RSS), each)
	}
	b.WriteString("\n")
}
