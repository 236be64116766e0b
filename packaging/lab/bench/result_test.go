package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func took(ms ...int) []time.Duration {
	var out []time.Duration
	for _, m := range ms {
		out = append(out, time.Duration(m)*time.Millisecond)
	}
	return out
}

func TestTriesCell(t *testing.T) {
	for name, tc := range map[string]struct {
		tries *Tries
		want  string
	}{
		"never tried":     {nil, "–"},
		"odd":             {&Tries{Took: took(30, 10, 20)}, "20 / 30"},
		"even":            {&Tries{Took: took(40, 10, 20, 30)}, "25 / 40"},
		"some not healed": {&Tries{Took: took(10), Failed: 2}, "10 / 10, 2 not healed"},
		"none healed":     {&Tries{Failed: 3}, "3 not healed"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.tries.String(); got != tc.want {
				t.Errorf("cell is %q, want %q", got, tc.want)
			}
		})
	}
}

func sample() *Result {
	r := &Result{}
	for _, add := range []struct {
		tool, fault string
		ms          int
	}{
		{nameAt0, crash.name, 20}, {nameMonit, crash.name, 600}, {nameSalve, crash.name, 30},
		{nameMonit, hang.name, 1500}, {nameSalve, hang.name, 1300}, {nameSalve, leak.name, 100},
	} {
		r.add(add.tool, 100, add.fault, time.Duration(add.ms)*time.Millisecond, true)
	}
	r.add(nameMonit, 100, leak.name, 0, false)
	r.rest(nameMonit, 100, Usage{CPU: 1})
	r.rest(nameSalve, 100, Usage{CPU: 0.5})
	return r
}

func tells(t *testing.T, report string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(report, want) {
			t.Errorf("report lacks %q:\n%s", want, report)
		}
	}
}

// A ratio with a side that never healed must not pass for a met budget.
func TestBudgets(t *testing.T) {
	got := map[string]float64{}
	for _, b := range sample().budgets() {
		got[b.what] = b.got / b.limit
	}
	want := map[string]float64{
		"crash, median":              30.0 / 35,
		"crash beside RestartSec=0":  1.5 / 1.4,
		"crash beside Monit":         0.05 / 0.08,
		"hang, 3 of 3, beside Monit": 1300.0 / 1500 / 0.8,
		"CPU beside Monit":           0.5,
		"memory (RSS)":               0,
	}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("budgets (-want +got):\n%s", diff)
	}
}

func TestMarkdown(t *testing.T) {
	got := sample().Markdown()
	tells(t, got,
		"| Salve | 100 | 0.50 | 0.00 | 0.0 | 0.0 | 30 / 30 | 1300 / 1300 | – | 100 / 100 |\n| Monit",
		"| 1 not healed |",
		"| systemd RestartSec=0 | 100 | – | – | – | – | 20 / 20 | – | – | – |",
		"| crash beside RestartSec=0 | 100 | ≤ 1.40 × | 1.50 × | **missed by 7 %** |",
	)
}

func TestWriteBetween(t *testing.T) {
	path := filepath.Join(t.TempDir(), "B.md")
	if err := writeBetween(path, "bench", "one\n"); err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(src, "\nWhat people say.\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeBetween(path, "bench", "two\n"); err != nil {
		t.Fatal(err)
	}
	src, _ = os.ReadFile(path)
	begin, end := marks("bench")
	want := "# Benchmarks\n\n" + begin + "\ntwo\n" + end + "\n\nWhat people say.\n"
	if diff := cmp.Diff(want, string(src)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if err := writeBetween(path, "bench of sources", "three\n"); err == nil {
		t.Error("a part without marks of its own was written")
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeBetween(path, "bench", "three\n"); err == nil {
		t.Error("a file without marks was overwritten")
	}
}
