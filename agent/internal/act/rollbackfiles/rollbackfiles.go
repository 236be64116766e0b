// Package rollbackfiles is the kind of remedy that puts files of a service back to what it last ran well with on this host: its
// configuration, or the drop-ins of its unit.
package rollbackfiles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/lastgood"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/snapshot"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind puts files back. Make it with New.
type Kind struct {
	lastgood.Units
	dropIn func(folder string) string // remedy.DropIn, but in tests
}

// New prepares the kind; units is what it starts services anew with.
func New(h *kind.Host, units unit.Units) Kind { return Kind{lastgood.New(h, units), remedy.DropIn} }

// record is what taking back and settling need. Both states of the files are kept as snapshots.
type record struct {
	lastgood.Record
	Service string          `json:"service"` // whose snapshots they are
	Set     snapshot.Set    `json:"set"`
	To      release.Version `json:"to"`
	DropIn  string          `json:"drop_in,omitempty"` // unit of whose drop-ins these are; "": they are none
	Check   []string        `json:"check,omitempty"`
}

// evidence is which state the files are in.
type evidence struct {
	Files string `json:"files"`
}

func argsOf(q kind.Request) *remedy.FilesArgs { return q.Remedy.Args.(*remedy.FilesArgs) }

// Target implements kind.Kind: it is the folder.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	a := argsOf(q)
	if a.Path == "" || len(a.Files) == 0 || len(a.Units) == 0 || q.Remedy.Service == nil {
		return "", kind.Refuse("the remedy names no files, no unit that runs with them, or no service")
	}
	return a.Path, nil
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	plan := s.Undo.(record)
	return fmt.Sprintf("put the files in %s back from %s to %s, then %s what runs with them", s.Target, plan.Left.Name, plan.To.Name,
		plan.Verb)
}

// Precheck implements kind.Kind. It chooses the state of the files, so that this is on disk before one is touched.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	a := argsOf(s.Request)
	plan := record{Service: s.Remedy.Service.Name, Set: release.SetOf(a), DropIn: k.dropIn(a.Path), Check: a.Check}
	if err := k.mayTouch(a, plan.DropIn); err != nil {
		return err
	}
	if marked, err := release.Marked(a.Marker); err != nil {
		return kind.Unknown("whether there is a way back", err)
	} else if marked {
		return kind.Refuse("there is no way back while there is a file %s", a.Marker)
	}
	from, err := plan.Set.Take()
	if err != nil {
		return kind.Refuse("the files are not such that they can be put back: %v", err)
	}
	store, err := snapshot.Open(k.Data, plan.Service)
	if err != nil {
		return kind.Refuse("no state of the files is known to have run well: %v", err)
	}
	defer store.Close()
	var to *snapshot.Manifest
	plan.To, err = lastgood.Choose(k.Host, s, lastgood.Choice{What: "state of the files", From: release.VersionOf(from),
		Check: func(v release.Version) (err error) {
			to, err = fit(store, v, plan.Set)
			return err
		}})
	if err != nil {
		return err
	}
	for _, c := range diff(from, to) {
		s.Detail = append(s.Detail, c.String())
	}
	if len(a.Check) > 0 {
		if err := k.MayRun(a.Check); err != nil {
			return err
		}
		s.Detail = append(s.Detail, fmt.Sprintf("run %q, and put all back as it is now unless it ends with status 0", a.Check))
	}
	if plan.Record, err = k.Plan(ctx, s, release.VersionOf(from)); err != nil {
		return err
	}
	s.Before, s.Undo = evidence{plan.Left.ID}, plan
	return nil
}

// mayTouch refuses files that are not the service's own.
func (k Kind) mayTouch(a *remedy.FilesArgs, dropIn string) error {
	for _, glob := range a.Files {
		if wrong := remedy.CheckReach(a.Path, glob); wrong != "" {
			return kind.Refuse("%s", wrong)
		}
	}
	if dropIn != "" && !slices.Contains(a.Units, dropIn) {
		return kind.Refuse("%s has drop-ins of %s, which is none of the remedy's units", a.Path, dropIn)
	}
	return nil
}

// fit is the snapshot of a version, or an error if one cannot come back to it.
func fit(store *snapshot.Store, v release.Version, set snapshot.Set) (*snapshot.Manifest, error) {
	m, err := store.Load(v.ID)
	if err == nil {
		err = store.Verify(m)
	}
	switch {
	case err != nil:
		return nil, err
	case m.Path != set.Path || !slices.Equal(m.Globs, set.Globs):
		return nil, fmt.Errorf("%s is of other files than those that the remedy names now", v.Name)
	case len(m.Files) == 0:
		return nil, fmt.Errorf("%s has no file", v.Name)
	}
	for _, f := range m.Files {
		if !mayGive(f) {
			return nil, fmt.Errorf("the agent cannot give %s to user %d and group %d, whose it was", path.Join(m.Path, f.Name), f.UID, f.GID)
		}
	}
	return m, nil
}

