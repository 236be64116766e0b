package heal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// hands does what act.Runner does, on the machine of the test: the same checks, the same order of
// intent, action and result, the same refusals.
type hands struct {
	*machine
	p     *process
	allow []config.Allow

	lock  sync.Mutex
	plans map[string]kind.Request // by the text of the plan
	busy  []*incident.Attempt     // that act
	n     int

	undoing chan struct{}
}

var _ Actor = (*hands)(nil)

// evidence is what settles an attempt after a crash.
type evidence struct{ Invocation string }

var errKilled = errors.New("this process is dead")

func refuseNow(later bool, format string, args ...any) error {
	return &kind.Refusal{Reason: fmt.Sprintf(format, args...), Temporary: later}
}

func unknownNow(target string) error {
	return &kind.Refusal{Reason: fmt.Sprintf("the state of %s cannot be known now", target), Temporary: true, Unknown: true}
}

// unsure refuses what hides.
func (h *hands) unsure(target string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.hidden[target] {
		return nil
	}
	return unknownNow(target)
}

// Prepare implements Actor.
func (h *hands) Prepare(_ context.Context, q kind.Request) (act.Plan, error) {
	target, err := h.check(q)
	if err != nil {
		return act.Plan{}, err
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	h.n++
	p := act.Plan{Kind: q.Remedy.Kind, Target: target, Locks: q.Remedy.Locks(q.Unit), Text: fmt.Sprintf("%s %s (plan %d)", q.Remedy.Kind, target, h.n),
		Disruptive: h.disruptive(q.Remedy, target), Shared: q.Remedy.Kind == remedy.Reboot}
	h.plans[p.Text] = q
	return p, nil
}

// disruptive is what act says of it: starting what is down takes nothing away.
func (h *hands) disruptive(rem *config.Remedy, target string) bool {
	spec, _ := remedy.Lookup(string(rem.Kind))
	risky, _ := spec.Risk(rem.Args)
	u, ok := h.Unit(target)
	return risky && (rem.Kind != remedy.Restart || !ok || !u.Down())
}

func (h *hands) check(q kind.Request) (string, error) {
	if h.p.dead.Load() {
		return "", errKilled
	}
	time.Sleep(time.Duration(h.p.checking.Load()))
	target := q.Remedy.Target(q.Unit)
	if target == "" {
		return "", refuseNow(false, "no target is named")
	}
	if !act.Allowed(h.allow, q.Remedy.Kind, target) {
		return "", refuseNow(false, "no allow block of this host permits %s on %s", q.Remedy.Kind, target)
	}
	if err := h.unsure(target); err != nil {
		return "", err
	}
	if room, ok := q.Remedy.Args.(*remedy.FreeSpaceArgs); ok {
		return target, h.left(room)
	}
	if !q.Remedy.Kind.OnUnit() {
		return target, nil
	}
	u, ok := h.Unit(target)
	switch {
	case !ok:
		return "", unknownNow(target)
	case u.Load != "loaded":
		return "", refuseNow(false, "%s is %s", target, u.Load)
	case h.SystemState() == "stopping":
		return "", refuseNow(false, "the system is shutting down")
	case u.Stopped == systemd.Person && u.Down() && !q.ByPerson:
		return "", refuseNow(false, "%s was stopped by a person and stays stopped", target)
	case u.AutoRestart(), u.Active != "active" && !u.Down(), u.Job != 0:
		return "", refuseNow(true, "%s is %s", target, u.Active)
	case q.Remedy.Kind == remedy.Start && !u.Down():
		return "", &kind.Refusal{Reason: fmt.Sprintf("%s is %s already", target, u.Active), Needless: true}
	}
	return target, nil
}

// Run implements Actor.
func (h *hands) Run(ctx context.Context, p act.Plan) (incident.Attempt, error) {
	h.lock.Lock()
	q, known := h.plans[p.Text]
	taken := slices.ContainsFunc(h.busy, func(a *incident.Attempt) bool { return remedy.Meet(p.Locks, a.Locks) != "" })
	own := &incident.Attempt{Locks: p.Locks}
	h.busy = append(h.busy, own)
	h.lock.Unlock()
	switch {
	case !known || q.Attempt.ID == "":
		h.flaw("a plan that was never made: %+v", p)
		return incident.Attempt{}, refuseNow(false, "the attempt has no ID")
	case taken:
		h.flaw("two attempts at once on %s", p.Target)
		return incident.Attempt{}, refuseNow(true, "another remedy is at work on %s", p.Target)
	}
	defer h.free(own)
	if old, err := h.p.disk.Attempt(q.Attempt.ID); err == nil {
		return incident.Attempt{}, refuseNow(false, "attempt %s ran already and is %s", old.ID, old.Phase)
	} else if !errors.Is(err, journal.ErrNotFound) {
		return incident.Attempt{}, err
	}
	if _, err := h.check(q); err != nil {
		return incident.Attempt{}, err
	}
	a := h.intent(q, p.Target)
	a.Permit, a.Locks = p.Permit, p.Locks
	if err := h.p.disk.PutAttempt(&a); err != nil {
		return incident.Attempt{}, fmt.Errorf("write intent, nothing was done: %w", err)
	}
	select {
	case <-p.Halt:
		a.Phase = incident.Refused
		_ = h.p.disk.PutAttempt(&a)
		return incident.Attempt{}, refuseNow(true, "it was told to stop before it began")
	default:
	}
	if p.Gate != nil {
		h.p.point("gate")
		if err := p.Gate(); err != nil {
			a.Phase, a.Reason = incident.Refused, err.Error()
			_ = h.p.disk.PutAttempt(&a) // else it is settled by evidence
			return incident.Attempt{}, err
		}
	}
	if err := h.do(ctx, q.Remedy, &a, p); err != nil {
		a.Error = err.Error()
	}
	if q.Remedy.Kind == remedy.Reboot {
		<-p.Halt // it ends this process
		return a, nil
	}
	h.p.point("acted")
	a.Phase, a.Acted = incident.Acted, clock.Now(h.clock)
	if err := h.p.disk.PutAttempt(&a); err != nil && !h.p.dead.Load() {
		h.p.log.Error("result of action is not on disk", "error", err)
	}
	return a, nil
}

func (h *hands) intent(q kind.Request, target string) incident.Attempt {
	a := q.Attempt
	a.Phase, a.Intended = incident.Intended, clock.Now(h.clock)
	a.Kind, a.Remedy, a.Target = string(q.Remedy.Kind), q.Remedy.Name, target
	u, _ := h.Unit(target)
	a.Before = encode(evidence{u.InvocationID})
	if undoable(q.Remedy) {
		a.Undo = encode(h.properties(target))
	}
	if l, ok := q.Remedy.Args.(remedy.Limited); ok {
		a.For = l.Lasts()
	}
	return a
}

func undoable(rem *config.Remedy) bool {
	program, ok := rem.Args.(*remedy.ExecArgs)
	return rem.Kind == remedy.SetProperty || rem.Kind == remedy.Isolate || ok && len(program.Undo) > 0
}

func (h *hands) free(own *incident.Attempt) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.busy = slices.DeleteFunc(h.busy, func(a *incident.Attempt) bool { return a == own })
}

