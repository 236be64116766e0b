// Package otlp reads metrics as OpenTelemetry's protocol has them (opentelemetry.proto.collector.metrics.v1), straight
// from the bytes of a request:
//
//	Check(request) ──▶ Resources(request) ──▶ Resource.Metrics() ──▶ Metric.Points(&point)
//
// Nothing is built of what nobody asks for, so that a request takes no more memory than its bytes, whatever is in them:
// the generated code makes 270 MiB of 4 MiB of empty points. What cannot be read outside of points makes the whole request
// unreadable, and what cannot be read within one is the error of that point. The package is pure.
package otlp

import (
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kind is what the points of a metric are.
type Kind uint8

const (
	Other       Kind = iota // of which nothing is made: summaries, whose quantiles nobody can add up
	Gauge                   // what something is
	Sum                     // how much something is or was, all together
	Histogram               // events by buckets with bounds
	Exponential             // events by buckets that grow
)

// The numbers of fields that are more than a few.
const (
	keyOfAttribute   protowire.Number = 1
	valueOfAttribute protowire.Number = 2
	resourceOfAll    protowire.Number = 1 // of ResourceMetrics; likewise the scope of ScopeMetrics
	metricsWithin    protowire.Number = 2 // of both
	pointsOfMetric   protowire.Number = 1 // of each kind
)

// dataOf says whether a field of a metric holds its points, and of which kind they are.
func dataOf(num protowire.Number) (kind Kind, ok bool) {
	switch num {
	case 5:
		return Gauge, true
	case 7:
		return Sum, true
	case 9:
		return Histogram, true
	case 10:
		return Exponential, true
	}
	return Other, num == 11
}

// Check reads all of a request but the insides of points, and counts these. The other functions are for requests that it
// has read without an error.
func Check(request []byte) (points int, err error) { return count(request, 0) }

// count goes down from the request (0) over resources, scopes, metrics and their data to the points (5).
func count(raw []byte, depth int) (points int, err error) {
	f := fields{rest: raw}
	for f.next() {
		if f.raw == nil {
			continue
		}
		n := 0
		_, isData := dataOf(f.num)
		switch {
		case depth == 0 && f.num == 1, (depth == 1 || depth == 2) && f.num == metricsWithin, depth == 3 && isData:
			n, err = count(f.raw, depth+1)
		case depth == 1 && f.num == resourceOfAll:
			_, err = count(f.raw, 5)
		case depth == 4 && f.num == pointsOfMetric:
			n = 1
		}
		if err != nil {
			return 0, err
		}
		points += n
	}
	return points, f.err
}

// Resource is who has measured: a process, as a rule.
type Resource struct {
	Attributes Attributes
	raw        []byte
}

// Resources are those of a request.
func Resources(request []byte) iter.Seq[Resource] {
	return func(yield func(Resource) bool) {
		f := fields{rest: request}
		for f.next() {
			if f.message(1) && !yield(resource(f.raw)) {
				return
			}
		}
	}
}

func resource(raw []byte) Resource {
	r := Resource{raw: raw}
	f := fields{rest: raw}
	for f.next() {
		if !f.message(resourceOfAll) {
			continue
		}
		in := fields{rest: f.raw}
		for in.next() {
			if in.message(1) {
				r.Attributes = append(r.Attributes, in.raw)
			}
		}
	}
	return r
}

// Metric is one metric of one scope of a resource.
type Metric struct {
	Name, Unit []byte
	Scope      []byte // the library that has measured, as it came; nil: none is named
	Kind       Kind
	// Delta: points of a Sum or a histogram tell what came since the one before, and not since Start; and Cumulative is
	// the other way. One that is neither cannot be understood.
	Delta, Cumulative bool
	Monotonic         bool // of a Sum: it never falls
	raw               []byte
}

// Metrics are those of all scopes.
func (r Resource) Metrics() iter.Seq[Metric] {
	return func(yield func(Metric) bool) {
		scopes := fields{rest: r.raw}
		for scopes.next() {
			if scopes.message(metricsWithin) && !scope(scopes.raw, yield) {
				return
			}
		}
	}
}

func scope(raw []byte, yield func(Metric) bool) bool {
	var name []byte
	for _, wanted := range []protowire.Number{resourceOfAll, metricsWithin} { // in whatever order they stand
		f := fields{rest: raw}
		for f.next() {
			switch {
			case !f.message(wanted):
			case wanted == resourceOfAll:
				name = f.raw
			default:
				m := metric(f.raw)
				m.Scope = name
				if !yield(m) {
					return false
				}
			}
		}
	}
	return true
}

func metric(raw []byte) Metric {
	var m Metric
	f := fields{rest: raw}
	for f.next() {
		switch kind, isData := dataOf(f.num); {
		case f.message(1):
			m.Name = f.raw
		case f.message(3):
			m.Unit = f.raw
		case isData && f.raw != nil:
			m.Kind, m.raw = kind, f.raw
		}
	}
	in := fields{rest: m.raw}
	for in.next() {
		switch {
		case in.is(2, protowire.VarintType):
			m.Delta, m.Cumulative = in.n == 1, in.n == 2
		case in.is(3, protowire.VarintType):
			m.Monotonic = in.n != 0
		}
	}
	return m
}

// Points reads each point into p, which is used again for the next one. An error is that of a point; the rest goes on.
func (m Metric) Points(p *Point) iter.Seq[error] {
	return func(yield func(error) bool) {
		f := fields{rest: m.raw}
		for f.next() {
			if !f.message(pointsOfMetric) {
				continue
			}
			p.reset()
			if err := p.read(m.Kind, f.raw); !yield(err) {
				return
			}
		}
	}
}