// Act implements kind.Kind. What is there is kept first. Once the files are back the units follow, unless the check or systemd
// does not take the files: then all is as before.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	plan := s.Undo.(record)
	s.Undo = nil // until a file is touched
	store, err := snapshot.Create(k.Data, plan.Service)
	if err != nil {
		return err
	}
	defer store.Close()
	from, err := store.Save(plan.Set)
	if err != nil {
		return err
	}
	if from.ID() != plan.Left.ID {
		return changed(plan)
	}
	to, err := store.Load(plan.To.ID)
	if err != nil {
		return err
	}
	touched, err := put(ctx, store, k.Data, from, to)
	if !touched {
		return err
	}
	s.Undo = plan
	if err == nil {
		err = k.accepted(ctx, plan)
	}
	if err != nil {
		back := k.putBack(store, from, plan)
		if back == nil && errors.Is(err, kind.ErrLost) { // systemd may have read them
			back = k.tell(ctx, plan)
		}
		if back != nil {
			return fmt.Errorf("%w; that is not taken back: %w", err, back)
		}
		s.Undo = nil
		return fmt.Errorf("the files are as before: %w", err)
	}
	s.After = evidence{plan.To.ID}
	if err := k.Follow(ctx, s, plan.Record); err != nil {
		return fmt.Errorf("the files in %s are back; %w", s.Target, err)
	}
	return nil
}

// changed is the refusal because somebody edits.
func changed(plan record) error {
	return kind.Refuse("somebody has changed files in %s meanwhile, and they stay", plan.Set.Path)
}

// grace is how long a check has to end when it is asked to.
const grace = 2 * time.Second

// accepted returns nil if those who are to read the files take them.
func (k Kind) accepted(ctx context.Context, plan record) error {
	if len(plan.Check) > 0 {
		out, err := k.Program(ctx, program.Cmd{Argv: plan.Check, Grace: grace})
		switch {
		case err != nil:
			return fmt.Errorf("run the check: %w", err)
		case out.Code != 0:
			return fmt.Errorf("%s does not take them (status %d)", plan.Check[0], out.Code)
		}
	}
	return k.tell(ctx, plan)
}

// tell has systemd read drop-ins that have changed.
func (k Kind) tell(ctx context.Context, plan record) error {
	if plan.DropIn == "" {
		return nil
	}
	return k.ReloadManager(ctx, plan.DropIn)
}

// putBack makes the files what they were, whoever wants it to end, if each of them is in one of the attempt's two states.
func (k Kind) putBack(store *snapshot.Store, from *snapshot.Manifest, plan record) error {
	now, err := plan.Set.Take()
	if err != nil || now.ID() == plan.Left.ID {
		return err
	}
	if now.ID() != plan.To.ID { // somebody edits, or it was done by half
		to, err := store.Load(plan.To.ID)
		if err != nil {
			return err
		}
		if !between(now, from, to) {
			return changed(plan)
		}
	}
	_, err = put(context.Background(), store, k.Data, now, from)
	return err
}

// Undo implements kind.Kind: the files from before are there again, and units that ran with the others are started anew. Where
// somebody has changed a file meanwhile, all stay.
func (k Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return fmt.Errorf("read which files there were: %w", err)
	}
	store, err := snapshot.Open(k.Data, plan.Service)
	if err != nil {
		return kind.Refuse("what there was is not kept: %v", err)
	}
	defer store.Close()
	from, err := store.Load(plan.Left.ID)
	if err == nil {
		err = store.Verify(from)
	}
	if err != nil {
		return kind.Refuse("what there was is not kept: %v", err)
	}
	if err := k.putBack(store, from, plan); err != nil {
		return err
	}
	if err := k.tell(ctx, plan); err != nil {
		return err
	}
	if err := k.Back(ctx, a, plan.Record); err != nil {
		return fmt.Errorf("the files in %s are as before; %w", a.Target, err)
	}
	return nil
}

// Repeatable implements kind.Kind: files that are as they were are left alone.
func (Kind) Repeatable() bool { return true }

// Settle implements kind.Kind: the files tell, because they are what comes first. What was done by half is taken back at once.
func (k Kind) Settle(_ context.Context, a *incident.Attempt) (incident.Phase, string) {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return incident.Unknown, "which files there were is not recorded"
	}
	now, err := plan.Set.Take()
	if err != nil {
		return incident.Unknown, err.Error()
	}
	from, to, err := both(k.Data, plan)
	if err == nil {
		sweep(k.Data, from, to)
	}
	switch {
	case now.ID() == plan.Left.ID:
		return incident.NotDone, fmt.Sprintf("the files in %s are still %s", a.Target, plan.Left.Name)
	case now.ID() == plan.To.ID:
		return incident.Acted, fmt.Sprintf("the files in %s are %s", a.Target, plan.To.Name)
	case err == nil && between(now, from, to):
		a.For = time.Nanosecond
		return incident.Unknown, fmt.Sprintf("only some of the files in %s are %s, the others still %s: they are taken back", a.Target,
			plan.To.Name, plan.Left.Name)
	}
	return incident.Unknown, fmt.Sprintf("the files in %s are neither %s nor %s", a.Target, plan.Left.Name, plan.To.Name)
}

// both are the attempt's two states of the files.
func both(data string, plan record) (from, to *snapshot.Manifest, err error) {
	store, err := snapshot.Open(data, plan.Service)
	if err != nil {
		return nil, nil, err
	}
	defer store.Close()
	from, err = store.Load(plan.Left.ID)
	to, other := store.Load(plan.To.ID)
	return from, to, errors.Join(err, other)
}
