package config

import (
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/signal"
)

// The longest period of a page, and the longest window over it.
const (
	slowestScrape = 5 * time.Minute
	longestWindow = time.Hour
)

func scrapeKinds(ks kinds) {
	ks["scrape"] = &kind{
		labels: []string{"name"},
		blocks: []string{"metric"},
		attrs: []attr{
			{name: "url", typ: text, required: true}, {name: "exemplars", typ: boolean},
			{name: "native", typ: boolean},
			{name: "every", typ: duration, def: defaults.ScrapeEvery, least: int64(fastest), most: int64(slowestScrape)},
			{name: "timeout", typ: duration, def: defaults.ScrapeWait,
				least: int64(10 * time.Millisecond), most: int64(time.Minute)},
		},
	}
	ks["metric"] = &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "ratio", typ: texts}, {name: "rate", typ: text}, {name: "quantile", typ: share}, {name: "value", typ: text},
			{name: "of", typ: text},
			{name: "window", typ: duration, least: int64(fastest), most: int64(longestWindow)},
			{name: "min_events", typ: integer, least: 1, most: 1_000_000},
			{name: "aggregate", typ: text, words: metric.Folds()},
			{name: "unit", typ: text, words: []string{"count", "seconds", "bytes", "ratio"}},
		},
	}
}

// making are the ways to make a metric, by the key that says so: what else goes with it, and what comes
// out by unit, "" for no unit.
var making = map[string]struct {
	kind metric.Kind
	keys []string
	dims map[string]signal.Dimension
}{
	"ratio": {metric.Ratio, []string{"window", "min_events"}, map[string]signal.Dimension{"": signal.Ratio}},
	"rate": {metric.Rate, []string{"window", "unit"}, map[string]signal.Dimension{
		"": signal.PerSecond, "count": signal.PerSecond, "bytes": signal.BytesPerSecond, "seconds": signal.Ratio}},
	"quantile": {metric.Quantile, []string{"of", "window", "min_events", "unit"}, map[string]signal.Dimension{
		"": signal.Seconds, "count": signal.Count, "seconds": signal.Seconds, "bytes": signal.Bytes, "ratio": signal.Ratio}},
	"value": {metric.Gauge, []string{"aggregate", "unit"}, map[string]signal.Dimension{
		"": signal.Count, "count": signal.Count, "seconds": signal.Seconds, "bytes": signal.Bytes, "ratio": signal.Ratio}},
}

func (l *loader) decodeScrape(b *block) *Scrape {
	s := &Scrape{Name: b.name("scrape", checkWord), Range: b.header, URL: b.checked("url", checkURL)}
	s.Exemplars, s.Native, s.Every = b.boolean("exemplars"), b.boolean("native"), b.duration("every")
	s.Timeout = b.patience(s.Every)
	s.Metrics = l.decodeMetrics(b, s.Every)
	return s
}

// decodeMetrics reads what is made of a source of samples.
func (l *loader) decodeMetrics(b *block, every time.Duration) (metrics []*Metric) {
	for _, nested := range b.blocks("metric") {
		nested.within = b.within // a name stands for one metric of the service, whatever it is made of
		metrics = append(metrics, l.decodeMetric(nested, every))
	}
	if len(metrics) == 0 {
		l.fail(b.header, "Missing block", "%s makes no metric: nothing of it would be read.", upper(b.what))
	}
	return metrics
}

func (l *loader) decodeMetric(b *block, every time.Duration) *Metric {
	m := &Metric{Name: b.name("metric", checkWord), Range: b.header, Every: every}
	ratio, of := b.texts("ratio"), map[string]metric.Selector{}
	for _, key := range []string{"rate", "value", "of"} {
		if text := b.text(key); b.has(key) {
			of[key] = b.selector(word{text, b.at(key)})
		}
	}
	m.Share, m.Window, m.MinEvents = b.share("quantile"), b.duration("window"), b.integer("min_events")
	m.Fold = metric.Fold(b.text("aggregate"))
	unit := b.text("unit")
	ways := []string{"ratio", "rate", "quantile", "value"}
	b.one(ways...)
	set := b.set(ways...)
	if len(set) != 1 {
		return m
	}
	way := making[set[0]]
	for _, key := range b.set("of", "window", "min_events", "aggregate", "unit") {
		if !slices.Contains(way.keys, key) {
			b.fail(key, "Not for this metric", "%s does not go with %s, but: %s.", key, set[0], strings.Join(way.keys, ", "))
		}
	}
	dim, fits := way.dims[unit]
	if !fits && slices.Contains(way.keys, "unit") {
		b.fail("unit", "Not for this metric", "What grows has the unit count, seconds or bytes.")
	}
	m.Kind, m.Dim = way.kind, dim
	switch m.Kind {
	case metric.Ratio:
		if len(ratio) != 2 {
			b.fail("ratio", "Wrong value", "ratio is a list of two: what is counted, and what it is a share of.")
			return m
		}
		m.Of, m.All = b.selector(ratio[0]), b.selector(ratio[1])
	case metric.Quantile:
		m.Of = of["of"]
		b.histogram(m.Of)
	default:
		m.Of = of[set[0]]
	}
	if m.Kind != metric.Gauge {
		m.Window = b.window(m.Window, every)
	}
	return m
}

// window judges how far back a metric looks; 0 is the default.
func (b *block) window(window, every time.Duration) time.Duration {
	if window == 0 {
		return max(defaults.MetricWindow, 2*every)
	}
	if window < 2*every {
		b.fail("window", "Out of bounds", "There are samples every %s; a window over them is at least %s long.",
			defaults.Duration(every), defaults.Duration(2*every))
	}
	return window
}

// histogram checks what a quantile is of.
func (b *block) histogram(of metric.Selector) {
	histogram, buckets := strings.CutSuffix(of.Name(), "_bucket")
	switch {
	case !b.has("of"):
		b.l.fail(b.header, "Missing key", "%s needs \"of\": the histogram that the quantile is of.", upper(b.what))
	case buckets:
		b.fail("of", "Wrong value", "of names the histogram itself: %s.", histogram)
	}
}

func (b *block) selector(w word) metric.Selector {
	s, err := metric.ParseSelector(w.text)
	if err != nil {
		b.l.fail(w.at, "Wrong selector", "%s.", err)
	}
	return s
}

// Metric finds a metric of the service by name; nil if there is none.
func (s *Service) Metric(name string) *Metric {
	return named(s.metrics(), name, func(m *Metric) string { return m.Name })
}

// metrics are all of the service.
func (s *Service) metrics() (all []*Metric) {
	for _, scrape := range s.Scrapes {
		all = append(all, scrape.Metrics...)
	}
	for _, statsd := range s.StatsDs {
		all = append(all, statsd.Metrics...)
	}
	for _, otlp := range s.OTLPs {
		all = append(all, otlp.Metrics...)
	}
	return all
}

// Info describes the metric as a signal.
func (m *Metric) Info() signal.Info {
	in, _ := signal.Lookup(signal.Path{Family: signal.Metric, Field: m.Name})
	in.Dim, in.Every, in.Span, in.Help = m.Dim, m.Every, m.Window, m.Definition.String()
	in.Definition = m.Digest()
	return in
}

// metrics are those of several services, by name.
func metrics(services []*Service) map[string]signal.Info {
	all := map[string]signal.Info{}
	for _, s := range services {
		for _, m := range s.metrics() {
			all[m.Name] = m.Info()
		}
	}
	return all
}
