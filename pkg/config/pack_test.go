package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/exposition"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/signal"
)

// pages are what the exporters told of the services of the rule pack when they ran.
var pages = map[string]string{
	"haproxy":       "haproxy",
	"nginx":         "nginx-exporter",
	"postgresql":    "postgres-exporter",
	"rabbitmq":      "rabbitmq",
	"redis":         "redis-exporter",
	"redis-replica": "redis-replica-exporter",
}

func pack(t *testing.T) *Agent {
	t.Helper()
	a, diags := LoadAgent(filepath.Join(shipped, "agent.hcl"), LoadOptions{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return a
}

// faults are the metrics of a scrape of which a page gives none.
func faults(t *testing.T, s *Scrape, page []byte) (out []string) {
	t.Helper()
	var definitions []metric.Definition
	for _, m := range s.Metrics {
		definitions = append(definitions, m.Definition)
	}
	set := metric.New(definitions, s.Every)
	p := exposition.New(set.Wants)
	for p.Reset(bytes.NewReader(page), exposition.Text); p.Next(); {
		sample := p.Sample()
		labels, err := exposition.Labels(sample.Series)
		if err != nil {
			t.Fatal(err)
		}
		series, err := set.Open(string(sample.Name), labels)
		if err != nil {
			t.Fatal(err)
		}
		set.Put(series, sample.Value)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	set.End(time.Second)
	for i, m := range s.Metrics {
		if f := set.Figure(i); f.Fault != nil {
			out = append(out, m.Name+": "+f.Fault.Error())
		}
	}
	return out
}

// TestPackReadsRealPages: every metric of the pack is on the page that its exporter really tells, once or with a word on
// what to make of several. A name that is wrong, or that a newer exporter has no more, is found here.
func TestPackReadsRealPages(t *testing.T) {
	for _, s := range pack(t).Services {
		for _, scrape := range s.Scrapes {
			if s.Name == "shop" {
				continue // which does not exist
			}
			page, err := os.ReadFile("../exposition/testdata/pages/" + pages[s.Name] + ".txt")
			if err != nil {
				t.Errorf("%s has metrics, and no page: %v", s.Name, err)
				continue
			}
			for _, f := range faults(t, scrape, page) {
				t.Errorf("%s: %s", s.Name, f)
			}
			other := bytes.ReplaceAll(page, []byte("\nredis_"), []byte("\nvalkey_"))
			if s.Name == "redis" && len(faults(t, scrape, other)) != len(scrape.Metrics) {
				t.Error("metrics of another name are found as well: this test sees nothing")
			}
		}
	}
}

// TestPackIsRead: a metric or log that no rule reads costs for nothing.
func TestPackIsRead(t *testing.T) {
	a := pack(t)
	for _, s := range a.Services {
		read := map[signal.Path]bool{}
		for _, r := range a.Rules {
			if !r.About(s) {
				continue
			}
			for _, ref := range r.When.Refs() {
				read[ref.Path] = true
			}
		}
		for _, o := range s.SLOs {
			for _, p := range o.Sources() {
				read[p] = true
			}
		}
		for _, scrape := range s.Scrapes {
			for _, m := range scrape.Metrics {
				if !read[signal.Path{Family: signal.Metric, Field: m.Name}] {
					t.Errorf("no rule reads metric.%s of %s", m.Name, s.Name)
				}
			}
		}
		for _, l := range s.Logs {
			if !read[signal.Path{Family: "log", Key: l.Name, Field: "rate"}] {
				t.Errorf("no rule reads log.%s of %s", l.Name, s.Name)
			}
		}
	}
}

// TestPackReadsRealLines: what a Java virtual machine (OpenJDK 17) writes with -Xmx64m -Xlog:gc until it is out of memory.
// The first full collection there is one that the program asked for.
func TestPackReadsRealLines(t *testing.T) {
	text, err := os.ReadFile("testdata/jvm.txt")
	check(t, err)
	lines := strings.Split(string(text), "\n")
	want := map[string]int{"out_of_memory": 1, "full_gc": 3}
	for _, l := range pack(t).Service("jvm").Logs {
		n := 0
		for _, line := range lines {
			if l.Match.MatchString(line) {
				n++
			}
		}
		if n != want[l.Name] {
			t.Errorf("%s matches %d lines, want %d", l.Name, n, want[l.Name])
		}
	}
	if asked := strings.Count(string(text), "Pause Full (System.gc())"); asked != 1 {
		t.Errorf("%d collections that were asked for, want one beside those that count", asked)
	}
}
