// Package diagnose collects the evidence of an incident: what a person would look at first, bounded in
// time and size, and without changing anything. What could not be had is said, never left out.
package diagnose

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/agent/internal/observe/evidence"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/signal"
)

// Limits of one piece of evidence.
const (
	maxText      = 16 << 10
	topProcesses = 8
	journalLines = "40"
	kernelLines  = 20
	toolTimeout  = 2 * time.Second
)

// Figures reads a unit's control group files, and knows its lines that matched.
type Figures interface {
	UnitFigures(run observe.UnitRun) ([]observe.UnitFigure, error)
	LogMatches(unit string) []observe.LogMatch
	Links(unit string) []observe.Link
}

// Commands runs the few tools that only look.
type Commands interface {
	Command(ctx context.Context, c program.Cmd) (program.Output, error)
}

// Options of a Doctor. All are required but Root.
type Options struct {
	Clock    clock.Clock
	Figures  Figures
	Commands Commands
	User     bool   // units belong to a user manager, so that their journal is the user's
	Root     string // prefix of /proc; "" on a real host
}

// Doctor collects evidence.
type Doctor struct{ o Options }

// New makes a doctor.
func New(o Options) *Doctor { return &Doctor{o: o} }

// Volatile is what an action may destroy.
func (d *Doctor) Volatile(ctx context.Context, u systemd.Unit) []incident.Evidence {
	out := []incident.Evidence{d.processes(ctx), d.sockets(ctx)}
	if u.Name != "" {
		out = append([]incident.Evidence{d.unit(u)}, out...)
	}
	return out
}

// Durable is what is still there after an action.
func (d *Doctor) Durable(ctx context.Context, u systemd.Unit) []incident.Evidence {
	out := []incident.Evidence{d.kernel(ctx)}
	if u.Name != "" {
		out = append([]incident.Evidence{d.journal(ctx, u.Name)}, out...)
	}
	if matches := d.o.Figures.LogMatches(u.Name); len(matches) > 0 {
		out = append(out, d.matches(matches))
	}
	if text := d.links(d.o.Figures.Links(u.Name)); text != "" {
		out = append(out, d.piece("exemplars of metrics", text, nil))
	}
	return out
}

// linksFor is how long an exemplar may tell of what happens now.
const linksFor = 10 * time.Minute

// links are exemplars: what to look up elsewhere.
func (d *Doctor) links(all []observe.Link) string {
	var b strings.Builder
	now := d.o.Clock.Now().Wall
	for _, l := range all {
		if ago := now.Sub(l.At); ago.Abs() <= linksFor {
			fmt.Fprintf(&b, "metric.%s %s (%s, %s before)\n", l.Metric, l.Labels, l.Value,
				signal.Format(signal.Seconds, max(0, ago.Round(time.Second)).Seconds()))
		}
	}
	return b.String()
}

// piece is one evidence; an error takes the place of what it kept from us.
func (d *Doctor) piece(title, text string, err error) incident.Evidence {
	if err != nil {
		text += fmt.Sprintf("(could not be had: %v)\n", err)
	}
	if strings.TrimSpace(text) == "" {
		text = "(nothing)\n"
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "\n(cut)\n"
	}
	return incident.Evidence{Title: title, At: clock.Now(d.o.Clock), Text: text}
}

func (d *Doctor) unit(u systemd.Unit) incident.Evidence {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%s), load %s, result %s\n", u.Name, u.Active, u.Sub, u.Load, u.Result)
	fmt.Fprintf(&b, "main process %d, exit code %d, status %d, restarts by systemd %d, Restart=%s\n",
		u.MainPID, u.ExecMainCode, u.ExecMainStatus, u.NRestarts, u.Restart)
	fmt.Fprintf(&b, "unit file %s, invocation %s\n", u.FragmentPath, u.InvocationID)
	if u.Stopped != "" {
		fmt.Fprintf(&b, "brought down by: %s\n", u.Stopped)
	}
	var err error
	if u.ControlGroup != "" && !u.Down() {
		var figures []observe.UnitFigure
		figures, err = d.o.Figures.UnitFigures(observe.UnitRun{ControlGroup: u.ControlGroup, InvocationID: u.InvocationID,
			MainPID: u.MainPID})
		for _, f := range figures {
			fmt.Fprintf(&b, "%s: %s\n", f.File, f.Text)
		}
	}
	return d.piece("unit "+u.Name, b.String(), err)
}

func (d *Doctor) processes(ctx context.Context) incident.Evidence {
	byCPU, byMemory, err := evidence.Top(ctx, d.o.Root, topProcesses)
	var b strings.Builder
	list := func(title string, ps []evidence.Process) {
		fmt.Fprintln(&b, title)
		for _, p := range ps {
			fmt.Fprintf(&b, "  %7d %-16s %5.1f %% CPU  %9s  %d threads\n", p.PID, p.Name, 100*p.CPU,
				signal.Format(signal.Bytes, float64(p.Memory)), p.Threads)
		}
	}
	list("by CPU:", byCPU)
	list("by memory:", byMemory)
	return d.piece("top processes", b.String(), err)
}

func (d *Doctor) sockets(ctx context.Context) incident.Evidence {
	states, err := evidence.Sockets(ctx, d.o.Root)
	var b strings.Builder
	for _, s := range states {
		fmt.Fprintf(&b, "%-12s %d\n", s.State, s.Count)
	}
	return d.piece("TCP sockets by state", b.String(), err)
}

func (d *Doctor) kernel(ctx context.Context) incident.Evidence {
	lines, err := evidence.OOM(ctx, kernelLines)
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "[%12.6f] %s\n", l.At.Seconds(), l.Text)
	}
	return d.piece("kernel messages about memory", b.String(), err)
}

// journal is the tail of what the unit wrote.
func (d *Doctor) journal(ctx context.Context, unit string) incident.Evidence {
	option := "--unit"
	if d.o.User {
		option = "--user-unit"
	}
	out, err := d.o.Commands.Command(ctx, program.Cmd{
		Purpose: program.Diagnose, Timeout: toolTimeout,
		Argv: []string{"journalctl", option, unit, "-n", journalLines, "--no-pager", "-q", "-o", "short-iso"},
	})
	text := string(out.Stdout)
	if err == nil && out.Code != 0 {
		err = errors.New(strings.TrimSpace(string(out.Stderr)))
	}
	return d.piece("journal of "+unit+", last "+journalLines+" lines", text, err)
}

// matches are lines for which the configuration looks, with what the named groups of its expressions stand for.
func (d *Doctor) matches(all []observe.LogMatch) incident.Evidence {
	var b strings.Builder
	now := d.o.Clock.Now()
	for _, m := range all {
		fmt.Fprintf(&b, "%s %s: %s\n", now.Wall.Add(m.At-now.Boot).UTC().Format(time.RFC3339), m.Log, m.Text)
		for _, f := range m.Fields {
			fmt.Fprintf(&b, "  %s = %q\n", f.Name, f.Value)
		}
	}
	return d.piece("last lines that matched a log", b.String(), nil)
}
