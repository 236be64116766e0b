package control

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/packaging/lab/load"
)

// paced is a caller whose operations take as long as they say, and no time.
type paced struct {
	ops  []load.Op
	each time.Duration
	n    int
}

func (p *paced) Next(context.Context) (load.Op, time.Duration, error) {
	op := p.ops[p.n%len(p.ops)]
	p.n++
	return op, p.each, nil
}

func (p *paced) Finish(context.Context) error { return nil }

// round is one whose rates are those of a driver that counts; only its times are known.
func round(t *testing.T, each time.Duration, ops ...load.Op) Round {
	t.Helper()
	f, err := load.Drive(t.Context(), []load.Caller{&paced{ops: ops, each: each}}, load.Plan{For: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return Round{Figures: f, Cores: 1.5, Done: 30, Entries: 10}
}

func sample(t *testing.T) *Result {
	t.Helper()
	r := &Result{Disk: "ext4", opts: Options{Nodes: []int{1, 3}, Callers: []int{1, 256}, Rounds: 1, Seed: 7}}
	r.add(nameSalve, 3, 256, round(t, 4*time.Millisecond, load.Grant, load.Settle))
	peer := round(t, 5*time.Millisecond, load.Put)
	peer.Elected = true
	r.add(nameEtcd, 3, 256, peer)
	r.Kills = []*Kill{
		{Tool: nameEtcd, Took: []time.Duration{1400e6}, Stalls: 1},
		{Tool: nameSalve, Took: []time.Duration{900e6, 1500e6, 1000e6}, Stalls: 3, Elections: 1},
		{Tool: nameFast, Took: []time.Duration{600e6}, Stalls: 1, Elections: 1},
	}
	r.Idle = []*Idle{
		{Sessions: 5000, Before: 20 << 20, RSS: (20 << 20) + 5000*50<<10, CPU: 15.0, Heartbeats: 75000, Entries: 3},
		{Sessions: 1000, Before: 20 << 20, RSS: (20 << 20) + 1000*50<<10, CPU: 2.0, Heartbeats: 15000},
	}
	r.Storm = &Storm{Sessions: 5000, Took: load.Samples{time.Second, 3 * time.Second}, Busy: 9}
	return r
}

func TestBudgets(t *testing.T) {
	got := map[string]string{}
	r := sample(t)
	for _, b := range append(append(r.permitBudgets(), r.killBudgets()...), r.idleBudgets()...) {
		got[b.what] = b.verdict()
	}
	for what := range got { // how often a caller that takes no time was called is no figure
		if strings.Contains(what, "beside puts") {
			delete(got, what)
		}
	}
	want := map[string]string{
		"3 nodes, 256 callers: p99 of a grant beside a put's":                "met",
		"3 nodes, 256 callers: p99 of a settlement beside a put's":           "met",
		"leader killed → next grant, default profile, median":                "met",
		"leader killed → next grant, fast profile, median":                   "**missed by 50 %**",
		"elections after the leader stood still for 200 ms, default profile": "**missed**",
		"5000 idle agents: memory of a session":                              "met",
		"5000 idle agents: log entries a heartbeat":                          "met",
		"5000 idle agents: memory of a session beside 1000 agents":           "met",
		"5000 idle agents: processor time of a session beside 1000 agents":   "**missed by 20 %**",
		"5000 agents reconnect at once: hosts held for lost":                 "met",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("budgets (-want +got):\n%s", diff)
	}
}

// Promises from below are missed from below.
func TestAtLeast(t *testing.T) {
	for got, want := range map[float64]string{2: "met", 3: "met", 1.5: "**missed by 25 %**"} {
		if v := (budget{limit: 2, got: got, atLeast: true}).verdict(); v != want {
			t.Errorf("%v of at least 2 is %q, want %q", got, v, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	got := sample(t).Markdown()
	for _, want := range []string{
		"| 4.00 / 4.00 | 4.00 / 4.00 | 5.00 / 5.00 | 1.50 / 1.50 | 3.0 / 3.0 |\n",
		"etcd, 3 nodes, 256 callers: the leader changed in 1 of 1 rounds.",
		"| Salve | 3 | 1000 | 1500 | 1500 | 1 of 3 |\n| Salve, fast profile | 1 | 600 |",
		"| 5000 | 20.0 → 264.1 | 50.0 | 0.00 → 15.00 | 3.00 |",
		"75000 → 3 |",
		"the last after 3.00 s; told to come later 9 times",
		"| leader killed → next grant, fast profile, median | ≤ 0.4 s | 0.6 s | **missed by 50 %** |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("report lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "other work") {
		t.Error("a quiet machine is called busy")
	}
	noisy := sample(t)
	noisy.Load, noisy.Failed = 3.25, []string{partIdle}
	if !strings.Contains(noisy.Markdown(), "**Not measured to the end: idle.**") {
		t.Error("a part that failed is not told")
	}
	if !strings.Contains(noisy.Markdown(), "(load average 3.2 before") {
		t.Error("a busy machine is not told")
	}
	if strings.Contains(got, "| 1 | 256 |") {
		t.Error("a row for what was not measured")
	}
}

// Of several rounds the median counts, and the samples of all.
func TestCellJoinsRounds(t *testing.T) {
	c := &Cell{Rounds: []Round{{Cores: 1}, {Cores: 5}, {Cores: 2}}}
	for i := range c.Rounds {
		c.Rounds[i].Figures = round(t, time.Duration(i+1)*time.Millisecond, load.Put).Figures
	}
	n := 0
	for _, r := range c.Rounds {
		n += len(r.Figures.Took(load.Put))
	}
	if got := c.took(load.Put); len(got) != n || got.Max() != 3*time.Millisecond || got.Quantile(0) != time.Millisecond {
		t.Errorf("%d samples of %d, up to %v", len(got), n, got.Max())
	}
	if c.cores() != 2 {
		t.Errorf("%v cores", c.cores())
	}
	if median([]float64{4, 1, 3, 2}) != 2.5 || median(nil) != 0 {
		t.Error("the median is none")
	}
}
