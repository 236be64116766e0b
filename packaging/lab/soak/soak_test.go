package main

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/packaging/lab/rig"
	loader "github.com/salveops/salve/pkg/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLine(t *testing.T) {
	for name, tc := range map[string]struct {
		x, y        []float64
		want, doubt float64
	}{
		"none":                     {nil, nil, 0, 0},
		"one":                      {[]float64{1}, []float64{7}, 0, 0},
		"all at one time":          {[]float64{1, 1}, []float64{7, 9}, 0, 0},
		"flat":                     {[]float64{0, 1, 2}, []float64{7, 7, 7}, 0, 0},
		"two":                      {[]float64{1, 3}, []float64{10, 6}, -2, 0},
		"a line":                   {[]float64{0, 1, 2, 3}, []float64{5, 8, 11, 14}, 3, 0},
		"one off the line":         {[]float64{0, 1, 2}, []float64{0, 3, 0}, 0, math.Sqrt(3)},
		"an outlier in the middle": {[]float64{0, 1, 2, 3, 4}, []float64{0, 1, 12, 3, 4}, 1, math.Sqrt(8.0 / 3)},
	} {
		got, doubt := line(tc.x, tc.y)
		if math.Abs(got-tc.want) > 1e-9 || math.Abs(doubt-tc.doubt) > 1e-9 {
			t.Errorf("%s: %v ± %v, want %v ± %v", name, got, doubt, tc.want, tc.doubt)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 3}, {[]float64{9, 1, 2}, 2}} {
		if got := median(tc.of); got != tc.want {
			t.Errorf("%v: %v", tc.of, got)
		}
	}
}

// grown is a process that is measured each minute; goroutines go by f.
func grown(kind string, minutes int, f func(minute int) float64) *subject {
	x := &subject{name: "x", kind: kind}
	for m := range minutes {
		s := sample{at: time.Duration(m) * time.Minute}
		s.is[goroutines] = f(m)
		x.samples = append(x.samples, s)
	}
	return x
}

