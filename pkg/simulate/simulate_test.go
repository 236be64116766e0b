package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// load reads rules with their tests.
func load(t testing.TB, path string) *config.Agent {
	t.Helper()
	cfg, diags := config.LoadTests(path, config.LoadOptions{Host: "h"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if len(cfg.Tests) == 0 {
		t.Fatalf("%s has no tests", path)
	}
	return cfg
}

// report is a result as a failing test of ours shows it.
func report(r Result) string {
	var b strings.Builder
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "at %s, %s: want %q, got %q %s\n", f.At, f.What, f.Want, f.Got, f.Hint)
	}
	for _, l := range r.Story {
		fmt.Fprintf(&b, "%8s  %-8s %s\n", l.At, l.Type, l.Text)
	}
	return b.String()
}

// TestHost: the invented host does what its own tests say.
func TestHost(t *testing.T) {
	for _, path := range []string{
		"testdata/host.hcl", "testdata/unit.hcl", "testdata/slo.hcl", "testdata/idle.hcl", "testdata/change.hcl",
		"testdata/slow.hcl",
	} {
		cfg := load(t, path)
		for _, test := range cfg.Tests {
			if r := Run(cfg, test); len(r.Failures) > 0 {
				t.Errorf("%s\n%s", test.Name, report(r))
			}
		}
	}
}

// TestDocumentedChanges runs the tests that the page about changes shows.
func TestDocumentedChanges(t *testing.T) {
	page, err := os.ReadFile("../../docs/changes.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, block := range strings.Split(string(page), "```hcl\n")[1:] {
		example, _, _ := strings.Cut(block, "```")
		if !strings.Contains(example, "\ntest ") {
			continue
		}
		path := filepath.Join(t.TempDir(), "page.hcl")
		if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := load(t, path)
		for _, test := range cfg.Tests {
			if r := Run(cfg, test); len(r.Failures) > 0 {
				t.Errorf("%s\n%s", test.Name, report(r))
			}
			ran++
		}
	}
	if ran == 0 {
		t.Error("the page shows no test")
	}
}

// TestShippedRules runs the tests of the rules that the packages carry. Each rule is seen to fire in one of them, and
// each of them has rules that it keeps quiet or ends: a rule whose test never saw it fire is not tested.
func TestShippedRules(t *testing.T) {
	cfg := load(t, "../../configs")
	fired := map[string]bool{}
	for _, test := range cfg.Tests {
		r := Run(cfg, test)
		if len(r.Failures) > 0 {
			t.Errorf("%s\n%s", test.Name, report(r))
		}
		for _, l := range r.Story {
			name, _, fires := strings.Cut(l.Text, " fires for ")
			fired[name] = fired[name] || fires
		}
	}
	for _, rule := range cfg.Rules {
		if !fired[rule.Name] && !rule.BuiltIn {
			t.Errorf("no test makes %s fire", rule.Name)
		}
	}
}

// TestRemedyExamples runs what the page about remedies shows of each kind: its own rule has it run, unless that takes a person,
// and the tests hold. Only what heals nothing is shown with what comes after it.
func TestRemedyExamples(t *testing.T) {
	for _, kind := range remedy.Names() {
		cfg := load(t, "../../configs/remedies/"+kind+".hcl")
		ran := false
		for _, test := range cfg.Tests {
			r := Run(cfg, test)
			if len(r.Failures) > 0 {
				t.Errorf("%s: %s\n%s", kind, test.Name, report(r))
			}
			for _, l := range r.Story {
				ran = ran || l.Type == incident.EvAct
			}
		}
		shown := cfg.Remedies
		for _, s := range cfg.Services {
			shown = append(shown, s.Remedies...)
		}
		other := slices.ContainsFunc(shown, func(rem *config.Remedy) bool { return string(rem.Kind) != kind && !remedy.Kind(kind).Gathers() })
		if len(shown) == 0 || other || ran == remedy.Kind(kind).ByPerson() {
			t.Errorf("%s: the example has %d remedies, which ran: %v", kind, len(shown), ran)
		}
	}
}

// TestWrongRuleIsCaught: a rule with a mistake fails the test that was written for it, and only that one.
func TestWrongRuleIsCaught(t *testing.T) {
	cfg := load(t, "testdata/wrong/memory.hcl")
	for _, test := range cfg.Tests {
		caught := strings.Contains(test.Name, "page cache")
		if r := Run(cfg, test); len(r.Failures) > 0 != caught {
			t.Errorf("%s: caught %t\n%s", test.Name, !caught, report(r))
		}
	}
}

// TestFailures: each kind of expectation can fail, says what it wanted and what was so, and where it stands.
func TestFailures(t *testing.T) {
	cfg := load(t, "testdata/wrong/expect.hcl")
	var got []string
	for _, f := range Run(cfg, cfg.Tests[0]).Failures {
		got = append(got, fmt.Sprintf("%d %s %s: want %q, got %q; %s",
			f.Range.Start.Line, f.At, f.What, f.Want, f.Got, f.Hint))
	}
	want := []string{
		`21 15s firing: want ["ill"], got []; `,
		`22 15s pending: want [], got ["ill"]; `,
		`23 15s blind: want ["ill"], got []; `,
		`26 30s firing: want ["ill" "ill" "busy"], got ["ill"]; busy takes no part: series does not give host.cpu.busy`,
		`27 30s attempts: want ["restart verified"], got ["restart verifying"]; `,
		`28 30s would: want ["restart"], got []; `,
		`25 30s incidents of host: want ["open"], got ["none"]; `,
		`25 30s incidents of web: want ["none"], got ["healing"]; `,
		`25 30s said: want ["nobody says so"], got []; `,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSameAgain: a test has one result, also when it ran before on the same configuration.
func TestSameAgain(t *testing.T) {
	cfg := load(t, "testdata/host.hcl")
	for _, test := range cfg.Tests {
		if diff := cmp.Diff(Run(cfg, test).Story, Run(cfg, test).Story); diff != "" {
			t.Errorf("%s (-first +second)\n%s", test.Name, diff)
		}
	}
}

// BenchmarkRun runs a test of a minute with two attempts.
func BenchmarkRun(b *testing.B) {
	cfg := load(b, "testdata/host.hcl")
	for b.Loop() {
		Run(cfg, cfg.Tests[0])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tests/s")
}
