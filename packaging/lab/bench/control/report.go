package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/load"
)

// Markdown is the report: permits beside puts, lost leaders, idle agents, and the budgets.
func (r *Result) Markdown() string {
	var b strings.Builder
	o := r.opts
	fmt.Fprintf(&b, "Data on one disk (%s), everything on loopback. Seed %d.\n\n", r.Disk, o.Seed)
	if r.Load > busy {
		fmt.Fprintf(&b, "**The machine had other work** (load average %.1f before the first measurement): ratios compare the same "+
			"minutes, but absolute figures are worse than they could be, and single rounds differ widely.\n\n", r.Load)
	}
	if len(r.Failed) > 0 {
		fmt.Fprintf(&b, "**Not measured to the end: %s.** What is there of it stands below.\n\n", strings.Join(r.Failed, ", "))
	}
	r.permitTable(&b)
	r.killTable(&b)
	r.idleTable(&b)
	r.budgetTable(&b)
	return b.String()
}

// busy is the load average from where on a run does not have the machine for itself.
const busy = 1

func (r *Result) permitTable(b *strings.Builder) {
	if len(r.Cells) == 0 {
		return
	}
	o := r.opts
	fmt.Fprintf(b, `### Permits beside etcd's puts

A caller is one host with its own session; it asks for a permit, waits for the grant, settles it, waits for the answer, and
asks for the next. Each of the two is one command of %d bytes in the log: a *permit* is a grant, *commands* are grants and
settlements together. An etcd caller puts its own key, %d bytes a put, and waits. On both sides up to %d callers share a
TCP connection to the leader. Rates are the median of %d rounds of %v each, after %v to warm up, with a fresh cluster each
round and the contenders in turn; times are of all rounds together, in milliseconds. Cores: processor
time of all nodes. An entry of the log holds what arrived together.

| nodes | callers | permits/s | commands/s | puts/s | commands ÷ puts | permits ÷ puts | grant p50 / p99 | settle p50 / p99 | put p50 / p99 | cores, Salve / etcd | commands an entry, Salve / etcd |
|---|---|---|---|---|---|---|---|---|---|---|---|
`, commandSize, commandSize, perConn, o.Rounds, o.Measure, o.Warm)
	for _, n := range o.Nodes {
		for _, callers := range o.Callers {
			r.permitRow(b, n, callers)
		}
	}
	b.WriteString("\n")
	for _, c := range r.Cells {
		if n := c.elections(); n > 0 {
			fmt.Fprintf(b, "%s, %d nodes, %d callers: the leader changed in %d of %d rounds.\n\n", c.Tool, c.Nodes, c.Callers, n, len(c.Rounds))
		}
	}
}

func (r *Result) permitRow(b *strings.Builder, n, callers int) {
	own, peer := r.cell(nameSalve, n, callers), r.cell(nameEtcd, n, callers)
	if own == nil || peer == nil {
		return
	}
	permits, commands, puts := own.rate(load.Grant), own.rate(load.Grant, load.Settle), peer.rate(load.Put)
	fmt.Fprintf(b, "| %d | %d | %.0f | %.0f | %.0f | %.2f × | %.2f × | %s | %s | %s | %.2f / %.2f | %.1f / %.1f |\n", n, callers,
		permits, commands, puts, commands/puts, permits/puts,
		spread(own.took(load.Grant)), spread(own.took(load.Settle)), spread(peer.took(load.Put)), own.cores(), peer.cores(),
		own.perEntry(), peer.perEntry())
}

// spread is "median / p99" in milliseconds.
func spread(s load.Samples) string {
	return fmt.Sprintf("%s / %s", millis(s.Quantile(0.5)), millis(s.Quantile(0.99)))
}

// millis has three digits that count.
func millis(d time.Duration) string {
	switch ms := d.Seconds() * 1e3; {
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	default:
		return fmt.Sprintf("%.0f", ms)
	}
}

func (r *Result) killTable(b *strings.Builder) {
	if len(r.Kills) == 0 {
		return
	}
	fmt.Fprintf(b, `### Leader lost

Three nodes, the leader killed with SIGKILL at a moment by chance. From the kill until the next permit is granted to an agent
that looks for the next leader every 5 to 10 ms, or the next put is committed of those sent to both survivors every %d ms. Before
each kill the leader is stopped for %v (SIGSTOP, which is more than a stalled disk): it must keep its place.

| contender | tries | median ms | p90 ms | worst ms | elections after a stall |
|---|---|---|---|---|---|
`, tryEvery.Milliseconds(), stallTime)
	for _, name := range []string{nameSalve, nameFast, nameEtcd} {
		for _, k := range r.Kills {
			if k.Tool != name {
				continue
			}
			s := load.NewSamples(slices.Clone(k.Took))
			fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %d of %d |\n", k.Tool, len(s), millis(s.Quantile(0.5)),
				millis(s.Quantile(0.9)), millis(s.Max()), k.Elections, k.Stalls)
		}
	}
	b.WriteString("\n")
}

func (r *Result) idleTable(b *strings.Builder) {
	if len(r.Idle) == 0 {
		return
	}
	fmt.Fprintf(b, `### Idle agents

One node; each agent has its own TCP connection, pings every 2 s and confirms its standing orders. They connect all at once. A
session's cost is what the node has more (RSS) or spends more (processor time, watched for %v) than without sessions.

| sessions | RSS MiB, without → with | KiB a session | CPU s/min, without → with | CPU ms/min a session | connected after | told to come later | slowest heartbeat ms | heartbeats → log entries |
|---|---|---|---|---|---|---|---|---|
`, r.opts.Rest)
	for _, i := range r.Idle {
		fmt.Fprintf(b, "| %d | %.1f → %.1f | %.1f | %.2f → %.2f | %.2f | %.2f s | %d | %s | %d → %d |\n", i.Sessions, mib(i.Before), mib(i.RSS),
			i.perSession()/1024, i.CPUBefore, i.CPU, i.cpuPerSession(), i.Connecting.Seconds(), i.Busy, millis(i.SlowestRTT),
			i.Heartbeats, i.Entries)
	}
	b.WriteString("\n")
	if s := r.Storm; s != nil {
		fmt.Fprintf(b, "%d agents lose their leader at once (three nodes, SIGKILL): half of them are welcome at the next one after "+
			"%.2f s, 99 %% after %.2f s, the last after %.2f s; told to come later %d times; hosts held for lost meanwhile "+
			"and until %v after: %d.\n\n", s.Sessions, s.Took.Quantile(0.5).Seconds(), s.Took.Quantile(0.99).Seconds(),
			s.Took.Max().Seconds(), s.Busy, r.opts.Lost, s.Lost)
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
