package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/simulate"
)

// testRun is what `salve test` found, as JSON and YAML show it.
type testRun struct {
	Passed int        `json:"passed"`
	Failed int        `json:"failed"`
	Tests  []testCase `json:"tests"`
	took   time.Duration
}

type testCase struct {
	Name     string        `json:"name"`
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Passed   bool          `json:"passed"`
	Failures []testFailure `json:"failures,omitempty"`
	Story    []testLine    `json:"story,omitempty"` // of one that failed
	took     time.Duration
}

type testFailure struct {
	At       string   `json:"at"`
	Expected string   `json:"expected"` // the key of the at block
	Want     []string `json:"want"`
	Got      []string `json:"got"`
	Hint     string   `json:"hint,omitempty"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
}

type testLine struct {
	At      string `json:"at"`
	Type    string `json:"type"`
	Service string `json:"service,omitempty"`
	Text    string `json:"text"`
}

func (a *app) test() *cobra.Command {
	c := &cobra.Command{
		Use:   "test PATH…",
		Short: "Run the tests of rules",
		Long: `Run the test blocks of rules. Each feeds the rules with invented signals and compares what fires, what is tried
and what comes of it with what the test expects. Decisions are those of the agent's own code; time is invented too.

A folder with an agent.hcl is tested as it is; any other folder or file as rules without their agent.hcl. Tests never
act on anything, and take every remedy as allowed.

Ends with 4 if a test fails or the rules are not valid, and with 3 if there is no test to run.`,
		Example: `  salve test /etc/salve/rules.d
  salve test --run 'disk|memory' -v rules.d/
  salve test --junit report.xml rules.d/`,
		GroupID: groupConfig,
		Args:    atLeastOne("a file or folder"),
	}
	out := addOutput(c)
	run := c.Flags().String("run", "", "only tests whose name matches this regular expression")
	verbose := c.Flags().BoolP("verbose", "v", false, "list tests that pass, and what happened in them")
	junit := c.Flags().String("junit", "", "write a report for CI systems into this file")
	c.RunE = func(c *cobra.Command, args []string) error {
		match, err := regexp.Compile(*run)
		if err != nil {
			return usagef("--run: %v", err)
		}
		sets, diags := a.testSets(args)
		if diags.HasErrors() {
			if err := a.writeDiagnostics(diags); err != nil {
				return err
			}
			return silently(exitFindings)
		}
		found, err := runTests(c.Context(), sets, match, *verbose)
		switch {
		case err != nil:
			return err
		case len(found.Tests) == 0:
			return &coded{code: exitNotFound, err: fmt.Errorf("there is no test to run in %s", strings.Join(args, ", "))}
		}
		if *junit != "" {
			if err := writeJUnit(*junit, found); err != nil {
				return err
			}
		}
		if err := out.show(c, found, func(w io.Writer) { writeTests(w, found, *verbose) }); err != nil {
			return err
		}
		if found.Failed > 0 {
			return silently(exitFindings)
		}
		return nil
	}
	return c
}

// testSets loads what each path names. Of the diagnostics only errors matter here: the rest is for `salve validate`.
func (a *app) testSets(paths []string) (sets []*config.Agent, errs hcl.Diagnostics) {
	for _, path := range paths {
		set, diags := config.LoadTests(path, config.LoadOptions{Getenv: a.Getenv})
		for _, d := range diags {
			if d.Severity == hcl.DiagError {
				errs = append(errs, d)
			}
		}
		if set != nil {
			sets = append(sets, set)
		}
	}
	return sets, errs
}

func runTests(ctx context.Context, sets []*config.Agent, match *regexp.Regexp, stories bool) (testRun, error) {
	found := testRun{Tests: []testCase{}}
	began := time.Now()
	for _, set := range sets {
		for _, t := range set.Tests {
			if !match.MatchString(t.Name) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return found, err
			}
			at := time.Now()
			one := testCaseOf(simulate.Run(set, t), stories)
			one.took = time.Since(at)
			found.Tests = append(found.Tests, one)
			if one.Passed {
				found.Passed++
			} else {
				found.Failed++
			}
		}
	}
	found.took = time.Since(began)
	return found, nil
}

func testCaseOf(r simulate.Result, stories bool) testCase {
	c := testCase{Name: r.Test.Name, File: r.Test.Range.Filename, Line: r.Test.Range.Start.Line,
		Passed: len(r.Failures) == 0}
	for _, f := range r.Failures {
		c.Failures = append(c.Failures, testFailure{At: defaults.Duration(f.At), Expected: f.What,
			Want: append([]string{}, f.Want...), Got: append([]string{}, f.Got...), Hint: f.Hint,
			File: f.Range.Filename, Line: f.Range.Start.Line, Column: f.Range.Start.Column})
	}
	if c.Passed && !stories {
		return c
	}
	for _, l := range r.Story {
		c.Story = append(c.Story,
			testLine{At: defaults.Duration(l.At), Type: string(l.Type), Service: l.Service, Text: l.Text})
	}
	return c
}

func writeTests(w io.Writer, found testRun, verbose bool) {
	for _, t := range found.Tests {
		if verbose || !t.Passed {
			writeTest(w, t)
		}
	}
	fmt.Fprintf(w, "%s passed, %s failed, in %s\n", story.Number(found.Passed, "test"), story.Number(found.Failed, "test"),
		found.took.Round(time.Millisecond))
}

// writeTest shows what was expected, what was so, and how it came to that.
func writeTest(w io.Writer, t testCase) {
	mark := "ok  "
	if !t.Passed {
		mark = "FAIL"
	}
	fmt.Fprintf(w, "%s  %s:%d: %s\n", mark, t.File, t.Line, t.Name)
	for _, f := range t.Failures {
		fmt.Fprintf(w, "  %s:%d:%d: at %s, %s\n    want  %s\n    got   %s\n", f.File, f.Line, f.Column, f.At, f.Expected,
			listed(f.Want), listed(f.Got))
		if f.Hint != "" {
			fmt.Fprintf(w, "    hint  %s\n", f.Hint)
		}
	}
	writeStory(w, t)
}

func writeStory(w io.Writer, t testCase) {
	switch {
	case len(t.Story) > 0:
		fmt.Fprintln(w, "  what happened")
	case !t.Passed:
		fmt.Fprintln(w, "  nothing happened")
	}
	for _, l := range t.Story {
		fmt.Fprintf(w, "    %8s  %-8s %s\n", l.At, l.Type, l.Text)
	}
}

// listed is a list in a sentence.
func listed(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// writeJUnit writes the report that CI systems read.
func writeJUnit(path string, found testRun) error {
	text, err := junitOf(found)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
