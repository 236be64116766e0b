package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// marks are the two lines of a file between which everything belongs to a part of the bench; the rest is people's.
func marks(part string) (begin, end string) {
	return "<!-- " + part + ": begin, written by make bench -->", "<!-- " + part + ": end -->"
}

// Markdown is the report: where, the big table, the budgets, the Go benchmarks.
func (r *Result) Markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprint(&b, m.Headline())
	fmt.Fprintf(&b, "Command: `%s` (seed %d, %d tries, %v at rest).\n\n", m.Command, m.Seed, m.Tries, m.Rest)
	r.faultTable(&b)
	budgetTable(&b, r.budgets())
	goTable(&b, r.Go)
	return b.String()
}

var columns = []string{crash.name, hang.name, hangSingle.name, leak.name}

func (r *Result) faultTable(b *strings.Builder) {
	fmt.Fprintln(b, "From the fault to the first 200 of a new main process, median / worst, in milliseconds.")
	fmt.Fprintln(b, "At rest: processor time and memory of the tool alone; beside it what systemd spends meanwhile.")
	fmt.Fprintln(b)
	fmt.Fprintln(b, "| tool | services | CPU s/min | systemd CPU s/min | RSS MiB | PSS MiB |",
		strings.Join(columns, " | "), "|")
	fmt.Fprintln(b, "|---|---|---|---|---|---|"+strings.Repeat("---|", len(columns)))
	for _, row := range r.sorted() {
		fmt.Fprintf(b, "| %s | %d |", row.Tool, row.Services)
		if u := row.Usage; u != nil {
			fmt.Fprintf(b, " %.2f | %.2f | %.1f | %.1f |", u.CPU, u.Manager, mib(u.Memory.RSS), mib(u.Memory.PSS))
		} else {
			b.WriteString(" – | – | – | – |")
		}
		for _, c := range columns {
			fmt.Fprintf(b, " %s |", row.Tries[c])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// String is a cell: "569 / 971", with what did not heal, or "–" where nothing was tried.
func (t *Tries) String() string {
	switch {
	case t == nil:
		return "–"
	case len(t.Took) == 0:
		return fmt.Sprintf("%d not healed", t.Failed)
	case t.Failed > 0:
		return fmt.Sprintf("%d / %d, %d not healed", t.Median().Milliseconds(), t.Worst().Milliseconds(), t.Failed)
	}
	return fmt.Sprintf("%d / %d", t.Median().Milliseconds(), t.Worst().Milliseconds())
}

// goTable lists the Go benchmarks.
func goTable(b *strings.Builder, all []GoBench) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(b, "Go benchmarks:\n\n| package | benchmark | time | bytes | allocations | |\n|---|---|---|---|---|---|\n")
	for _, g := range all {
		fmt.Fprintf(b, "| %s | %s | %v | %.0f | %.0f | %s |\n", g.Package, g.Name, rounded(g.NS), g.Bytes, g.Allocs, g.Extra)
	}
}

// rounded has three digits that count.
func rounded(ns float64) string {
	d := time.Duration(ns)
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%.3g ns", ns)
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	}
	return fmt.Sprintf("%.3g ms", ns/1e6)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// writeBetween replaces what stands between a part's marks of a file, or makes the file.
func writeBetween(path, part, text string) error {
	begin, end := marks(part)
	src, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		src, err = []byte("# Benchmarks\n\n"+begin+"\n"+end+"\n"), nil
	}
	if err != nil {
		return err
	}
	head, rest, begun := strings.Cut(string(src), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return fmt.Errorf("write report: %s has no lines %q and %q", path, begin, end)
	}
	text = head + begin + "\n" + text + end + tail
	return os.WriteFile(path, []byte(text), 0o644)
}
