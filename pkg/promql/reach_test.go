package promql

import (
	"strings"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	tests := []struct {
		expr string
		want time.Duration
	}{
		{`queue_depth`, Lookback},
		{`queue_depth{job="a"}`, Lookback},
		{`{__name__="queue_depth"}`, Lookback},
		{`job:queue_depth:sum > 5`, Lookback},
		{`rate(errors_total[1m])`, time.Minute},
		{`rate(errors_total {path="/[5h](\"]"} [ 1m ])`, time.Minute},
		{`last_over_time(queue_depth[1m30s500ms])`, 90*time.Second + 500*time.Millisecond},
		{`sum by (job) (rate(a[1m])) / on (job) group_left (x, y) sum(rate(b[2m])) by (job)`, 2 * time.Minute},
		{`sum without (instance) (rate(a[1m])) * 5 > bool 1e-3`, time.Minute},
		{`a[1m] unless b`, Lookback},
		{`max_over_time(rate(a[1m])[10m:])`, 11 * time.Minute},
		{`max_over_time(a[10m:30s])`, Lookback + 10*time.Minute},
		{`max_over_time((rate(a[1m]) + rate(b[3m]))[10m:1m]) or rate(c[12m])`, 13 * time.Minute},
		{`rate(a[1m] offset 2m) / rate(b[1m] offset -2m)`, 3 * time.Minute},
		{`(rate(a[1m])) offset 1w`, time.Minute + 7*24*time.Hour},
		{`vector(1)`, 0},
		{`time() - Inf + NaN`, 0},
		{`histogram_quantile(0.99, sum by(le) (rate(a_bucket[30s])))`, 30 * time.Second},
		{`histogram_quantile(0.99, a)`, Lookback},
		{"rate(a[1m]) # and b\n", time.Minute},
		{"# a\nsum(\n\tb\n)", Lookback},
		{`absent(up{job='x'}) or label_replace(rate(b[1m]), "up", "[9h]", 'c', ` + "`\\`" + `)`, Lookback},
		{`sum`, Lookback},
		{`by`, 0}, // which no server takes
		{`{"dotted.name"}[2m]`, 2 * time.Minute},
		{`a{x="1"} + {y="2"}`, Lookback},
		{`rate(a[1m]) + {y="2"}`, Lookback},
		{``, 0},
	}
	for _, tt := range tests {
		if got, err := Reach(tt.expr); got != tt.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", tt.expr, got, err, tt.want)
		}
	}
}

func TestReachIsUnknown(t *testing.T) {
	for expr, want := range map[string]string{
		`rate(a[5m)`:                 "character 7: a ] is missing",
		`rate(a[5m]`:                 "a ) is missing",
		`rate(a[5m]))`:               "character 12: no ( belongs to this )",
		`a{x="}`:                     `character 5: a " is missing`,
		`a{x='1'`:                    "character 8: a } is missing",
		`sum by (a`:                  "a ) is missing",
		`a[$__range]`:                `character 2: "$__range" is no duration`,
		`a[]`:                        `"" is no duration`,
		`a[5]`:                       `"5" is no duration`,
		`a[5m3]`:                     `"5m3" is no duration`,
		`a[5parsecs]`:                `"5parsecs" is no duration`,
		`a[3y]`:                      `"3y" is no duration of up to two years`,
		`a[1y1y1ms]`:                 `no duration of up to two years`,
		`a[99999999999999999999s]`:   "no duration",
		`a @ start()`:                "character 3: @ asks about a moment of its own",
		`a offset x`:                 `"x" is no duration`,
		"`" + strings.Repeat("x", 9): "a ` is missing",
	} {
		if got, err := Reach(expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s", expr, got, err, want)
		}
	}
}

// FuzzReach: whatever somebody writes, reading it ends. A range or an offset that is added never makes the reach shorter,
// but the first after a selector, which replaces the lookback.
func FuzzReach(f *testing.F) {
	f.Add(`sum by (job) (rate(a{b="c"}[1m] offset 5m)) / max_over_time(d[10m:1m]) # e`)
	f.Fuzz(func(t *testing.T, expr string) {
		d, err := Reach(expr)
		if d < 0 || err != nil && d != 0 {
			t.Fatalf("%q: %s, %v", expr, d, err)
		}
		within, fault := Reach("(" + expr + "\n)[1m:]")
		if err == nil && (fault != nil || within != d+time.Minute) {
			t.Errorf("%q: %s; within a subquery %s, %v", expr, d, within, fault)
		}
	})
}
