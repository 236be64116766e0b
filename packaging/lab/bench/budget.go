package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// budgetTable holds measured figures against what Salve promises (agent/DESIGN.md, budgets).
func budgetTable(b *strings.Builder, lines []budget) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprint(b, "Budgets:\n\n| budget | services | allowed | measured | |\n|---|---|---|---|---|\n")
	for _, l := range lines {
		verdict := "met"
		if l.got > l.limit {
			verdict = fmt.Sprintf("**missed by %.0f %%**", 100*(l.got/l.limit-1))
		}
		fmt.Fprintf(b, "| %s | %d | ≤ %.2f%s | %.2f%s | %s |\n", l.what, l.services, l.limit, l.unit, l.got, l.unit, verdict)
	}
	b.WriteString("\n")
}

// budget is one promise at one number of services: got must not exceed limit.
type budget struct {
	what       string
	services   int
	limit, got float64
	unit       string
}

// budgets are those of each number of services where both sides were measured.
func (r *Result) budgets() []budget {
	var all []budget
	for _, own := range r.sorted() {
		if own.Tool != nameSalve {
			continue
		}
		n := own.Services
		if took := own.Tries[crash.name].Median(); took > 0 {
			all = append(all, budget{"crash, median", n, 35, millis(took), " ms"})
		}
		if at0 := r.row(nameAt0, n); at0 != nil {
			all = append(all, ratio("crash beside RestartSec=0", n, 1.4, own.Tries[crash.name], at0.Tries[crash.name])...)
		}
		if peer := r.row(nameMonit, n); peer != nil {
			all = append(all, besideMonit(own, peer)...)
		}
		if own.Usage != nil && n == 100 {
			all = append(all, memoryBudget(n, *own.Usage))
		}
	}
	return all
}

func besideMonit(own, peer *Row) []budget {
	n := own.Services
	all := slices.Concat(
		ratio("crash beside Monit", n, 0.08, own.Tries[crash.name], peer.Tries[crash.name]),
		ratio("hang, 3 of 3, beside Monit", n, 0.8, own.Tries[hang.name], peer.Tries[hang.name]),
		ratio("leak beside Monit", n, 0.4, own.Tries[leak.name], peer.Tries[leak.name]),
	)
	if own.Usage != nil && peer.Usage != nil {
		all = append(all, cpuBudget(n, *own.Usage, *peer.Usage))
	}
	return all
}

func cpuBudget(n int, own, peer Usage) budget {
	return budget{"CPU beside Monit", n, peer.CPU, own.CPU, " s/min"}
}

func memoryBudget(n int, own Usage) budget {
	return budget{"memory (RSS)", n, 24, mib(own.Memory.RSS), " MiB"}
}

// ratio holds two medians against each other; nothing comes of it where one side did not heal.
func ratio(what string, n int, limit float64, own, other *Tries) []budget {
	if own.Median() == 0 || other.Median() == 0 {
		return nil
	}
	return []budget{{what, n, limit, own.Median().Seconds() / other.Median().Seconds(), " ×"}}
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
