package otlp

import (
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/observe/figure"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/otlp"
)

// Bounds of a point.
const (
	maxAttributes = 64
	maxText       = 4096 // bytes of all its attributes
	maxValue      = 1e18 // far above what anybody means, and far below where sums of floats become infinite
	maxAge        = time.Minute
)

// origin is a metric of a sender, for one table.
type origin struct {
	resource *otlp.Resource
	metric   *otlp.Metric
	id       uint64
	family   *family // nil: nothing of it was accepted yet
	name     string
	factor   float64 // of the sender's unit
	// itself, count and sum are the figures that are made of the metric, of how many events it has, and of what they add
	// up to.
	itself, count, sum []*figure.Figure
}

// origin is that of a metric; nil: nothing is made of it. The number is the sender's.
func (t *table) origin(sender uint64, r *otlp.Resource, m *otlp.Metric) *origin {
	t.name = figure.Name(t.name, m.Name)
	o := &origin{resource: r, metric: m, itself: t.wanted[string(t.name)]}
	if m.Kind == otlp.Histogram || m.Kind == otlp.Exponential {
		n := len(t.name)
		o.count = t.wanted[string(append(t.name, "_count"...))]
		o.sum = t.wanted[string(append(t.name[:n], "_sum"...))]
	}
	if o.itself == nil && o.count == nil && o.sum == nil {
		return nil
	}
	o.name, o.factor = string(t.name), factor(m.Unit)
	kind := uint64(m.Kind) << 2
	if m.Delta {
		kind |= 1
	}
	if m.Monotonic {
		kind |= 2
	}
	o.id = t.id(sender, kind, maphash.Bytes(t.seed, m.Scope), maphash.Bytes(t.seed, m.Name), maphash.Bytes(t.seed, m.Unit))
	o.family = t.families[o.id]
	return o
}

// level reports whether the points say what something is.
func (o *origin) level() bool {
	return o.metric.Kind == otlp.Gauge || o.metric.Kind == otlp.Sum && !o.metric.Monotonic
}

// id is the number of what those numbers are about. That two get the same one is so unlikely that it does not happen.
func (t *table) id(parts ...uint64) uint64 {
	h := uint64(0)
	for _, p := range parts {
		h = maphash.Comparable(t.seed, [2]uint64{h, p})
	}
	return h
}

// set is the number of attributes, in whatever order they stand.
func (t *table) set(attributes otlp.Attributes) (sum uint64) {
	for _, raw := range attributes {
		sum += maphash.Bytes(t.seed, raw)
	}
	return sum
}

// bounds is the number of the bounds of a point's buckets; 0: it has none.
func (t *table) bounds(p *otlp.Point) (h uint64) {
	for _, b := range p.Bounds {
		h = maphash.Comparable(t.seed, [2]uint64{h, math.Float64bits(b)})
	}
	return h
}

// factor is what a unit is in Salve's: seconds, bytes, shares of one.
func factor(unit []byte) float64 {
	switch string(unit) {
	case "ns":
		return 1e-9
	case "us":
		return 1e-6
	case "ms":
		return 1e-3
	case "min":
		return 60
	case "h":
		return 3600
	case "d":
		return 86400
	case "%":
		return 0.01
	case "kBy":
		return 1e3
	case "MBy":
		return 1e6
	case "GBy":
		return 1e9
	case "KiBy":
		return 1 << 10
	case "MiBy":
		return 1 << 20
	case "GiBy":
		return 1 << 30
	}
	return 1
}

// judge says whether a point can be understood by itself.
func judge(now time.Time, m *otlp.Metric, p *otlp.Point) error {
	age := now.Sub(stamp(p.Time))
	switch {
	case age > maxAge:
		return errOld
	case age < -maxAge:
		return errAhead
	case m.Kind != otlp.Gauge && !m.Delta && !m.Cumulative:
		return errTemporal
	case m.Kind == otlp.Sum && m.Delta && !m.Monotonic:
		return errFalls
	case !(math.Abs(p.Value) <= maxValue) || !(math.Abs(p.Sum) <= maxValue) || p.Count > maxValue:
		return errValue
	case m.Kind == otlp.Sum && m.Monotonic && p.Value < 0:
		return errBelow
	case len(p.Attributes) > maxAttributes || p.Attributes.Size() > maxText:
		return errAttributes
	}
	return nil
}

// stamp is a time of the protocol.
func stamp(nanos uint64) time.Time { return time.Unix(0, int64(min(nanos, math.MaxInt64))) }

// follows says whether a point may come after what the stream told last.
func (s *stream) follows(m *otlp.Metric, p *otlp.Point) error {
	begun := p.Start != 0 && s.start != 0 && p.Start != s.start
	switch {
	case s.time == 0:
		return nil
	case p.Time <= s.time, m.Delta && p.Start != 0 && p.Start < s.time:
		return errRepeated
	case m.Cumulative && begun && p.Start < s.time:
		return errTwo // the one that is over has told of a time after the other's beginning
	}
	return nil
}

// open finds what a series contributes to.
func (s *stream) open(o *origin, p *otlp.Point) error {
	labels, err := o.labels(p)
	if err != nil {
		return err
	}
	told := figure.Told{Name: o.name, Kind: figure.Counter, Labels: labels, Silent: o.metric.Delta}
	s.count, s.sum, s.opened = nil, nil, true
	switch {
	case o.level():
		told.Kind = figure.Level
		// Nobody can tell senders apart by other attributes of theirs, but they are several.
		told.Labels = append(told.Labels, metric.Label{Value: strconv.FormatUint(o.id, 16)})
	case o.metric.Kind != otlp.Sum:
		s.count, s.sum = parts(o.count, told.As("_count")), parts(o.sum, told.As("_sum"))
		told.Kind = figure.Events
	}
	if o.metric.Kind == otlp.Histogram {
		told.Bounds = make([]float64, len(p.Bounds), len(p.Bounds)+1)
		for i, b := range p.Bounds {
			told.Bounds[i] = b * o.factor
		}
		told.Bounds = append(told.Bounds, math.Inf(1))
	}
	s.itself = parts(o.itself, told)
	return nil
}

func parts(figures []*figure.Figure, told figure.Told) (parts []figure.Part) {
	for _, f := range figures {
		if p, ok := f.Open(told); ok {
			parts = append(parts, p)
		}
	}
	return parts
}

// labels are the attributes of a point, and of its sender those that say which service it is.
func (o *origin) labels(p *otlp.Point) (labels []metric.Label, err error) {
	add := func(key, value string) {
		name := string(figure.Name(nil, []byte(key)))
		if !slices.ContainsFunc(labels, func(l metric.Label) bool { return l.Name == name }) {
			labels = append(labels, metric.Label{Name: name, Value: value})
		}
	}
	if p.Attributes.Each(add) != nil {
		return nil, errLabel
	}
	err = o.resource.Attributes.Each(func(key, value string) {
		if strings.HasPrefix(key, "service.") && len(value) <= maxText {
			add(key, value)
		}
	})
	if err != nil {
		return nil, errLabel
	}
	return labels, nil
}
