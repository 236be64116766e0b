package exposition

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
)

// delimited is a page of these families.
func delimited(t testing.TB, families ...*dto.MetricFamily) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := protodelim.MarshalTo(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// family reads one as people write it.
func family(t testing.TB, text string) *dto.MetricFamily {
	t.Helper()
	f := &dto.MetricFamily{}
	if err := prototext.Unmarshal([]byte(text), f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// told is what the parser makes of a page, a line each, and the error.
func told(page []byte, wants func([]byte) bool) (all []string, err error) {
	p := New(wants)
	for p.Reset(bytes.NewReader(page), Protobuf); p.Next(); {
		s := p.Sample()
		line := fmt.Sprintf("%s %g", s.Series, s.Value)
		if s.Timed {
			line += fmt.Sprintf(" %d", s.Millis)
		}
		if s.Beside {
			line += " beside"
		}
		if n := s.Native; n != nil {
			line += fmt.Sprintf(" zero %g:%g below %g", n.Threshold, n.Zero, n.Below)
			n.Each(func(from, to, events float64) { line += fmt.Sprintf(" 2^%g-2^%g:%g", from, to, events) })
		}
		if len(s.Exemplar) > 0 {
			line += " # " + string(s.Exemplar)
		}
		all = append(all, line)
	}
	return all, p.Err()
}

const exemplarText = `label { name: "id" value: "a\"b\n" } value: 1.5 timestamp { seconds: 7 nanos: 250000000 }`

func TestProtobufLines(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"counter", `name: "a" type: COUNTER metric { label { name: "x" value: "1\\\"\n" } counter { value: 3 exemplar {` +
			exemplarText + `} } timestamp_ms: 9 }`, []string{`a{x="1\\\"\n"} 3 9 # {id="a\"b\n"} 1.5 7.25`}},
		{"summary", `name: "a" metric { summary { sample_count: 3 sample_sum: 2 quantile { quantile: 0.5 value: 1 } } }`,
			[]string{`a{quantile="0.5"} 1`, `a_sum 2`, `a_count 3`}},
		{"classic", `name: "a" metric { label { name: "x" value: "1" } histogram { sample_count: 3 sample_sum: 2
			bucket { cumulative_count: 1 upper_bound: 0.1 exemplar {` + exemplarText + `} } } }`,
			[]string{`a_bucket{x="1",le="0.1"} 1 # {id="a\"b\n"} 1.5 7.25`, `a_bucket{x="1",le="+Inf"} 3`, `a_sum{x="1"} 2`,
				`a_count{x="1"} 3`}},
		{"classic of floats, with an end of its own", `name: "a" metric { histogram { sample_count_float: 2.5
			bucket { cumulative_count_float: 2.5 upper_bound: inf } } }`, []string{`a_bucket{le="+Inf"} 2.5`, `a_sum 0`, `a_count 2.5`}},
		{"native", `name: "a" metric { histogram { sample_count: 9 schema: 1 zero_threshold: 0.5 zero_count: 2
			positive_span { offset: -1 length: 2 } positive_span { offset: 3 length: 1 } positive_delta: [1, 1, -1]
			negative_span { offset: 2 length: 2 } negative_delta: [1, 2] exemplars { value: 1 timestamp { seconds: 3 } }
			exemplars {` + exemplarText + `} exemplars { value: 2 timestamp { seconds: 4 } } } }`,
			[]string{`a_bucket{le="+Inf"} 9 beside`,
				`a 0 zero 0.5:2 below 4 2^-1-2^-0.5:1 2^-0.5-2^0:2 2^1.5-2^2:1 # {id="a\"b\n"} 1.5 7.25`, `a_sum 0`, `a_count 9`}},
		{"native of floats", `name: "a" metric { histogram { sample_count_float: 4 schema: -4 zero_count_float: 0.5
			positive_span { offset: 1 length: 1 } positive_count: 3.5 } }`,
			[]string{`a_bucket{le="+Inf"} 4 beside`, `a 0 zero 0:0.5 below 0 2^0-2^16:3.5`, `a_sum 0`, `a_count 4`}},
		{"native without events", `name: "a" metric { histogram { positive_span { } } }`,
			[]string{`a_bucket{le="+Inf"} 0 beside`, `a 0 zero 0:0 below 0`, `a_sum 0`, `a_count 0`}},
		{"a name that needs quotes", `name: "a.b" metric { gauge { value: 3 } }`, nil},
	} {
		got, err := told(delimited(t, family(t, c.text)), nil)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", c.name, err, diff)
		}
	}
}

// Only what is wanted is read: the rest may even be wrong, and large.
func TestProtobufWanted(t *testing.T) {
	large := family(t, `name: "b" metric { label { name: "x" value: "`+strings.Repeat("x", 10*maxLine)+`" } gauge { value: 1 } }`)
	page := delimited(t, large, family(t, `name: "b" metric { histogram { schema: 9 zero_count: 1 } }`),
		family(t, `name: "a" metric { histogram { sample_count: 3 bucket { cumulative_count: 1 upper_bound: 1 } zero_count: 1 } }`))
	for _, want := range [][]string{{"a_bucket", `a_bucket{le="1"} 1 beside`, `a_bucket{le="+Inf"} 3 beside`, `a 0 zero 0:1 below 0`},
		{"a_sum", `a_sum 0`}, {"a_count", `a_count 3`}, {"a"}} {
		got, err := told(page, func(name []byte) bool { return string(name) == want[0] })
		if diff := cmp.Diff(want[1:], got); err != nil || len(got) != len(want)-1 || len(got) > 0 && diff != "" {
			t.Errorf("%s: %v, %q", want[0], err, got)
		}
	}
}

