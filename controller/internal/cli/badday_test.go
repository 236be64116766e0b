package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/controller/internal/cli"
)

// The rule pack, and a day on which the services that it is about were broken: what an agent recorded, with the incidents
// that truly happened. packaging/lab/badday makes it; happened.txt beside it says what was done when.
const (
	packFolder = "../../../configs/rules.d"
	dayFolder  = "testdata/badday"
)

// backtested is what `salve backtest` says of rules on that day.
func backtested(t *testing.T, rules string) string {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(context.Background(), cli.Options{
		Args: []string{"backtest", "--recording", filepath.Join(dayFolder, "day.slr"), rules},
		Out:  &out, Err: &errs, Getenv: func(string) string { return "" },
	})
	if code != 0 || errs.Len() > 0 {
		t.Fatalf("backtest ends with %d: %s", code, &errs)
	}
	return out.String()
}

// TestBadDay: the pack sees each trouble of the day and calls nothing else one. UPDATE=1 rewrites the report.
func TestBadDay(t *testing.T) {
	report := filepath.Join(dayFolder, "report.txt")
	got := backtested(t, packFolder)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(report, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the pack says something else of the day (-want +got)\n%s", diff)
	}
	if !strings.Contains(got, "precision 100 %; no recorded incidents missed\n") {
		t.Errorf("the pack is wrong about the day:\n%s", got)
	}
}

// TestBadDayTellsAWrongRule: a rule of the pack that loses its second signal calls what only looked like trouble, and one
// that looks at the wrong thing misses what was. Either shows in the report.
func TestBadDayTellsAWrongRule(t *testing.T) {
	for _, c := range []struct{ file, right, wrong, says string }{
		{"redis.hcl", "metric.refused > 0 && metric.clients", "metric.refused >= 0 && metric.clients", "precision 8"},
		{"postgresql.hcl", "pool.sessions.waiting > 0", "pool.sessions.waiting > 50", "; 1 recorded incident missed"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(packFolder)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, c.file)
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), c.right) {
			t.Fatalf("%s has no %q (%v)", c.file, c.right, err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), c.right, c.wrong, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := backtested(t, dir); !strings.Contains(got, c.says) {
			t.Errorf("with %s it should say %q:\n%s", c.wrong, c.says, got)
		}
	}
}
