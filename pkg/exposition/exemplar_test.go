package exposition

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/metric"
)

func TestExemplars(t *testing.T) {
	trace := []metric.Label{{Name: "trace_id", Value: `a}"b`}}
	for raw, want := range map[string]*Exemplar{
		` {trace_id="a}\"b"} 0.5 1.25`: {Labels: trace, Value: 0.5, Timed: true, Millis: 1250},
		`{trace_id="a}\"b"}	-3  `:      {Labels: trace, Value: -3},
		`{} 1 -2`:                      {Value: 1, Timed: true, Millis: -2000},
		``:                             nil,
		`trace_id="a" 1`:               nil,
		`{trace_id="a" 1`:              nil,
		`{trace_id=a} 1`:               nil,
		`{trace_id="a"}`:               nil,
		`{trace_id="a"} one`:           nil,
		`{trace_id="a"} NaN`:           nil,
		`{trace_id="a"} +Inf`:          nil,
		`{trace_id="a"} 1 now`:         nil,
		`{trace_id="a"} 1 1e300`:       nil,
		`{trace_id="a"} 1 2 3`:         nil,
	} {
		got, ok := ReadExemplar([]byte(raw))
		if ok != (want != nil) {
			t.Errorf("%s: %+v, %v", raw, got, ok)
		}
		if want != nil {
			if diff := cmp.Diff(*want, got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", raw, diff)
			}
		}
	}
}

// A sample has what comes after it in OpenMetrics, and nothing of the line before it.
func TestSampleHasItsExemplar(t *testing.T) {
	p := New(nil)
	p.Reset(strings.NewReader("a_total{x=\"#\"} 3 1.5 # {t=\"1\"} 1 2\nb 1\n# EOF\n"), OpenMetrics)
	for _, want := range []string{` {t="1"} 1 2`, ""} {
		if !p.Next() || string(p.Sample().Exemplar) != want {
			t.Errorf("%q, %v; want %q", p.Sample().Exemplar, p.Err(), want)
		}
	}
}