func TestProtobufErrors(t *testing.T) {
	histogram := func(text string) []byte { return delimited(t, family(t, `name: "a" metric { histogram {`+text+`} }`)) }
	good := delimited(t, family(t, `name: "a" metric { gauge { value: 3 } }`))
	long := strings.Repeat("x", 8<<10)
	raw := func(fields ...byte) []byte { return append([]byte{byte(len(fields))}, fields...) }
	for _, c := range []struct {
		name string
		page []byte
		want string
	}{
		{"cut in a metric", good[:len(good)-1], `family 1 "a": the page ends in the middle of a family`},
		{"cut in a length", []byte{0x80}, `family 1 "": the page ends in the middle of a family`},
		{"too large a family", protowire.AppendVarint(nil, maxPage+1), "the page is longer than 16 MiB"},
		{"too large a page", bytes.Repeat(raw(append([]byte{0x12, 100}, long[:100]...)...), maxPage/100), "the page is longer than 16 MiB"},
		{"a length that is none", bytes.Repeat([]byte{0xff}, 11), "too many bytes"},
		{"a field longer than its family", raw(0x0a, 5, 'a'), "something in it is longer than it is itself"},
		{"a number longer than its family", raw(0x18, 0x80), "something in it is longer than it is itself"},
		{"a field that families have not", raw(0x0d, 0, 0, 0, 0), "a field of it has the type 5"},
		{"a metric before the name", raw(0x22, 0, 0x0a, 1, 'a'), "a metric comes before its name"},
		{"no message", raw(0x0a, 1, 'a', 0x22, 1, 0xff), "not a message of protocol buffers"},
		{"a large metric", delimited(t, family(t, `name: "a" metric { label { name: "x" value: "`+long+long+`" } gauge { value: 1 } }`)),
			"the metric is longer than 16 KiB"},
		{"a metric of long lines", histogram(strings.Repeat(`bucket { upper_bound: 1 } `, 100) + `} label { name: "x" value: "` + long + `"`),
			"the metric has more than 256 KiB as text"},
		{"a label", delimited(t, family(t, `name: "a" metric { label { name: "x=\"1\",y" value: "1" } gauge { value: 1 } }`)),
			"has a name that no selector can have"},
		{"custom buckets", histogram(`schema: -53 positive_span { length: 1 } positive_delta: 1`), "its schema -53 is not between -4 and 8"},
		{"a fine schema", histogram(`schema: 9 zero_count: 1`), "its schema 9 is not"},
		{"spans without counts", histogram(`positive_span { length: 4294967295 }`), "its spans do not have as many"},
		{"counts without spans", histogram(`zero_count: 1 negative_delta: [1]`), "its spans do not have as many"},
		{"a count below zero", histogram(`positive_span { length: 2 } positive_delta: [1, -2]`), "a count of it is below zero"},
		{"no count", histogram(`positive_span { length: 1 } positive_count: nan`), "a count of it is below zero, or not a number"},
		{"no zero", histogram(`zero_count_float: inf`), "a count of it is below zero, or not a number"},
		{"no threshold", histogram(`zero_count: 1 zero_threshold: nan`), "the width of its bucket about zero"},
		{"many counts", histogram(`positive_span { length: 1 } ` + strings.Repeat("positive_delta: 0 ", maxNative+1)), "a list in it is too long"},
		{"many spans", histogram(strings.Repeat("positive_span { } ", maxNative+1)), "a list in it is too long"},
	} {
		if _, err := told(c.page, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// FuzzProtobuf: whatever comes, reading ends without a panic, with lines that a text page may have, and with counts.
func FuzzProtobuf(f *testing.F) {
	f.Add(delimited(f, family(f, `name: "a" metric { counter { value: 3 exemplar {`+exemplarText+`} } }`),
		family(f, `name: "b" metric { histogram { sample_count: 9 schema: 1 zero_threshold: 0.5 zero_count: 2
			positive_span { offset: -1 length: 2 } positive_delta: [1, 1] bucket { cumulative_count: 1 upper_bound: 0.1 } } }`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := New(nil)
		for p.Reset(bytes.NewReader(b), Protobuf); p.Next(); {
			s := p.Sample()
			if len(s.Name) == 0 || name(s.Name, true) != len(s.Name) || !bytes.HasPrefix(s.Series, s.Name) {
				t.Errorf("%q is the name of %q", s.Name, s.Series)
			}
			_, _ = Labels(s.Series)
			_, _ = ReadExemplar(s.Exemplar)
			if s.Native == nil {
				continue
			}
			s.Native.Each(func(from, to, events float64) {
				if !(from < to) || !(events > 0) || math.IsInf(events, 0) {
					t.Errorf("%g events from 2^%g to 2^%g", events, from, to)
				}
			})
		}
		_ = p.Err()
	})
}