// do changes the machine. A process that is dead changes nothing any more.
func (h *hands) do(ctx context.Context, rem *config.Remedy, a *incident.Attempt, p act.Plan) error {
	h.p.point("acting")
	if h.p.dead.Load() {
		return errKilled
	}
	select {
	case <-p.Halt:
		return errors.New("it was told to stop")
	default:
	}
	h.watch(a)
	h.witnessPermit(p, a, rem.Permit)
	h.did(a.ID, string(rem.Kind)+" "+a.Target)
	switch rem.Kind {
	case remedy.Start:
		return h.life(a.Target)
	case remedy.Restart:
		return h.restart(a.Target)
	case remedy.Stop:
		h.change(a.Target, func(u *systemd.Unit) {
			u.Active, u.Sub, u.MainPID, u.Stopped = "inactive", "dead", 0, systemd.Salve
		})
	case remedy.SetProperty:
		h.setProperties(a.Target, rem.Args.(*remedy.PropertyArgs).Properties)
	}
	select {
	case <-time.After(5 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hands) setProperties(unit string, props map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, v := range props {
		h.props[unit+" "+k] = v
	}
}

// watch is the witness of the promises that hold for every action.
func (h *hands) watch(a *incident.Attempt) {
	old, err := h.p.disk.Attempt(a.ID)
	if err != nil || old.Phase != incident.Intended {
		h.flaw("attempt %s acts without an intent on disk", a.ID)
	}
	for _, o := range h.p.disk.attempts() {
		if l := remedy.Meet(a.Locks, o.Locks); o.ID != a.ID && o.Open() && l != "" && o.Incident != a.Incident {
			h.flaw("attempt %s acts on %s, which %s has", a.ID, l, o.ID)
		}
	}
	pauses, _ := h.p.disk.Pauses()
	for _, p := range pauses {
		name, one := strings.CutPrefix(p.Scope, "unit:")
		other := one && remedy.Meet(a.Locks, []remedy.Lock{remedy.LockOn(remedy.OnUnit, name)}) == ""
		if !other && (p.For == 0 || p.From.Age(clock.Now(h.clock)) < p.For) {
			h.flaw("attempt %s acts while %s is paused", a.ID, p.Scope)
		}
	}
	if u, _ := h.Unit(a.Target); u.Stopped == systemd.Person && u.Down() && a.By == incident.ByRule {
		h.flaw("attempt %s acts on %s, which a person stopped", a.ID, a.Target)
	}
}

func (h *hands) properties(unit string) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.props)
}

