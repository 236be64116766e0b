package statsd

import (
	"bytes"
	"unicode/utf8"

	"github.com/salveops/salve/agent/internal/observe/figure"
	"github.com/salveops/salve/pkg/metric"
)

const (
	// maxHeads bounds the bytes that are kept to know the beginnings of lines again.
	maxHeads = 1 << 20
	perHead  = 100 // bytes beside its key
	perPart  = 32
)

// lines gives lines to the figures of all tables. The zero value has none.
type lines struct {
	tables []*table
	wanted map[string]*wish // by name
	heads  map[string]head  // by name, kind and tags
	size   int              // of heads
	key    []byte           // scratch
	name   []byte           // scratch
}

// wish is what is made of lines with one name.
type wish struct {
	figures []*figure.Figure
	tables  []*table // of each figure
}

// head is where the values of lines with the same name, kind and tags go.
type head struct {
	parts  []figure.Part
	tables []*table // of each part
}

// set replaces the tables. It is also called when one of them has new figures.
func (s *lines) set(tables []*table) {
	s.tables, s.wanted = tables, map[string]*wish{}
	s.forget()
	for _, t := range tables {
		for i, m := range t.metrics {
			s.want(m.Of.Name(), t, t.figures[i])
			if all := m.All.Name(); m.Kind == metric.Ratio && all != m.Of.Name() {
				s.want(all, t, t.figures[i])
			}
		}
	}
}

func (s *lines) want(name string, t *table, f *figure.Figure) {
	w := s.wanted[name]
	if w == nil {
		w = &wish{}
		s.wanted[name] = w
	}
	w.figures, w.tables = append(w.figures, f), append(w.tables, t)
}

// forget forgets beginnings of lines: all that this costs is to match them again.
func (s *lines) forget() { s.heads, s.size = map[string]head{}, 0 }

// take reads the lines of a datagram.
func (s *lines) take(packet []byte) {
	for len(packet) > 0 {
		var text []byte
		text, packet, _ = bytes.Cut(packet, []byte{'\n'})
		text = bytes.TrimSuffix(text, []byte{'\r'})
		if len(text) == 0 {
			continue
		}
		if whom, err := s.line(text); err != nil {
			refuse(whom, text, err)
		}
	}
}

// line reads one line. Events and checks of DogStatsD, and lines of which no metric is made, are passed over. With an
// error it returns whom that concerns, as far as the line could be read: all, those who want its name, or who want it.
func (s *lines) line(text []byte) (whom []*table, err error) {
	if bytes.HasPrefix(text, []byte("_e{")) || bytes.HasPrefix(text, []byte("_sc|")) {
		return nil, nil
	}
	name, rest, ok := bytes.Cut(text, []byte{':'})
	if !ok {
		return s.tables, errForm
	}
	if len(name) == 0 || len(name) > maxName {
		return s.tables, errName
	}
	s.name = figure.Name(s.name, name)
	w := s.wanted[string(s.name)]
	if w == nil {
		return nil, nil
	}
	l, err := parse(rest)
	if err != nil {
		return w.tables, err
	}
	h, err := s.head(w, l)
	if err != nil {
		return w.tables, err
	}
	for more := len(h.parts) > 0; more; {
		var text []byte
		text, l.values, more = bytes.Cut(l.values, []byte{':'})
		v, signed, err := l.value(text)
		if err != nil {
			return h.tables, err
		}
		for i, p := range h.parts {
			l.add(p, v, signed)
			h.tables[i].heard = true
		}
	}
	return nil, nil
}

// head is what lines with this name, kind and tags contribute to.
func (s *lines) head(w *wish, l line) (head, error) {
	s.key = append(append(append(s.key[:0], s.name...), byte(l.kind)), l.tags...)
	if found, known := s.heads[string(s.key)]; known {
		return found, nil
	}
	if !utf8.Valid(l.tags) {
		return head{}, errLetter
	}
	told := figure.Told{Name: string(s.name), Kind: l.kind, Labels: s.labels(l.tags), Silent: true}
	var h head
	for i, f := range w.figures {
		if p, ok := f.Open(told); ok {
			h.parts, h.tables = append(h.parts, p), append(h.tables, w.tables[i])
		}
	}
	size := len(s.key) + perHead + perPart*len(h.parts)
	if s.size+size > maxHeads {
		s.forget()
	}
	s.size += size
	s.heads[string(s.key)] = h
	return h, nil
}

// labels makes labels of tags. One without a value is "true".
func (s *lines) labels(tags []byte) []metric.Label {
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
