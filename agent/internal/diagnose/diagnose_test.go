package diagnose

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/agent/internal/observe/log"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
)

type figures struct {
	list    []observe.UnitFigure
	err     error
	matches map[string][]observe.LogMatch // by unit
	links   map[string][]observe.Link     // by unit
}

func (f figures) UnitFigures(observe.UnitRun) ([]observe.UnitFigure, error) { return f.list, f.err }

func (f figures) LogMatches(unit string) []observe.LogMatch { return f.matches[unit] }

func (f figures) Links(unit string) []observe.Link { return f.links[unit] }

type commands struct {
	argv []string
	out  program.Output
	err  error
}

func (c *commands) Command(_ context.Context, cmd program.Cmd) (program.Output, error) {
	if cmd.Purpose != program.Diagnose {
		return program.Output{}, errors.New("diagnosis runs a program that is not there to look")
	}
	c.argv = cmd.Argv
	return c.out, c.err
}

func newDoctor(t *testing.T, f figures, c *commands, user bool) *Doctor {
	t.Helper()
	system, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Clock: system, Figures: f, Commands: c, User: user})
}

var ill = systemd.Unit{Name: "web.service", Active: "active", Sub: "running", Result: "success", MainPID: 7,
	ControlGroup: "/system.slice/web.service", InvocationID: "abc"}

func TestVolatile(t *testing.T) {
	d := newDoctor(t, figures{list: []observe.UnitFigure{{File: "memory.current", Text: "4096"}}}, &commands{}, false)
	found := d.Volatile(t.Context(), ill)
	if len(found) != 3 {
		t.Fatalf("%d pieces of evidence", len(found))
	}
	if e := found[0]; e.Title != "unit web.service" || !strings.Contains(e.Text, "memory.current: 4096") ||
		!strings.Contains(e.Text, "main process 7") {
		t.Errorf("unit: %q\n%s", e.Title, e.Text)
	}
	if e := found[1]; e.Title != "top processes" || !strings.Contains(e.Text, "by memory:") {
		t.Errorf("processes: %q\n%s", e.Title, e.Text)
	}
	for _, e := range found {
		if e.At.IsZero() || strings.TrimSpace(e.Text) == "" {
			t.Errorf("%s has no time or no text", e.Title)
		}
	}
}

// What could not be had is said: silence would look like "nothing there".
func TestWhatIsMissingIsSaid(t *testing.T) {
	d := newDoctor(t, figures{err: errors.New("no such group")}, &commands{err: errors.New("journalctl: not found")}, false)
	if e := d.Volatile(t.Context(), ill)[0]; !strings.Contains(e.Text, "could not be had: no such group") {
		t.Errorf("unit: %s", e.Text)
	}
	if e := d.Durable(t.Context(), ill)[0]; !strings.Contains(e.Text, "could not be had: journalctl: not found") {
		t.Errorf("journal: %s", e.Text)
	}
	d = newDoctor(t, figures{}, &commands{out: program.Output{Code: 1, Stderr: []byte("No journal files were found.\n")}}, false)
	if e := d.Durable(t.Context(), ill)[0]; !strings.Contains(e.Text, "No journal files were found.") {
		t.Errorf("journal: %s", e.Text)
	}
}

func TestJournalOfTheRightManager(t *testing.T) {
	for user, option := range map[bool]string{false: "--unit", true: "--user-unit"} {
		c := &commands{out: program.Output{Stdout: []byte("line\n")}}
		d := newDoctor(t, figures{}, c, user)
		e := d.Durable(t.Context(), ill)[0]
		if i := slices.Index(c.argv, option); i < 0 || c.argv[i+1] != "web.service" || e.Text != "line\n" {
			t.Errorf("user %v: %v: %q", user, c.argv, e.Text)
		}
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	c := &commands{out: program.Output{Stdout: []byte(strings.Repeat("ä", maxText))}}
	e := newDoctor(t, figures{}, c, false).Durable(t.Context(), ill)[0]
	if len(e.Text) > maxText+100 || !strings.HasSuffix(e.Text, "(cut)\n") || strings.ContainsRune(e.Text, '�') {
		t.Errorf("%d bytes, end %q", len(e.Text), e.Text[len(e.Text)-20:])
	}
}

func TestWithoutAUnit(t *testing.T) {
	c := &commands{}
	d := newDoctor(t, figures{}, c, false)
	if n := len(d.Volatile(t.Context(), systemd.Unit{})); n != 2 {
		t.Errorf("%d pieces about the host", n)
	}
	if d.Durable(t.Context(), systemd.Unit{}); c.argv != nil {
		t.Errorf("a journal of no unit was asked for: %v", c.argv)
	}
}

// stopped is a clock that stands still, a minute after the machine started.
type stopped struct{}

func (stopped) Now() clock.Instant {
	return clock.Instant{Boot: time.Minute, Wall: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
}

func (stopped) BootID() string { return "this" }

// What the configuration looks for in the journal is evidence, and what it cut out of the lines is, too.
func TestMatchesOfLogs(t *testing.T) {
	f := figures{matches: map[string][]observe.LogMatch{
		"web.service": {{Log: "errors", At: 58 * time.Second, Text: "connection to db-1 refused",
			Fields: []log.Field{{Name: "peer", Value: "db-1"}}}},
		"": {{Log: "disk", Text: "I/O error"}},
	}}
	d := New(Options{Clock: stopped{}, Figures: f, Commands: &commands{}})
	found := d.Durable(t.Context(), ill)
	e := found[len(found)-1]
	want := "2026-03-02T11:59:58Z errors: connection to db-1 refused\n  peer = \"db-1\"\n"
	if e.Title != "last lines that matched a log" || e.Text != want {
		t.Errorf("%s:\n%s", e.Title, e.Text)
	}
	if found := d.Durable(t.Context(), systemd.Unit{}); !strings.Contains(found[len(found)-1].Text, "disk: I/O error") {
		t.Errorf("the host: %+v", found)
	}
	if found := d.Durable(t.Context(), systemd.Unit{Name: "db.service"}); len(found) != 2 {
		t.Errorf("a unit without matches has %d pieces of evidence", len(found))
	}
}

// Exemplars are evidence, with how long before they were; old ones tell nothing of now.
func TestExemplars(t *testing.T) {
	now := stopped{}.Now().Wall
	f := figures{links: map[string][]observe.Link{ill.Name: {
		{Metric: "p99", Labels: "trace_id=4bf9", Value: "4.97 s", At: now.Add(-3 * time.Second)},
		{Metric: "p99", Labels: "trace_id=77aa", Value: "2 s", At: now.Add(-11 * time.Minute)},
		{Metric: "p99", Labels: "trace_id=ffff", Value: "2 s", At: now.Add(11 * time.Minute)},
	}}}
	d := New(Options{Clock: stopped{}, Figures: f, Commands: &commands{}})
	found := d.Durable(t.Context(), ill)
	e := found[len(found)-1]
	if e.Title != "exemplars of metrics" || e.Text != "metric.p99 trace_id=4bf9 (4.97 s, 3 s before)\n" {
		t.Errorf("%s:\n%s", e.Title, e.Text)
	}
	if found := d.Durable(t.Context(), systemd.Unit{Name: "db.service"}); len(found) != 2 {
		t.Errorf("a unit without exemplars has %d pieces of evidence", len(found))
	}
}
