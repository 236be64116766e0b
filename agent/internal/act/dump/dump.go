// Package dump is the kind of remedy that keeps a picture of a service before another remedy destroys it. It changes nothing
// but the agent's own folder; the programs that read a process stop it for that time, and it goes on whatever becomes of them.
package dump

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/signal"
)

// Kind makes dumps. Make it with New.
type Kind struct {
	*kind.Host
	kind.NoUndo
	units unit.Units
}

// New prepares the kind; units is what it knows units by.
func New(h *kind.Host, units unit.Units) Kind { return Kind{Host: h, units: units} }

// evidence is where the dump is; before, where it is going to be.
type evidence struct {
	File    string   `json:"file"`
	Bytes   int64    `json:"bytes,omitempty"`
	SHA256  string   `json:"sha256,omitempty"`
	Cut     string   `json:"cut,omitempty"`     // why it is not whole
	Removed []string `json:"removed,omitempty"` // older dumps that went
	Kept    string   `json:"kept,omitempty"`    // why older ones could not go
	tracee           // that is stopped for it; zero: none is
}

func argsOf(q kind.Request) *remedy.DumpArgs { return q.Remedy.Args.(*remedy.DumpArgs) }

// Target implements kind.Kind.
func (k Kind) Target(ctx context.Context, q kind.Request) (string, error) {
	return k.units.Target(ctx, q)
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	what := map[string]string{
		remedy.HowThreads: "what the threads of " + s.Target + " wait for",
		remedy.HowStacks:  "the stacks of the main process of " + s.Target,
		remedy.HowCore:    "a core of the main process of " + s.Target + ", which stands still meanwhile,",
		remedy.HowHTTP:    argsOf(s.Request).URL + " of " + s.Target,
	}[argsOf(s.Request).How]
	return fmt.Sprintf("keep %s in %s", what, s.Before.(evidence).File)
}

// Precheck implements kind.Kind. Its refusals are for good: what comes next in the rule's try is not held up by a picture.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	a := argsOf(s.Request)
	u, err := k.Systemd.Read(ctx, s.Target)
	if err != nil {
		return kind.Unknown("the state of "+s.Target, err)
	}
	if k.Data == "" {
		return kind.Refuse("this agent has no folder of its own to keep dumps in")
	}
	name, err := nameOf(&s.Attempt, a.How)
	if err != nil {
		return err
	}
	if a.How == remedy.HowHTTP {
		if wrong := remedy.CheckPage(a.URL); wrong != "" {
			return kind.Refuse("%s", wrong)
		}
	}
	if pids, err := unit.Processes(u.ControlGroup); err != nil || len(pids) == 0 {
		return kind.Refuse("%s has no process of which a dump could be made", s.Target)
	}
	if err := roomFor(k.Data, a); err != nil {
		return err
	}
	before := evidence{File: filepath.Join(k.Data, folder, name)}
	if _, traced := tools[a.How]; traced {
		before.tracee, err = k.traceable(ctx, u, a)
	}
	s.Before = before
	return err
}

// Act implements kind.Kind. A dump that could not be ended is kept as far as it came.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	a, said := argsOf(s.Request), s.Before.(evidence)
	ctx, cancel := context.WithTimeoutCause(ctx, a.Within, fmt.Errorf("its %s were over", a.Within))
	defer cancel()
	dir, err := open(k.Data)
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := dir.create(filepath.Base(said.File), int64(a.Most)<<20)
	if err != nil {
		return err
	}
	switch a.How {
	case remedy.HowHTTP:
		err = fetch(ctx, a.URL, f)
	case remedy.HowThreads:
		err = k.watch(ctx, s, f)
	default:
		err = k.trace(ctx, s, f)
	}
	if wrong := f.close(); err == nil {
		err = wrong
	}
	said.Bytes = f.size
	if f.size == 0 {
		err = errors.Join(err, dir.Remove(f.name))
		return fmt.Errorf("there is no dump: %w", err)
	}
	var unsealed error
	if said.SHA256, unsealed = dir.seal(f.name); err == nil {
		err = unsealed
	}
	if err != nil {
		said.Cut = err.Error()
	}
	if said.Removed, err = dir.prune(f.name, k.Clock.Now().Wall); err != nil {
		said.Kept = err.Error()
	}
	s.After = said
	return nil
}

// watch looks at the threads of the unit, so many times.
func (k Kind) watch(ctx context.Context, s *kind.Step, w io.Writer) error {
	u, err := k.Systemd.Read(ctx, s.Target)
	if err != nil {
		return err
	}
	return sample(ctx, w, u.ControlGroup, argsOf(s.Request).Samples, func() error { return s.Halted(ctx) })
}

// Settle implements kind.Kind: the file tells. Nothing else was touched but the process that was read, so that a dump of which
// there is nothing never began.
func (k Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was evidence
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.NotDone, "nothing says where its dump would be"
	}
	left := k.release(ctx, a.Target, was.tracee)
	dir, err := open(k.Data)
	if err != nil {
		return incident.NotDone, err.Error() + left
	}
	defer dir.Close()
	file, err := dir.Lstat(filepath.Base(was.File))
	if err != nil || file.Size() == 0 {
		return incident.NotDone, "there is no dump at " + was.File + left
	}
	return incident.Acted, fmt.Sprintf("%s has %s, and may not be whole", was.File, size(uint64(file.Size()))) + left
}

// Quiet implements kind.Kind: nothing goes on once the agent has stopped looking, and a program dies with it.
func (Kind) Quiet(*incident.Attempt) bool { return true }

// size is a number of bytes as people read it.
func size(bytes uint64) string { return signal.Format(signal.Bytes, float64(bytes)) }
