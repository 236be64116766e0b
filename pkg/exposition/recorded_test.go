package exposition

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestRecordedPages reads what real programs told, and compares it with what Prometheus' own library,
// which keeps whole pages in memory, reads. The pages come from Debian 12: prometheus 2.42,
// prometheus-alertmanager 0.25, prometheus-node-exporter 1.5 with --collector.disable-defaults and
// --collector.{cpu,meminfo,netstat,loadavg,stat,vmstat,pressure,sockstat}. Those of the
// rule pack are without what no rule is about; packaging/lab/badday writes them: haproxy 2.6, rabbitmq-server 3.10,
// prometheus-redis-exporter 1.45, prometheus-postgres-exporter 0.11, prometheus-nginx-exporter 0.11.
func TestRecordedPages(t *testing.T) {
	files, err := filepath.Glob("testdata/pages/*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("no pages: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, want := ours(t, text, Text), theirs(t, text)
			if len(got) < 5 {
				t.Errorf("%d samples", len(got))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-theirs +ours)\n%s", diff)
			}
			if diff := cmp.Diff(got, ours(t, delimited(t, slices.Collect(maps.Values(families(t, text)))...), Protobuf)); diff != "" {
				t.Errorf("(-text +protocol buffers)\n%s", diff)
			}
		})
	}
}

// write is a sample in a form of its own.
func write(name string, labels []string, v float64) string {
	slices.Sort(labels)
	return fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), v)
}

func ours(t *testing.T, text []byte, f Format) (all []string) {
	p := New(nil)
	for p.Reset(bytes.NewReader(text), f); p.Next(); {
		s := p.Sample()
		labels, err := Labels(s.Series)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, l := range labels {
			list = append(list, fmt.Sprintf("%s=%q", l.Name, l.Value))
		}
		all = append(all, write(string(s.Name), list, s.Value))
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// families are those of a page.
func families(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func theirs(t *testing.T, text []byte) (all []string) {
	for name, f := range families(t, text) {
		for _, m := range f.GetMetric() {
			all = append(all, spread(name, m)...)
		}
	}
	slices.Sort(all)
	return all
}

// spread makes the lines of a page out of a metric.
func spread(name string, m *dto.Metric) (all []string) {
	add := func(suffix string, v float64, more ...string) {
		for _, l := range m.GetLabel() {
			more = append(more, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		all = append(all, write(name+suffix, more, v))
	}
	switch {
	case m.Histogram != nil:
		for _, b := range m.Histogram.GetBucket() {
			add("_bucket", float64(b.GetCumulativeCount()), fmt.Sprintf("le=%q", fmt.Sprint(b.GetUpperBound())))
		}
		add("_sum", m.Histogram.GetSampleSum())
		add("_count", float64(m.Histogram.GetSampleCount()))
	case m.Summary != nil:
		for _, q := range m.Summary.GetQuantile() {
			add("", q.GetValue(), fmt.Sprintf("quantile=%q", fmt.Sprint(q.GetQuantile())))
		}
		add("_sum", m.Summary.GetSampleSum())
		add("_count", float64(m.Summary.GetSampleCount()))
	default:
		add("", m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetUntyped().GetValue())
	}
	return all
}
