package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/exposition"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
)

// The agent takes every configuration of the run, and reads what it is meant to.
func TestSourcesConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want func(*config.Service) bool
	}{
		"golden": {goldenScrape("http://127.0.0.1:1/metrics", bigEvery), func(s *config.Service) bool {
			return s.Scrapes[0].Every == bigEvery && s.Scrapes[0].Timeout == bigEvery && len(s.Scrapes[0].Metrics) == 3
		}},
		"gauges": {gaugeScrape("http://127.0.0.1:1/metrics"), func(s *config.Service) bool {
			return s.Scrapes[0].Every == scrapeEvery && len(s.Scrapes[0].Metrics)*scrapes == keptSeries
		}},
		"probes": {probeBlocks("http://127.0.0.1:1/healthz"), func(s *config.Service) bool {
			return len(s.Probes) == probesSecond && s.Probes[0].Every == time.Second
		}},
		"statsd": {statsdBlock("127.0.0.1:8125"), func(s *config.Service) bool { return len(s.StatsDs[0].Metrics) == 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := world{units: lonely, rules: service("app", tc.body)}
			if err := w.write(dir, "127.0.0.1:7610"); err != nil {
				t.Fatal(err)
			}
			agent, diags := config.LoadAgent(filepath.Join(dir, "agent.hcl"), config.LoadOptions{})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if s := agent.Services[0]; !tc.want(s) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A page has as many series as it says, and other figures each time.
func TestPages(t *testing.T) {
	shelf, err := newShelf(newPage(scrapeSeries), newDepths(50))
	if err != nil {
		t.Fatal(err)
	}
	defer shelf.close()
	defer http.DefaultClient.CloseIdleConnections()
	read := func(url string) (text string, series int) {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		page, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		p := exposition.New(func([]byte) bool { return true })
		p.Reset(strings.NewReader(string(page)), exposition.Text)
		for p.Next() {
			series++
		}
		if err := p.Err(); err != nil {
			t.Fatal(err)
		}
		return string(page), series
	}
	for i, want := range []int{scrapeSeries, 50} {
		before, n := read(shelf.urls()[i])
		if after, _ := read(shelf.urls()[i]); n != want || after == before {
			t.Errorf("page %d: %d series, want %d; it moves: %v", i, n, want, after != before)
		}
	}
	if n := shelf.shown(); n != 4 {
		t.Errorf("%d pages shown, want 4", n)
	}
}

// What the kernel drops of a socket that nobody reads is seen.
func TestDropped(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := c.LocalAddr().String()
	if n, err := dropped(address); n != 0 || err != nil {
		t.Errorf("of a new socket %d packets were dropped, %v", n, err)
	}
	f := Flood{Lines: 20, Rate: 1_000_000}
	sent, stop, err := pour(address, f)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n == 0 && err == nil; {
		n, err = dropped(address)
	}
	stop()
	n, err := dropped(address)
	if err != nil || int64(n) > sent.Load() {
		t.Errorf("%d of %d packets were dropped, %v", n, sent.Load(), err)
	}
	_ = c.Close()
	if _, err := dropped(address); err == nil {
		t.Error("a socket that is closed is there")
	}
}

func TestRecorded(t *testing.T) {
	dir := t.TempDir()
	b := recording.NewBlock()
	for i := range 5 {
		b.Tick(time.Unix(int64(1000+i), 0))
		b.Add(series.Key{Signal: "host.cpu.busy"}, float64(i))
	}
	b.Add(series.Key{Signal: "unit.cpu", Of: "x.service"}, 1)
	data := b.Append(nil)
	if err := os.WriteFile(filepath.Join(dir, recording.Next(nil)), data, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := recorded(dir)
	if diff := cmp.Diff(Recorded{Bytes: len(data), Samples: 6}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := recorded(filepath.Join(dir, "none")); err == nil {
		t.Error("a recording that is not there is none")
	}
}

func tries(ms ...int) (all []Try) {
	for _, n := range ms {
		all = append(all, Try{CPU: time.Duration(n) * time.Millisecond, Took: time.Second, Count: 1000, RSS: 1 << 20})
	}
	return all
}

func TestSourcesMarkdown(t *testing.T) {
	r := &SourcesResult{
		Options: SourcesOptions{Services: 100},
		Rest: []Rest{
			{nameSalve, Usage{CPU: 0.5}}, {nameMonit, Usage{CPU: 1}},
			{nameScraping, Usage{CPU: 1.1, Memory: rig.Memory{RSS: 12 << 20}}},
		},
		Recorded: Recorded{Bytes: 150, Samples: 100},
		Pages:    []contender{{nameSalve, tries(30, 10, 20)}, {namePrometheus, tries(40)}},
		Floods: []Flood{{Lines: 20, contender: contender{nameSalve, tries(100)}},
			{Lines: 1, Lost: 3, contender: contender{nameSalve, tries(500, 500)}}},
		Probes: []contender{{nameSalve, tries(10)}, {nameMonit, tries(20)}},
		Kept:   []Kept{{What: "nothing", Memory: rig.Memory{RSS: 1 << 20}}, {"signals", 1024, rig.Memory{RSS: 3 << 20}}},
	}
	got := r.Markdown()
	tells(t, got,
		"| Salve, ten scrapes | 1.10 | 12.0 | 0.0 |\n",
		"took 1.50 bytes a sample: 100 samples in 150 bytes.",
		"| 10 scrapes: CPU beside Monit | 100 | ≤ 1.00 s/min | 1.10 s/min | **missed by 10 %** |",
		"| 10 scrapes: memory (RSS) | 100 | ≤ 24.00 MiB | 12.00 MiB | met |",
		"| Salve | 1000 | 20 µs / 30 µs | 0.50 | 2.0 % | 1.0 |\n| Prometheus | 1000 | 40 µs / 40 µs | 1.00 | 4.0 % | 1.0 |",
		"| Salve | 1000 | 10 µs / 10 µs | 0.50 |",
		"| 20 | 1000 | 0 | 100 µs / 100 µs | 10000 | 200000 | 1.0 |\n| 1 | 1000 | 1.5 ‰ | 500 µs / 500 µs | 2000 | 2000 | 1.0 |",
		"| nothing | 1.0 | – |\n| 1024 signals | 3.0 | 2048 |",
	)
}

func TestMonitHosts(t *testing.T) {
	got := monitHosts("/scratch/m", "127.0.0.1:20000")
	last := fmt.Sprintf("check host p%d with address 127.0.0.1\n  if failed port 20000 protocol http request \"/healthz\"",
		probesSecond-1)
	if !strings.HasPrefix(got, "set daemon 1\n") || !strings.Contains(got, last) {
		t.Error(got)
	}
}

func TestSourcesOptionsRefuse(t *testing.T) {
	good := SourcesOptions{Agent: "a", Service: "s", Monit: "/bin/true", Prometheus: "/bin/true", Services: 100, Tries: 1}
	if _, err := NewSources(good); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*SourcesOptions){
		"--monit":      func(o *SourcesOptions) { o.Monit = "/nowhere" },
		"--prometheus": func(o *SourcesOptions) { o.Prometheus = "/nowhere" },
		"services":     func(o *SourcesOptions) { o.Services = 9 },
		"tries":        func(o *SourcesOptions) { o.Tries = 0 },
	} {
		o := good
		spoil(&o)
		if _, err := NewSources(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
