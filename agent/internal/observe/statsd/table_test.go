package statsd

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/metric"
)

func sel(t testing.TB, text string) metric.Selector {
	t.Helper()
	s, err := metric.ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const window = 2 * time.Second

// golden are the signals of a shop.
func golden(t testing.TB) []source.Metric {
	return []source.Metric{
		{Name: "errors", Definition: metric.Definition{Kind: metric.Ratio, Of: sel(t, "http_requests{code=~'5..'}"),
			All: sel(t, "http_requests"), Window: window}},
		{Name: "traffic", Definition: metric.Definition{Kind: metric.Rate, Of: sel(t, "http_requests"), Window: window}},
		{Name: "p90", Definition: metric.Definition{Kind: metric.Quantile, Share: 0.9, Of: sel(t, "http_latency"),
			Window: window}},
		{Name: "queue", Definition: metric.Definition{Kind: metric.Gauge, Of: sel(t, "queue"), Fold: metric.Sum}},
	}
}

// rig is one table with the lines for it.
type rig struct {
	*table
	lines
}

// rounds gives each text to a table as one datagram, a second apart, and returns the table after the last.
func rounds(t testing.TB, texts ...string) *rig {
	r := &rig{table: newTable(golden(t), time.Second)}
	r.begin(0)
	r.set([]*table{r.table})
	for i, text := range texts {
		r.take([]byte(text))
		r.end(time.Duration(i+1) * time.Second)
	}
	return r
}

// end ends a round.
func (r *rig) end(at time.Duration) {
	if r.table.end(at) {
		r.forget()
	}
}

// TestFigures: what lines make, once a window is full of them. Each case is repeated for as long.
func TestFigures(t *testing.T) {
	unknown := math.NaN()
	for _, tt := range []struct {
		lines                        string
		errors, traffic, p90, queues float64
	}{
		{"", unknown, unknown, unknown, unknown},
		{"http.requests:3|c|#code:200\nhttp.requests:1|c|#code:503\n", 0.25, 4, unknown, unknown},
		{"http.requests:1|c|@0.1|#code:200\r\nhttp.requests:1:2:3|c|#x,code:200,", 0, 16, unknown, unknown},
		{"http.requests:0|c", unknown, 0, unknown, unknown},
		{"http.latency:250|ms\nhttp-latency:0.25|h|#a:b\nhttp_latency:0.25|d|@0.5", unknown, unknown, 0.25, unknown},
		{"queue:3|g|#q:mail\nqueue:4|g|#q:web\nqueue:1|g|#q:mail", unknown, unknown, unknown, 5},
		{"queue:10|g\nqueue:-3|g\nqueue:+1|g", unknown, unknown, unknown, 8},
		{"queue:10|g|c:ci-1|e:it-x|card:low|#a", unknown, unknown, unknown, 10},
		{"_e{1,1}:a|b\n_sc|x|0\nother:x|y\nqueue:1|g", unknown, unknown, unknown, 1},
		{"queue:1|c\nhttp.requests:1|g", unknown, unknown, unknown, unknown}, // of another kind
	} {
		tb := rounds(t, tt.lines, tt.lines, tt.lines, tt.lines)
		if tb.bad != 0 {
			t.Errorf("%q: %v", tt.lines, tb.complaint())
		}
		for i, want := range []float64{tt.errors, tt.traffic, tt.p90, tt.queues} {
			f := tb.figures[i].Take()
			off := math.Abs(f.Value - want)
			if f.Known == math.IsNaN(want) || f.Known && off > 0.19*want {
				t.Errorf("%q: %s is %+v, want %v", tt.lines, golden(t)[i].Name, f, want)
			}
		}
	}
}

// What came once is known from then on: a counter does not grow, and a gauge stays, until nobody knows any more.
func TestSilence(t *testing.T) {
	texts := make([]string, 700)
	texts[0] = "http.requests:5|c\nqueue:7|g"
	tb := rounds(t, texts[:500]...)
	if f := tb.figures[1].Take(); !f.Known || f.Value != 0 {
		t.Errorf("traffic is %+v", f)
	}
	if f := tb.figures[3].Take(); !f.Known || f.Value != 7 {
		t.Errorf("queue is %+v", f)
	}
	tb = rounds(t, texts...)
	if f := tb.figures[1].Take(); !f.Known || f.Value != 0 {
		t.Errorf("traffic is %+v after long", f)
	}
	if f := tb.figures[3].Take(); f.Known {
		t.Errorf("queue is %+v after long", f)
	}
	tb.take([]byte("queue:2|g"))
	tb.end(800 * time.Second)
	if f := tb.figures[3].Take(); !f.Known || f.Value != 2 {
		t.Errorf("queue is %+v once it is back", f)
	}
}

func TestBadLines(t *testing.T) {
	for text, want := range map[string]error{
		"queue": errForm, "queue:1": errForm, "queue:1|g|": errForm, ":1|g": errName,
		strings.Repeat("x", 201) + ":1|g": errName, "queue:1|x": errKind, "queue:1|s": errSet, "queue:|g": errValue,
		"queue:1::2|g": errValue, "queue:NaN|g": errValue, "queue:-Inf|g": errValue, "queue:1e19|g": errValue,
		"http.requests:-1|c": errBelow, "http.latency:-1|ms": errBelow, "http.requests:1|c|@0": errRate,
		"http.requests:1|c|@2": errRate, "http.requests:1|c|@": errRate, "queue:1|g|T1700000000": errTime,
		"queue:1|g|#a:\xff": errLetter, "queue:1|g|#" + strings.Repeat("x", 1025): errTags,
	} {
		tb := rounds(t, text+"\n\nqueue:5|g")
		if tb.bad != 1 || !errors.Is(tb.complaint(), want) {
			t.Errorf("%.50q: %v, want %v", text, tb.complaint(), want)
		}
		if f := tb.figures[3].Take(); f.Value != 5 {
			t.Errorf("%.50q: the line after it was not read: %+v", text, f)
		}
	}
}

// Tags without end cost no more memory, and nothing that is counted; too many gauges are a fault of their metric.
func TestExplodingTags(t *testing.T) {
	tb := rounds(t, "http.requests:0|c")
	pad := strings.Repeat("x", 900)
	for i := range 4000 {
		id := strings.Repeat("i", i%7) + time.Duration(i).String()
		tb.take([]byte("http.requests:1|c|#id:" + id + pad + "\nqueue:1|g|#id:" + id))
		if tb.size > maxHeads {
			t.Fatalf("%d bytes are kept", tb.size)
		}
	}
	tb.end(2 * time.Second)
	if f := tb.figures[3].Take(); f.Known || f.Fault == nil {
		t.Errorf("queue is %+v", f)
	}
	tb.end(time.Second + window)
	if f := tb.figures[1].Take(); !f.Known || f.Value != 4000/window.Seconds() {
		t.Errorf("traffic is %+v", f)
	}
}

// FuzzLines: whatever comes, what is known is a number, and no more than is allowed is kept.
func FuzzLines(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		tb := rounds(t, string(b), string(b), string(b), string(b))
		for _, fig := range tb.figures {
			if v := fig.Take(); v.Known && (math.IsNaN(v.Value) || math.IsInf(v.Value, 0)) {
				t.Errorf("%s is %v", fig.Definition, v)
			}
		}
		if tb.size > maxHeads {
			t.Errorf("%d bytes are kept", tb.size)
		}
	})
}

// Lines whose value cannot be read say nothing, and not that it is zero.
func TestBrokenValues(t *testing.T) {
	const lines = "http.requests:x|c\nqueue:x|g"
	tb := rounds(t, lines, lines, lines, lines)
	for i, f := range tb.figures {
		if got := f.Take(); got.Known || tb.bad != 8 {
			t.Errorf("figure %d of %d bad lines: %+v", i, tb.bad, got)
		}
	}
}
