package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/packaging/lab/load"
)

// budget is one promise: got must not exceed limit, or with atLeast not stay below it.
type budget struct {
	what       string
	limit, got float64
	unit       string
	atLeast    bool
}

// verdict says whether it is kept, or by how much it is missed.
func (b budget) verdict() string {
	switch {
	case b.atLeast && b.got >= b.limit, !b.atLeast && b.got <= b.limit:
		return "met"
	case b.limit == 0:
		return "**missed**"
	case b.atLeast:
		return fmt.Sprintf("**missed by %.0f %%**", 100*(1-b.got/b.limit))
	}
	return fmt.Sprintf("**missed by %.0f %%**", 100*(b.got/b.limit-1))
}

func (b budget) sign() string {
	if b.atLeast {
		return "≥"
	}
	return "≤"
}

// budgetTable holds the measured figures against what Salve promises.
func (r *Result) budgetTable(b *strings.Builder) {
	lines := slices.Concat(r.permitBudgets(), r.killBudgets(), r.idleBudgets())
	if len(lines) == 0 {
		return
	}
	fmt.Fprint(b, "### Budgets\n\n| budget | allowed | measured | |\n|---|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(b, "| %s | %s %.3g%s | %.3g%s | %s |\n", l.what, l.sign(), l.limit, l.unit, l.got, l.unit, l.verdict())
	}
	b.WriteString("\n")
}

// permitBudgets are about three nodes and many callers.
func (r *Result) permitBudgets() []budget {
	var all []budget
	for _, callers := range []int{256, 1024} {
		own, peer := r.cell(nameSalve, 3, callers), r.cell(nameEtcd, 3, callers)
		if own == nil || peer == nil || peer.rate(load.Put) == 0 {
			continue
		}
		at := fmt.Sprintf("3 nodes, %d callers: ", callers)
		puts, p99 := peer.rate(load.Put), peer.took(load.Put).Quantile(0.99).Seconds()
		all = append(all,
			budget{at + "commands beside puts", 2, own.rate(load.Grant, load.Settle) / puts, " ×", true},
			budget{at + "permits alone beside puts", 2, own.rate(load.Grant) / puts, " ×", true},
			budget{at + "p99 of a grant beside a put's", 1, own.took(load.Grant).Quantile(0.99).Seconds() / p99, " ×", false},
			budget{at + "p99 of a settlement beside a put's", 1, own.took(load.Settle).Quantile(0.99).Seconds() / p99, " ×", false},
		)
	}
	return all
}

func (r *Result) killBudgets() []budget {
	var all []budget
	for _, k := range r.Kills {
		took := load.NewSamples(slices.Clone(k.Took)).Quantile(0.5).Seconds()
		switch k.Tool {
		case nameSalve:
			all = append(all,
				budget{"leader killed → next grant, default profile, median", 1.2, took, " s", false},
				budget{"elections after the leader stood still for 200 ms, default profile", 0, float64(k.Elections), "", false})
		case nameFast:
			all = append(all, budget{"leader killed → next grant, fast profile, median", 0.4, took, " s", false})
		}
	}
	return all
}

// idleBudgets: growth is linear if a session among many costs no more than one among fewer, but for noise.
func (r *Result) idleBudgets() []budget {
	if len(r.Idle) == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(r.Idle), func(a, b *Idle) int { return a.Sessions - b.Sessions })
	most := sorted[len(sorted)-1]
	at := fmt.Sprintf("%d idle agents: ", most.Sessions)
	all := []budget{
		{at + "memory of a session", 60, most.perSession() / 1024, " KiB", false},
		{at + "log entries a heartbeat", 0.001, float64(most.Entries) / float64(max(most.Heartbeats, 1)), "", false},
	}
	if len(sorted) > 1 {
		fewer := sorted[len(sorted)-2]
		beside := fmt.Sprintf(" of a session beside %d agents", fewer.Sessions)
		all = append(all, growth(at+"memory"+beside, most.perSession(), fewer.perSession())...)
		all = append(all, growth(at+"processor time"+beside, most.cpuPerSession(), fewer.cpuPerSession())...)
	}
	if r.Storm != nil {
		all = append(all, budget{fmt.Sprintf("%d agents reconnect at once: hosts held for lost", r.Storm.Sessions), 0,
			float64(r.Storm.Lost), "", false})
	}
	return all
}

// growth compares what a session costs; nothing comes of it where so few cost nothing that could be measured.
func growth(what string, most, fewer float64) []budget {
	if fewer <= 0 {
		return nil
	}
	return []budget{{what, linear, most / fewer, " ×", false}}
}

// linear is how much more a session may cost among five times as many.
const linear = 1.25
