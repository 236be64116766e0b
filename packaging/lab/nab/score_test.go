package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/anomaly"
)

// flat is a file of n rows with windows.
func flat(n int, windows ...window) file {
	f := file{name: "flat.csv", windows: windows}
	for i := range n {
		f.rows = append(f.rows, row{time.Unix(int64(300*i), 0), 1})
	}
	return f
}

// said gives the rows a score and all others 0.
func said(n int, rows map[int]float64) []float64 {
	s := make([]float64, n)
	for i, v := range rows {
		s[i] = v
	}
	return s
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-4 {
		t.Errorf("%s is %.5f, want %.5f", what, got, want)
	}
}

// TestByHand: 20 rows, of which the first 3 are for learning, and one window of 5.
func TestByHand(t *testing.T) {
	f := flat(20, window{10, 14})
	for _, c := range []struct {
		name     string
		rows     map[int]float64
		standard float64 // raw
		lowFP    float64
		lowFN    float64
	}{
		{"nothing", nil, -1, -1, -2},
		{"left edge", map[int]float64{10: 1}, 1, 1, 1},
		{"second row", map[int]float64{11: 1}, 0.97709, 0.97709, 0.97709}, // σ(-4/5) / σ(-1) = 0.96403 / 0.98661
		{"right edge", map[int]float64{14: 1}, 0.46839, 0.46839, 0.46839}, // σ(-1/5) / σ(-1) = 0.46212 / 0.98661
		{"twice counts once", map[int]float64{11: 1, 14: 1}, 0.97709, 0.97709, 0.97709},
		{"while learning", map[int]float64{0: 1, 2: 1}, -1, -1, -2},
		{"before", map[int]float64{3: 1}, -1.11, -1.22, -2.11},
		{"shortly after", map[int]float64{16: 1}, -1.09331, -1.18663, -2.09331}, // σ(2/4) = -0.84828
		{"at once", map[int]float64{10: 1, 3: 1, 16: 1}, 0.79669, 0.59337, 0.79669},
	} {
		scores := [][]float64{said(20, c.rows)}
		for i, want := range []float64{c.standard, c.lowFP, c.lowFN} {
			got, _ := profiles[i].at(0.5, []file{f}, scores)
			near(t, c.name+", "+profiles[i].name, got.raw, want)
		}
	}
}

// TestFarAfter: beyond three widths an alarm costs all.
func TestFarAfter(t *testing.T) {
	got, _ := profiles[0].at(0.5, []file{flat(100, window{20, 24})}, [][]float64{said(100, map[int]float64{37: 1})})
	near(t, "13 rows after a window of 5", got.raw, -1.11)
	got, _ = profiles[0].at(0.5, []file{flat(100, window{20, 24})}, [][]float64{said(100, map[int]float64{25: 1})})
	near(t, "one row after it", got.raw, -1-0.11*0.55455) // σ(1/4)
}

func TestNullAndPerfect(t *testing.T) {
	files := []file{flat(100, window{20, 29}, window{60, 69}), flat(50), flat(2000, window{800, 999})}
	null := [][]float64{said(100, nil), said(50, nil), said(2000, nil)}
	perfect := [][]float64{said(100, map[int]float64{20: 1, 60: 0.7}), said(50, nil), said(2000, map[int]float64{800: 0.6})}
	for _, p := range profiles {
		_, figure := p.best(files, null)
		near(t, p.name+" of nothing", figure, 0)
		best, figure := p.best(files, perfect)
		near(t, p.name+" of the perfect", figure, 100)
		near(t, "its threshold", best.threshold, 0.6)
	}
}

// TestOneThreshold: it is the best one for all files together, and rows of one score stand or fall together.
func TestOneThreshold(t *testing.T) {
	files := []file{flat(100, window{50, 59}), flat(100, window{50, 59})}
	scores := [][]float64{
		said(100, map[int]float64{50: 0.9, 20: 0.5, 21: 0.5, 22: 0.5}),
		said(100, map[int]float64{50: 0.5, 23: 0.4}),
	}
	best, figure := profiles[0].best(files, scores)
	near(t, "raw", best.raw, 2-3*0.11)
	near(t, "threshold", best.threshold, 0.5)
	near(t, "figure", figure, 100*(2-0.33+2)/4)
	if best.found != 2 || best.alarms != 3 {
		t.Errorf("found %d windows and %d alarms, want 2 and 3", best.found, best.alarms)
	}
	near(t, "with each other's threshold", profiles[0].crossed(files, scores), 100*(1-0.33-1+2)/4)
}

func TestProbation(t *testing.T) {
	for rows, want := range map[int]int{20: 3, 1127: 169, 4032: 604, 5000: 750, 22695: 750} {
		if got := flat(rows).probation(); got != want {
			t.Errorf("%d rows have %d for learning, want %d", rows, got, want)
		}
	}
}

// corpus writes a folder of one file.
func corpus(t *testing.T, labels, rows string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"windows.json": labels, "a.csv": rows} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRun goes all the way: a quiet file with one leap in its window.
func TestRun(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("timestamp,value\n")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		value := float64(i % 7)
		if i == 800 {
			value = 50
		}
		fmt.Fprintf(&rows, "%s,%g\n", at.Add(time.Duration(i)*5*time.Minute).Format(time.DateTime), value)
	}
	edge := func(i int) string { return at.Add(time.Duration(i) * 5 * time.Minute).Format(time.DateTime) }
	dir := corpus(t, fmt.Sprintf(`{"a.csv": [["%s.000000", "%s.000000"]]}`, edge(800), edge(850)), rows.String())
	var out strings.Builder
	if err := run(&out, dir, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 files, 1000 rows, 1 windows", "reward-low-FN  ", "  100.0  ", "\na "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	files, err := readCorpus(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s := detect(files)[0]; s[800] < anomaly.Usual || s[799] > 0.5 {
		t.Errorf("the leap scores %.2f, and the row before it %.2f", s[800], s[799])
	}
}

func TestBadCorpus(t *testing.T) {
	const rows = "timestamp,value\n2026-01-01 00:00:00,1\n2026-01-01 00:05:00,2\n"
	for _, c := range []struct{ labels, rows, want string }{
		{`{`, rows, "windows.json: unexpected end"},
		{`{}`, rows, "names no files"},
		{`{"../a.csv": []}`, rows, "not below the corpus"},
		{`{"b.csv": []}`, rows, "no such file"},
		{`{"a.csv": []}`, "", "heading: EOF"},
		{`{"a.csv": []}`, "timestamp,value\nnoon,1\n", `line 2: parsing time "noon"`},
		{`{"a.csv": []}`, "timestamp,value\n2026-01-01 00:00:00,much\n", `line 2: strconv.ParseFloat`},
		{`{"a.csv": [["2026-01-01 00:00:00", "2026-01-01 00:07:00"]]}`, rows, "no row is of 2026-01-01 00:07:00"},
		{`{"a.csv": [["2026-01-01 00:05:00", "2026-01-01 00:00:00"]]}`, rows, "is empty or begins before"},
	} {
		if _, err := readCorpus(corpus(t, c.labels, c.rows)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.labels, err, c.want)
		}
	}
}
