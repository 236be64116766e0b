package statsd

import (
	"bytes"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/salveops/salve/agent/internal/observe/figure"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/metric"
)

const (
	// maxHeads bounds the bytes that are kept to know the beginnings of lines again.
	maxHeads = 1 << 20
	// stale is how long a gauge is believed after its last line.
	stale = 10 * time.Minute
)

// table makes the figures of some metrics from lines. It belongs to one goroutine.
type table struct {
	figures []*figure.Figure
	wanted  map[string][]*figure.Figure // by name
	heads   map[string][]figure.Part    // by name, kind and tags: where the values go
	size    int                         // of heads
	key     []byte                      // scratch
	name    []byte                      // scratch

	bad     uint64 // lines that could not be read
	badText string // the last of them, or its beginning
	badErr  error  // and why
}

// newTable is a table that counts from the given moment on.
func newTable(metrics []source.Metric, every, at time.Duration) *table {
	t := &table{wanted: map[string][]*figure.Figure{}, heads: map[string][]figure.Part{}}
	for _, m := range metrics {
		f := figure.New(m.Definition, every, stale, at)
		t.figures = append(t.figures, f)
		t.want(m.Of.Name(), f)
		if all := m.All.Name(); m.Kind == metric.Ratio && all != m.Of.Name() {
			t.want(all, f)
		}
	}
	return t
}

func (t *table) want(name string, f *figure.Figure) { t.wanted[name] = append(t.wanted[name], f) }

// take reads the lines of a datagram.
func (t *table) take(packet []byte) {
	for len(packet) > 0 {
		var text []byte
		text, packet, _ = bytes.Cut(packet, []byte{'\n'})
		text = bytes.TrimSuffix(text, []byte{'\r'})
		if len(text) == 0 {
			continue
		}
		if err := t.line(text); err != nil {
			t.refuse(text, err)
		}
	}
}

// refuse notes that something could not be read.
func (t *table) refuse(text []byte, err error) {
	t.bad++
	t.badText, t.badErr = string(text[:min(len(text), 100)]), err
}

// line reads one line. Events and checks of DogStatsD, and lines of which no metric is made, are passed over.
func (t *table) line(text []byte) error {
	if bytes.HasPrefix(text, []byte("_e{")) || bytes.HasPrefix(text, []byte("_sc|")) {
		return nil
	}
	name, rest, ok := bytes.Cut(text, []byte{':'})
	if !ok {
		return errForm
	}
	if len(name) == 0 || len(name) > maxName {
		return errName
	}
	t.name = figure.Name(t.name, name)
	figures := t.wanted[string(t.name)]
	if figures == nil {
		return nil
	}
	l, err := parse(rest)
	if err != nil {
		return err
	}
	parts, err := t.parts(figures, l)
	if err != nil {
		return err
	}
	for more := true; more; {
		var text []byte
		text, l.values, more = bytes.Cut(l.values, []byte{':'})
		v, signed, err := l.value(text)
		if err != nil {
			return err
		}
		for _, p := range parts {
			l.add(p, v, signed)
		}
	}
	return nil
}

// parts are what lines with this name, kind and tags contribute to. Beginnings of lines are forgotten when they are
// too many: all that this costs is to match them again.
func (t *table) parts(figures []*figure.Figure, l line) ([]figure.Part, error) {
	t.key = append(append(append(t.key[:0], t.name...), byte(l.kind)), l.tags...)
	if found, known := t.heads[string(t.key)]; known {
		return found, nil
	}
	if !utf8.Valid(l.tags) {
		return nil, errLetter
	}
	told := figure.Told{Name: string(t.name), Kind: l.kind, Labels: t.labels(l.tags), Silent: true}
	var parts []figure.Part
	for _, f := range figures {
		if p, ok := f.Open(told); ok {
			parts = append(parts, p)
		}
	}
	if t.size += len(t.key) + 100; t.size > maxHeads {
		clear(t.heads)
		t.size = 0
	}
	t.heads[string(t.key)] = parts
	return parts, nil
}

// labels makes labels of tags. One without a value is "true".
func (t *table) labels(tags []byte) []metric.Label {
	var labels []metric.Label
	var name []byte
	for len(tags) > 0 {
		var tag []byte
		tag, tags, _ = bytes.Cut(tags, []byte{','})
		if len(tag) == 0 {
			continue
		}
		key, value, ok := bytes.Cut(tag, []byte{':'})
		if !ok {
			value = []byte("true")
		}
		name = figure.Name(name, key)
		labels = append(labels, metric.Label{Name: string(name), Value: string(value)})
	}
	return labels
}

// end ends a round and makes the figures.
func (t *table) end(at time.Duration) {
	for _, f := range t.figures {
		if f.End(at) {
			clear(t.heads) // they may lead to a gauge that is forgotten
			t.size = 0
		}
	}
}

// complaint is about the lines that could not be read; nil if there was none.
func (t *table) complaint() error {
	if t.bad == 0 {
		return nil
	}
	return fmt.Errorf("%d lines could not be read, the last one, %q: %w", t.bad, t.badText, t.badErr)
}
