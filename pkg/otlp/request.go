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

	"github.com/salveops/salve/pkg/wire"
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
	f := wire.Of(raw)
	for f.Next() {
		if f.Raw == nil {
			continue
		}
		n := 0
		_, isData := dataOf(f.Num)
		switch {
		case depth == 0 && f.Num == 1, (depth == 1 || depth == 2) && f.Num == metricsWithin, depth == 3 && isData:
			n, err = count(f.Raw, depth+1)
		case depth == 1 && f.Num == resourceOfAll:
			_, err = count(f.Raw, 5)
		case depth == 4 && f.Num == pointsOfMetric:
			n = 1
		}
		if err != nil {
			return 0, err
		}
		points += n
	}
	return points, f.Err
}

// Resource is who has measured: a process, as a rule.
type Resource struct {
	Attributes Attributes
	raw        []byte
}

// Resources are those of a request.
func Resources(request []byte) iter.Seq[Resource] {
	return func(yield func(Resource) bool) {
		f := wire.Of(request)
		for f.Next() {
			if f.Message(1) && !yield(resource(f.Raw)) {
				return
			}
		}
	}
}

func resource(raw []byte) Resource {
	r := Resource{raw: raw}
	f := wire.Of(raw)
	for f.Next() {
		if !f.Message(resourceOfAll) {
			continue
		}
		in := wire.Of(f.Raw)
		for in.Next() {
			if in.Message(1) {
				r.Attributes = append(r.Attributes, in.Raw)
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
		scopes := wire.Of(r.raw)
		for scopes.Next() {
			if scopes.Message(metricsWithin) && !scope(scopes.Raw, yield) {
				return
			}
		}
	}
}

func scope(raw []byte, yield func(Metric) bool) bool {
	var name []byte
	for _, wanted := range []protowire.Number{resourceOfAll, metricsWithin} { // in whatever order they stand
		f := wire.Of(raw)
		for f.Next() {
			switch {
			case !f.Message(wanted):
			case wanted == resourceOfAll:
				name = f.Raw
			default:
				m := metric(f.Raw)
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
	f := wire.Of(raw)
	for f.Next() {
		switch kind, isData := dataOf(f.Num); {
		case f.Message(1):
			m.Name = f.Raw
		case f.Message(3):
			m.Unit = f.Raw
		case isData && f.Raw != nil:
			m.Kind, m.raw = kind, f.Raw
		}
	}
	in := wire.Of(m.raw)
	for in.Next() {
		switch {
		case in.Is(2, protowire.VarintType):
			m.Delta, m.Cumulative = in.N == 1, in.N == 2
		case in.Is(3, protowire.VarintType):
			m.Monotonic = in.N != 0
		}
	}
	return m
}

// Points reads each point into p, which is used again for the next one. An error is that of a point; the rest goes on.
func (m Metric) Points(p *Point) iter.Seq[error] {
	return func(yield func(error) bool) {
		f := wire.Of(m.raw)
		for f.Next() {
			if !f.Message(pointsOfMetric) {
				continue
			}
			p.reset()
			if err := p.read(m.Kind, f.Raw); !yield(err) {
				return
			}
		}
	}
}
