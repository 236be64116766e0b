package scrape

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/exposition"
	"github.com/salveops/salve/pkg/metric"
)

const (
	// maxHeader bounds the head of an answer.
	maxHeader = 64 << 10
	// maxLines bounds the lines of a page whose name some metric wants.
	maxLines = 20_000
	// late is the age from which a sample does not count, when the page says how old it is.
	late = time.Minute
	// kindProtobuf is the kind of page that has native histograms.
	kindProtobuf = "application/vnd.google.protobuf"
)

// accept is what pages are asked for: with names as people see them when they look at the page, which OpenMetrics
// changes some of; with exemplars, which text has not; with native histograms, which only protocol buffers have.
func accept(t Target) string {
	kinds := []string{"text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"}
	if t.Exemplars {
		slices.Reverse(kinds)
	}
	if t.Native {
		kinds = slices.Insert(kinds, 0, kindProtobuf+";proto=io.prometheus.client.MetricFamily;encoding=delimited")
	}
	for i := range kinds {
		kinds[i] += fmt.Sprintf(";q=%.1f", 1-0.3*float64(i))
	}
	return strings.Join(kinds, ", ")
}

// page is a page of metrics that is read again and again. A line that was there before is known by its
// text, and neither taken apart nor matched again.
type page struct {
	target Target
	client *http.Client
	parser *exposition.Parser
	set    *metric.Set
	lines  map[string]*line
	round  uint64
	old    int // samples of this round that are too old to count
	links  *links
	// natives are nil for a page that is not asked for native histograms.
	natives *natives
}

// line is the series of a line.
type line struct {
	series   *metric.Series
	round    uint64 // in which it was last there
	counts   []int  // metrics that count the series, where exemplars are kept or native histograms read
	exemplar uint64 // hash of the last
}

func newPage(t Target) *page {
	p := &page{target: t, links: newLinks(len(t.Metrics))}
	p.begin()
	p.client = &http.Client{
		// A page that has moved is a wrong configuration, and the other place may be anywhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{KeepAlive: -1}).DialContext, // the next page is the better packet
			MaxIdleConnsPerHost:    1,
			DisableCompression:     true, // costs both sides more than it saves on one host
			MaxResponseHeaderBytes: maxHeader,
			TLSClientConfig:        &tls.Config{Time: clock.Wall, MinVersion: tls.VersionTLS12},
		},
	}
	return p
}

// begin forgets all pages that were read.
func (p *page) begin() {
	definitions := make([]metric.Definition, len(p.target.Metrics))
	for i, m := range p.target.Metrics {
		definitions[i] = m.Definition
	}
	p.set, p.lines = metric.New(definitions, p.target.Every), map[string]*line{}
	p.parser = exposition.New(p.set.Wants)
	if p.target.Native {
		p.natives = newNatives(p.target.Metrics, p.target.Every)
	}
}

func (p *page) close() { p.client.CloseIdleConnections() }

// read reads the page into the set. After an error the set has no figures.
func (p *page) read(ctx context.Context, at clock.Instant) (err error) {
	defer func() {
		if err != nil {
			p.set.Undo()
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.target.URL, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", "salve")
	req.Header.Set("Accept", accept(p.target))
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask: %w", source.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // all that counts was read before
	format, err := formatOf(res, p.target.Native)
	if err != nil {
		return err
	}
	p.parser.Reset(res.Body, format)
	if err := p.take(at.Wall.Add(-late).UnixMilli()); err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	p.end(at.Boot)
	return nil
}

// end ends a round: the page was read to its end.
func (p *page) end(at time.Duration) {
	p.set.End(at)
	if p.natives != nil {
		p.natives.end(at, p.round)
	}
}

// formatOf judges the head of an answer. A page with native histograms comes only where it is asked for.
func formatOf(res *http.Response, native bool) (exposition.Format, error) {
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d", res.StatusCode)
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return 0, fmt.Errorf("the page is compressed (%s), which it was not asked to be", coding)
	}
	given := res.Header.Get("Content-Type")
	switch kind, with, _ := mime.ParseMediaType(given); {
	case kind == "application/openmetrics-text":
		return exposition.OpenMetrics, nil
	case kind == "text/plain", kind == "":
		return exposition.Text, nil
	case native && kind == kindProtobuf && with["proto"] == "io.prometheus.client.MetricFamily" && with["encoding"] == "delimited":
		return exposition.Protobuf, nil
	}
	return 0, fmt.Errorf("the page is %s, and not text/plain or application/openmetrics-text", given)
}

// take puts the samples of the page into the set, but those that are older than the given time.
func (p *page) take(oldest int64) error {
	p.round++
	p.old = 0
	there := 0
	if p.natives != nil {
		p.natives.begin()
	}
	for p.parser.Next() {
		s := p.parser.Sample()
		if s.Timed && s.Millis < oldest {
			p.old++
			continue
		}
		if s.Native != nil {
			if err := p.takeNative(s); err != nil {
				return err
			}
			continue
		}
		l := p.lines[string(s.Series)]
		if l == nil {
			var err error
			if l, err = p.open(s); err != nil {
				return err
			}
		}
		if l.round != p.round {
			l.round = p.round
			there++
		}
		p.set.Put(l.series, s.Value)
		if len(l.counts) > 0 {
			p.count(l, s)
		}
	}
	if there < len(p.lines) {
		p.drop()
	}
	return p.parser.Err()
}

// takeNative puts in the native buckets of a histogram.
func (p *page) takeNative(s exposition.Sample) error {
	h, err := p.natives.take(s, p.round)
	if err != nil {
		p.begin() // as in open
		return err
	}
	p.link(&h.line, s)
	return nil
}

// count tells those who count a line what else a sample says of it.
func (p *page) count(l *line, s exposition.Sample) {
	if p.natives != nil && !s.Beside {
		p.natives.beside(l.counts)
	}
	p.link(l, s)
}

// link keeps the exemplar of a sample, where they are wanted.
func (p *page) link(l *line, s exposition.Sample) {
	if p.target.Exemplars && len(l.counts) > 0 && len(s.Exemplar) > 0 {
		p.links.note(l, s.Exemplar, p.target.Metrics)
	}
}

// drop forgets the lines that are not on this page so far.
func (p *page) drop() {
	maps.DeleteFunc(p.lines, func(_ string, l *line) bool { return l.round != p.round })
}

// open takes a line apart that was not there before.
func (p *page) open(s exposition.Sample) (*line, error) {
	if len(p.lines) == maxLines {
		p.drop()
	}
	if len(p.lines) == maxLines {
		return nil, fmt.Errorf("more than %d samples are of the names that metrics are made of", maxLines)
	}
	labels, err := exposition.Labels(s.Series)
	if err != nil {
		return nil, fmt.Errorf("%.200s: %w", s.Series, err)
	}
	series, err := p.set.Open(string(s.Name), labels)
	if err != nil {
		p.begin() // what fills the set may be gone from the next page, and only a whole page lets go of it
		return nil, err
	}
	l := &line{series: series}
	if p.target.Exemplars || p.target.Native {
		l.counts = p.set.Counts(series)
	}
	p.lines[string(s.Series)] = l
	return l, nil
}
