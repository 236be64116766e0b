package scrape

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/exposition"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/signal"
)

const (
	mostLinks   = 4   // that are kept of each metric
	longestLink = 512 // bytes of an exemplar; OpenMetrics has 128 letters of labels
)

// Link is an exemplar of a metric: one event of those that it counts, for people to look up. Nobody here follows it.
type Link struct {
	Metric string
	Labels string // as name=value, such as trace_id=4bf92f3577b34da6
	Value  string // as people read it
	At     time.Time
}

// links are the newest of one page.
type links struct {
	seed maphash.Seed
	mu   sync.Mutex
	kept [][]Link // by metric, oldest first
}

func newLinks(metrics int) *links {
	return &links{seed: maphash.MakeSeed(), kept: make([][]Link, metrics)}
}

// note keeps the exemplar of a line for the metrics that count its series, unless it was there on the page before.
func (k *links) note(l *line, raw []byte, metrics []source.Metric) {
	if len(raw) > longestLink {
		return
	}
	sum := maphash.Bytes(k.seed, raw)
	if sum == l.exemplar {
		return
	}
	l.exemplar = sum
	e, ok := exposition.ReadExemplar(raw)
	if !ok || !e.Timed || len(e.Labels) == 0 { // without a time nobody knows whether it is new
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range l.counts {
		dim := signal.Number
		if metrics[i].Kind == metric.Quantile {
			dim = metrics[i].Dim
		}
		k.keep(i, Link{metrics[i].Name, written(e.Labels), signal.Format(dim, e.Value), time.UnixMilli(e.Millis)})
	}
}

// keep takes one in, and lets the oldest go.
func (k *links) keep(i int, fresh Link) {
	all := slices.DeleteFunc(k.kept[i], func(l Link) bool { return l.Labels == fresh.Labels })
	at, _ := slices.BinarySearchFunc(all, fresh.At, func(l Link, at time.Time) int { return l.At.Compare(at) })
	all = slices.Insert(all, at, fresh)
	k.kept[i] = all[max(0, len(all)-mostLinks):]
}

// written are labels as people read them.
func written(labels []metric.Label) string {
	words := make([]string, len(labels))
	for i, l := range labels {
		value := l.Value
		if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			value = strconv.Quote(value)
		}
		words[i] = l.Name + "=" + value
	}
	return strings.Join(words, " ")
}

// Links are the newest exemplars of the pages of a unit's service, by metric, newest first.
func Links(w *Watcher, unit string) (found []Link) {
	w.Each(func(m source.Member[Target]) {
		s := m.(*scraper)
		if !glob.Match(s.target.Unit, unit) || slices.ContainsFunc(s.target.Except, func(e string) bool { return glob.Match(e, unit) }) {
			return
		}
		s.page.links.mu.Lock()
		defer s.page.links.mu.Unlock()
		for _, kept := range s.page.links.kept {
			found = append(found, kept...)
		}
	})
	slices.SortStableFunc(found, func(a, b Link) int { return cmp.Or(cmp.Compare(a.Metric, b.Metric), b.At.Compare(a.At)) })
	return found
}
