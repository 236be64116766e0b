// Package exec is the kind of remedy that runs a program of the operator's own.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind runs programs. Make it with New.
type Kind struct{ *kind.Host }

// New prepares the kind.
func New(h *kind.Host) Kind { return Kind{h} }

func args(q kind.Request) *remedy.ExecArgs { return q.Remedy.Args.(*remedy.ExecArgs) }

// back is what taking a program back needs.
type back struct {
	Command []string `json:"command"`
	Env     []string `json:"env"`
}

// evidence is what the program said.
type evidence struct {
	Code   int    `json:"code"`
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
}

func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	if wrong := remedy.CheckCommand(args(q).Command); wrong != "" {
		return "", kind.Refuse("%s", wrong)
	}
	return args(q).Command[0], nil
}

func (Kind) Describe(s *kind.Step) string { return "run " + strings.Join(args(s.Request).Command, " ") }

func (k Kind) Precheck(_ context.Context, s *kind.Step) error {
	if err := k.MayRun(args(s.Request).Command); err != nil {
		return err
	}
	undo := args(s.Request).Undo
	if len(undo) == 0 {
		return nil
	}
	if wrong := remedy.CheckCommand(undo); wrong != "" {
		return kind.Refuse("undo: %s", wrong)
	}
	if err := k.MayRun(undo); err != nil {
		return err
	}
	s.Undo = back{Command: undo, Env: environment(s)}
	return nil
}

// environment tells the program what it is run for.
func environment(s *kind.Step) []string {
	a := &s.Attempt
	return []string{
		attemptVariable + a.ID, "SALVE_INCIDENT=" + a.Incident, "SALVE_RULE=" + a.Rule,
		"SALVE_SERVICE=" + a.Service, "SALVE_INSTANCE=" + a.Instance, "SALVE_UNIT=" + s.Unit,
	}
}

func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	said, err := k.perform(ctx, args(s.Request).Command, environment(s))
	s.After = said
	return err
}

// perform runs a program to its end.
func (k Kind) perform(ctx context.Context, argv, env []string) (evidence, error) {
	out, err := k.Program(ctx, argv, env)
	said := evidence{Code: out.Code, Stdout: text(out.Stdout), Stderr: text(out.Stderr)}
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("%s ended with status %d: %s", argv[0], out.Code, lastLine(out.Stderr, out.Stdout))
	}
	return said, err
}

// text bounds what a record keeps of an output.
func text(b []byte) string {
	const most = 4 << 10
	return strings.ToValidUTF8(string(b[:min(most, len(b))]), "?")
}

// lastLine is the last line of the first output that has one.
func lastLine(outputs ...[]byte) string {
	for _, b := range outputs {
		if b = bytes.TrimSpace(b); len(b) > 0 {
			return text(b[bytes.LastIndexByte(b, '\n')+1:])
		}
	}
	return "it said nothing"
}

func (k Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	var kept back
	if err := json.Unmarshal(a.Undo, &kept); err != nil {
		return fmt.Errorf("read what undo needs: %w", err)
	}
	_, err := k.perform(ctx, kept.Command, kept.Env)
	return err
}

// Settle: only the program knows what it does, and when.
func (Kind) Settle(_ context.Context, a *incident.Attempt) (incident.Phase, string) {
	return incident.Unknown, fmt.Sprintf("the agent died while %s ran or was about to", a.Target)
}

func (Kind) Repeatable() bool { return false }