// Quiet implements Actor.
func (h *hands) Quiet(a *incident.Attempt) bool {
	u, ok := h.Unit(a.Target)
	return !remedy.Kind(a.Kind).OnUnit() || ok && u.Job == 0
}

// Undo implements Actor.
func (h *hands) Undo(_ context.Context, id string) (incident.Attempt, error) {
	h.undoing <- struct{}{} // one after another
	defer func() { <-h.undoing }()
	a, err := h.p.disk.Attempt(id)
	switch {
	case err != nil:
		return incident.Attempt{}, err
	case a.Phase == incident.Undone:
		return *a, nil
	case len(a.Undo) == 0:
		return *a, refuseNow(false, "%s cannot be taken back", a.Remedy)
	}
	a.Phase = incident.Undoing
	if err := h.p.disk.PutAttempt(a); err != nil {
		return *a, fmt.Errorf("write intent of undo, nothing was done: %w", err)
	}
	h.p.point("undoing")
	if h.p.dead.Load() {
		return *a, errKilled
	}
	if why := h.stuck(); why != nil {
		return *a, why
	}
	h.mu.Lock()
	h.acts = append(h.acts, "undo "+a.Remedy+" "+a.Target)
	h.props = map[string]string{}
	if err := json.Unmarshal(a.Undo, &h.props); err != nil {
		h.flaws = append(h.flaws, err.Error())
	}
	h.mu.Unlock()
	a.Phase, a.Undone = incident.Undone, clock.Now(h.clock)
	if err := h.p.disk.PutAttempt(a); err != nil && !h.p.dead.Load() {
		h.p.log.Error("undo is not on disk", "error", err)
	}
	return *a, nil
}

func (h *hands) stuck() error {
	if h.p.undoFails.Load() {
		return errors.New("systemd refused")
	}
	return nil
}

// Settle says by evidence what became of the attempts that an earlier process left open.
func (h *hands) Settle() []incident.Attempt {
	open := slices.DeleteFunc(h.p.disk.attempts(), func(a *incident.Attempt) bool { return !a.Open() })
	out := make([]incident.Attempt, 0, len(open))
	for _, a := range open {
		if a.Phase == incident.Intended {
			a.Phase, a.Reason = h.evident(a)
			if a.Phase == incident.Acted {
				a.Acted = clock.Now(h.clock)
			}
			if err := h.p.disk.PutAttempt(a); err != nil {
				h.p.log.Error("settlement is not on disk", "error", err)
			}
		}
		out = append(out, *a)
	}
	return out
}

func (h *hands) evident(a *incident.Attempt) (incident.Phase, string) {
	var was evidence
	if remedy.Kind(a.Kind) == remedy.SetProperty { // the properties themselves tell
		var before map[string]string
		decode(a.Undo, &before)
		if maps.Equal(before, h.properties(a.Target)) {
			return incident.NotDone, "the properties are as before"
		}
		return incident.Acted, "the properties were set"
	}
	if remedy.Kind(a.Kind) == remedy.Reboot {
		if a.Intended.BootID == h.clock.BootID() {
			a.Error = "the host was not rebooted"
		}
		return incident.Acted, "the boot tells"
	}
	if !remedy.Kind(a.Kind).OnUnit() {
		return incident.Unknown, "nothing tells whether the program ran"
	}
	decode(a.Before, &was)
	for { // systemd finishes its job whether or not the agent lives
		u, _ := h.Unit(a.Target)
		if u.Job == 0 {
			if u.InvocationID != was.Invocation {
				return incident.Acted, "it was started since"
			}
			return incident.NotDone, "it is the same as before"
		}
		time.Sleep(20 * time.Millisecond)
	}
}
