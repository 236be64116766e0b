// Package exec is the kind of remedy that runs a program of the operator's own.
package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind runs programs. Make it with New.
type Kind struct {
	*kind.Host
	home string // where control groups are made; "": they cannot be
}

// New prepares the kind.
func New(h *kind.Host) Kind {
	home, err := program.Home()
	if err != nil {
		h.Log.Debug("programs get no control groups of their own", "reason", err)
	}
	return Kind{h, home}
}

// grace is how long a program has to end when it is asked to.
const grace = 2 * time.Second

// firstRetry is the pause before a program is run again that says "not now"; each further one is twice as long.
const firstRetry = time.Second

func args(q kind.Request) *remedy.ExecArgs { return q.Remedy.Args.(*remedy.ExecArgs) }

// work is a command with all that running it needs, as it is when the intent goes to disk.
type work struct {
	Command []string       `json:"command"`
	Env     []string       `json:"env"`
	Limits  program.Limits `json:"limits,omitzero"`
	Retry   []int          `json:"retry,omitempty"`
}

func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	if wrong := remedy.CheckCommand(args(q).Command); wrong != "" {
		return "", kind.Refuse("%s", wrong)
	}
	return args(q).Command[0], nil
}

func (k Kind) Describe(s *kind.Step) string {
	words, err := remedy.Expand(args(s.Request).Command, k.facts(s))
	if err != nil {
		words = args(s.Request).Command
	}
	return "run " + strings.Join(words, " ")
}

func (k Kind) Precheck(_ context.Context, s *kind.Step) error {
	if _, err := k.prepare(s, args(s.Request).Command); err != nil {
		return err
	}
	if len(args(s.Request).Undo) == 0 {
		return nil
	}
	undo, err := k.prepare(s, args(s.Request).Undo)
	if err != nil {
		return kind.Refuse("undo: %v", err)
	}
	s.Undo = undo
	return nil
}

// prepare makes the work of a command, or refuses what could not run.
func (k Kind) prepare(s *kind.Step, argv []string) (work, error) {
	a := args(s.Request)
	words, err := remedy.Expand(argv, k.facts(s))
	if err != nil {
		return work{}, kind.Refuse("%v", err)
	}
	w := work{Command: words, Env: environment(s), Retry: a.Retry,
		Limits: program.Limits{Memory: int64(a.Memory) << 20, Tasks: a.Tasks, CPU: a.CPU}}
	if err := w.Limits.Holds(k.home); err != nil {
		return work{}, kind.Refuse("the limits of the program would not hold: %v", err)
	}
	return w, k.MayRun(words)
}

// facts are what is known of the step. A plan that is only looked at has no attempt yet, whose facts stay as they are written.
func (k Kind) facts(s *kind.Step) map[remedy.Fact]string {
	a := &s.Attempt
	facts := map[remedy.Fact]string{
		remedy.FactHost: k.Name, remedy.FactService: a.Service, remedy.FactUnit: s.Unit, remedy.FactInstance: a.Instance,
		remedy.FactRule: a.Rule, remedy.FactIncident: a.Incident, remedy.FactAttempt: a.ID,
	}
	if s.Value != nil {
		facts[remedy.FactValue] = strconv.FormatFloat(*s.Value, 'f', -1, 64)
	}
	if a.ID == "" {
		for _, name := range remedy.Facts() {
			if fact := remedy.Fact(name); facts[fact] == "" {
				facts[fact] = "${" + name + "}"
			}
		}
	}
	return facts
}

// environment tells the program what it is run for.
func environment(s *kind.Step) []string {
	a := &s.Attempt
	return []string{
		attemptVariable + a.ID, "SALVE_INCIDENT=" + a.Incident, "SALVE_RULE=" + a.Rule,
		"SALVE_SERVICE=" + a.Service, "SALVE_INSTANCE=" + a.Instance, "SALVE_UNIT=" + s.Unit,
	}
}

// Act runs the program, and again while it says that it did nothing yet.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	a := args(s.Request)
	w, err := k.prepare(s, a.Command)
	if err != nil {
		s.Undo = nil
		return err
	}
	for pause := firstRetry; ; pause *= 2 {
		said, err := k.perform(ctx, s.Attempt.ID, w)
		s.After = said
		again := err == nil && slices.Contains(a.Retry, said.Code)
		if again && wait(ctx, s.Halt, pause) {
			continue
		}
		unneeded, refused := slices.Contains(a.Unneeded, said.Code), slices.Contains(a.Refused, said.Code)
		if errors.Is(err, program.ErrNotStarted) || err == nil && (again || unneeded || refused) {
			s.Undo = nil // nothing was done
		}
		switch {
		case err != nil:
			return err
		case said.Code == 0 || unneeded:
			return nil
		case again:
			return fmt.Errorf("%s still says that it cannot do it now (status %d): %s", w.Command[0], said.Code, said.last())
		case refused:
			return fmt.Errorf("%s would not do it (status %d): %s", w.Command[0], said.Code, said.last())
		}
		return fmt.Errorf("%s ended with status %d: %s", w.Command[0], said.Code, said.last())
	}
}

// wait reports whether the pause was over before the time or the agent's leave was.
func wait(ctx context.Context, halt <-chan struct{}, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-halt:
	}
	return false
}

// perform runs a program to its end, and whatever it started with it.
func (k Kind) perform(ctx context.Context, attempt string, w work) (evidence, error) {
	c := program.Cmd{Argv: w.Command, Env: w.Env, Grace: grace}
	if k.home != "" {
		group, err := program.NewGroup(k.home, groupOf(attempt), w.Limits)
		if err != nil && w.Limits != (program.Limits{}) {
			return evidence{}, fmt.Errorf("%w: %w", program.ErrNotStarted, err)
		}
		c.Group = group
	}
	out, err := k.Program(ctx, c)
	said := evidenceOf(out)
	if c.Group != nil {
		err = errors.Join(err, c.Group.Close())
	}
	return said, errors.Join(err, sweep(ctx, attempt))
}

// Undo runs the program that takes it back, once: whether one that failed did a part cannot be known.
func (k Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	var w work
	if err := json.Unmarshal(a.Undo, &w); err != nil {
		return fmt.Errorf("read what undo needs: %w", err)
	}
	if err := sweep(ctx, a.ID); err != nil { // the program must not go on beside what takes it back
		return err
	}
	said, err := k.perform(ctx, a.ID, w)
	switch {
	case errors.Is(err, program.ErrNotStarted) || err == nil && slices.Contains(w.Retry, said.Code):
		return fmt.Errorf("%s did nothing yet (status %d): %w", w.Command[0], said.Code, errors.Join(err, errors.New(said.last())))
	case err != nil:
		return kind.Refuse("%v; it is not run twice", err)
	case said.Code != 0:
		return kind.Refuse("%s ended with status %d: %s; it is not run twice", w.Command[0], said.Code, said.last())
	}
	return nil
}

// Settle: only the program knows what it does, and when. What is left of it goes, because nobody waits for it any more.
func (k Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	why := fmt.Sprintf("the agent died while %s ran or was about to", a.Target)
	if k.home != "" {
		if err := program.Discard(k.home, groupOf(a.ID)); err != nil {
			why += "; " + err.Error()
		}
	}
	if err := sweep(ctx, a.ID); err != nil {
		why += "; " + err.Error()
	}
	return incident.Unknown, why
}

func (Kind) Repeatable() bool { return false }