func TestJudge(t *testing.T) {
	limit := limits[agents][goroutines]
	climb := func(from, by float64) func(int) float64 { return func(m int) float64 { return from + by*float64(m) } }
	saw := func(m int) float64 { return float64(m % 2 * 60) }
	slow := limit / 60
	for name, tc := range map[string]struct {
		f      func(int) float64
		row    row // without names and limit
		leaked bool
	}{
		"flat":             {func(int) float64 { return 80 }, row{start: 80, warm: 80, end: 80}, false},
		"grows to be warm": {func(m int) float64 { return float64(min(m, 10)) }, row{start: 0, warm: 10, end: 10}, false},
		"at its limit":     {climb(0, slow), row{warm: 12 * slow, end: 27 * slow, growth: limit}, false},
		"beyond its limit": {climb(0, 2), row{warm: 24, end: 54, growth: 120}, true},
		"noise alone":      {saw, row{end: 60, warm: 0, growth: math.NaN()}, false},
		"shrinks":          {climb(100, -1), row{start: 100, warm: 88, end: 73, growth: -60}, false},
	} {
		rows := judge([]*subject{grown(agents, 30, tc.f)}, 10*time.Minute)
		if len(rows) != int(figures) {
			t.Fatalf("%d rows", len(rows))
		}
		got := rows[goroutines]
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
		if math.IsNaN(tc.row.growth) { // whatever it is
			tc.row.growth = got.growth
		}
		if !near(got.start, tc.row.start) || !near(got.warm, tc.row.warm) || !near(got.end, tc.row.end) ||
			!near(got.growth, tc.row.growth) || got.limit != limit || got.leaks() != tc.leaked && !near(got.growth, limit) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Every figure of every kind has a limit: one of 0 would be none.
func TestLimits(t *testing.T) {
	for _, kind := range []string{controllers, agents} {
		for f, limit := range limits[kind] {
			if limit <= 0 || figureNames[f] == "" {
				t.Errorf("%s, %s: %v", kind, figureNames[f], limit)
			}
		}
	}
}

func TestReport(t *testing.T) {
	c := &course{}
	c.faults.Store(7)
	r := report{opts: Options{Time: 30 * time.Minute, Every: 15 * time.Second, Hosts: 4, Services: 6}, course: c,
		rows: []row{{process: "ctl1", figure: heap, start: 8, warm: 9, end: 9.5, growth: 1.25, doubt: 0.5,
			limit: 32}}}
	text := r.markdown()
	for _, want := range []string{"Nothing grew", "7 faults", "| ctl1 | heap MiB | 8.0 | 9.0 | 9.5 | +1.2 ± 0.5 | 32 | ok |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	r.rows[0].growth = 32.9 // within two standard errors
	if r.leaks() != 0 {
		t.Error("noise is told as a leak")
	}
	r.rows[0].growth = 33.1
	if text := r.markdown(); !strings.Contains(text, "**1 of 1 figures grew") || !strings.Contains(text, "**grows**") {
		t.Errorf("a leak is not told:\n%s", text)
	}
	r.opts.Time = 3 * time.Minute
	if text := r.markdown(); strings.Contains(text, "grew") || strings.Contains(text, "grows") {
		t.Errorf("a short run has a verdict:\n%s", text)
	}
}

// A process is measured as the kernel and it itself say.
func TestTake(t *testing.T) {
	answer := "# HELP x\ngo_goroutines 42\ngo_memstats_heap_inuse_bytes 2.097152e+06\nother 7\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &subject{name: "me", kind: agents, pid: os.Getpid(), metrics: server.Listener.Addr().String(), data: dir}
	if err := x.take(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	is := x.samples[0].is
	if is[goroutines] != 42 || is[heap] != 2 || is[data] != 3 || is[rss] < 1 || is[descriptors] < 3 || is[threads] < 2 {
		t.Errorf("%v", is)
	}
	answer = "go_goroutines 42\n"
	if err := x.take(t.Context(), time.Minute); err == nil || len(x.samples) != 1 {
		t.Errorf("half of the figures: %v", err)
	}
}

// What the soak ships is what the loaders take, with no name left between @ signs.
func TestConfig(t *testing.T) {
	p, err := rig.NewPager()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := &fleet{opts: Options{Service: "/bin/true"}, dir: t.TempDir(), pager: p}
	if err := os.WriteFile(f.pagerKey(), []byte("key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &host{name: "host1", dir: filepath.Join(f.dir, "host1"),
		patients: []*rig.Patient{rig.NewPatient("a", "127.0.0.1:1")}}
	all := map[string]string{
		"NAME": "n", "DIR": h.dir, "GRPC": "127.0.0.1:1", "RAFT": "127.0.0.1:2", "HTTP": "127.0.0.1:3",
		"PEERS": quoted([]string{"n=127.0.0.1:2", "o=127.0.0.1:4", "p=127.0.0.1:5"}),
		"PAGER": p.Addr, "PAGERKEY": f.pagerKey(),
		"NODES": quoted([]string{"127.0.0.1:1"}), "UNITS": quoted([]string{"a.service"}),
	}
	node, agent := filepath.Join(f.dir, "controller.hcl"), filepath.Join(h.dir, "agent.hcl")
	if err := errors.Join(ship("controller.hcl", node, all), ship("agent.hcl", agent, all), h.writeRules(1)); err != nil {
		t.Fatal(err)
	}
	if _, diags := loader.LoadController(node, loader.LoadOptions{}); diags.HasErrors() {
		t.Error(diags)
	}
	got, diags := loader.LoadAgent(agent, loader.LoadOptions{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if s := got.Service(service(0)); s == nil || len(s.Remedies) != 3 || s.Remedies[0].Name != "start-1" {
		t.Errorf("service %+v", s)
	}
	for _, name := range []string{node, agent, filepath.Join(h.dir, "rules.d", "service1.hcl")} {
		if text, err := os.ReadFile(name); err != nil || bytes.ContainsRune(text, '@') {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{Time: 3 * time.Minute, Every: 15 * time.Second, Pause: time.Second, Shift: time.Minute, Hosts: 1,
		Services: 1, Agent: "a", Controller: "c", Salve: "s", Service: "l"}
	if err := good.validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Options){
		"too short":  func(o *Options) { o.Time = 2 * time.Minute },
		"no period":  func(o *Options) { o.Every = 0 },
		"no pause":   func(o *Options) { o.Pause = 0 },
		"no hosts":   func(o *Options) { o.Hosts = 0 },
		"no service": func(o *Options) { o.Services = 0 },
	} {
		o := good
		if spoil(&o); o.validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// A run in which nothing was put to the test, or in which nobody could read, is none.
func TestIdle(t *testing.T) {
	for name, tc := range map[string]struct {
		healed, mended, reads, unread int64
		idle                          bool
	}{
		"nothing":           {0, 0, 100, 0, true},
		"good":              {100, 2, 600, 1, false},
		"people did it all": {10, 9, 600, 0, true},
		"nobody could read": {100, 0, 600, 400, true},
	} {
		c := &course{}
		c.healed.Store(tc.healed)
		c.mended.Store(tc.mended)
		c.reads.Store(tc.reads)
		c.unread.Store(tc.unread)
		if err := c.idle(); (err != nil) != tc.idle {
			t.Errorf("%s: %v", name, err)
		}
	}
}
