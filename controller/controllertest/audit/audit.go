// Package audit reads a controller's log, entry by entry, and asserts after each command what must hold: every
// answer is one that the rules of permits allow, nothing else has changed, the indices follow from the tables,
// a batch is its commands one by one, a restart changes nothing, and what the witness of the machines sees
// agrees with what the log counts.
package audit

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/logpb"
)

// Auditor follows one log.
type Auditor struct {
	// State is what the log says, for whoever wants to look.
	State *state.State
	// Table is the same by the rules.
	Table *spec.Table
	// Blind: nobody asks whether the answers are right, only what the witness sees.
	Blind bool

	Whole   *state.State // the same log by whole entries, never restarted
	w       *model.Witness
	wrong   []string
	suspect bool // the log went back in time, and nobody has shown it yet
	revoked map[permit.Token]uint64
	alerts  map[string]bool // that the log has taken into an incident
	applied int
}

// New is one at the beginning of a log.
func New(w *model.Witness) *Auditor {
	return &Auditor{State: state.New(), Whole: state.New(), Table: spec.New(), w: w, revoked: map[permit.Token]uint64{},
		alerts: map[string]bool{}}
}

// Wrong is what must not have happened.
func (a *Auditor) Wrong() []string { return append(a.wrong, a.w.Wrong()...) }

func (a *Auditor) complain(format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

// Apply takes the next entry and returns its answers.
func (a *Auditor) Apply(index uint64, e *logpb.Entry) []*logpb.Result {
	var results []*logpb.Result
	for _, c := range e.GetCommands() {
		results = append(results, a.command(index, e, c))
	}
	together, err := a.Whole.Apply(index, proto.CloneOf(e))
	if err != nil {
		a.complain("entry %d: %v", index, err)
		return results
	}
	if a.Blind {
		return results
	}
	for i := range results {
		if i < len(together) && !proto.Equal(together[i], results[i]) {
			a.complain("entry %d, command %d: in the batch the answer is %v, and alone %v", index, i, together[i], results[i])
		}
	}
	if err := a.State.Verify(); err != nil {
		a.complain("entry %d: %v", index, err)
	}
	if a.applied++; a.applied%50 == 0 {
		a.restart()
	}
	return results
}

// restart goes on from a snapshot, and compares with the state that never stopped.
func (a *Auditor) restart() {
	s, err := state.Restore(a.State.Snapshot())
	if err != nil {
		a.complain("restore: %v", err)
		return
	}
	if a.State = s; !bytes.Equal(s.Hash(), a.Whole.Hash()) {
		a.complain("after entry %d the restarted replica has another hash", s.Index())
	}
}

// command judges one.
func (a *Auditor) command(index uint64, e *logpb.Entry, c *logpb.Command) *logpb.Result {
	before := open(a.State)
	a.Table.Look(a.State)
	one := &logpb.Entry{Format: e.GetFormat(), At: e.GetAt(), Node: e.GetNode(),
		Commands: []*logpb.Command{proto.CloneOf(c)}}
	rs, err := a.State.Apply(index, one)
	if err != nil {
		a.complain("entry %d: %v", index, err)
		return nil
	}
	a.rules(spec.Point{Index: index, At: a.State.At()}, c, rs[0])
	a.tell(index, before, c, rs[0])
	if c.GetEvents() != nil {
		a.incidents(index)
	}
	return rs[0]
}

// incidents asserts that every alert is in one incident, which there is, and remembers which came.
func (a *Auditor) incidents(index uint64) {
	in := map[string]string{}
	for _, i := range a.State.Incidents() {
		for _, x := range a.State.AlertsOf(i.GetId()) {
			k := x.GetKey().String()
			if in[k] != "" || x.GetIncident() != i.GetId() {
				a.complain("entry %d: alert %s is in incidents %s, %s and %s", index, k, in[k], i.GetId(), x.GetIncident())
			}
			in[k], a.alerts[k] = i.GetId(), true
		}
	}
}

// Kept reports whether an alert came into an incident. The incident may have ended long ago.
func (a *Auditor) Kept(k *logpb.AlertKey) bool { return a.alerts[k.String()] }

// rules holds the answer against the table.
func (a *Auditor) rules(at spec.Point, c *logpb.Command, r *logpb.Result) {
	if err := a.Table.Step(at, c, r); err != nil && !a.Blind {
		a.complain("entry %d: %v\n  → %v\n  %v", at.Index, c, r, err)
	}
	if h := a.State.Host(c.GetEvents().GetHost()); h != nil {
		a.Table.Mark(h)
	}
	a.Table.Look(a.State)
	if a.Blind {
		return
	}
	if err := a.Table.Same(a.State); err != nil {
		a.complain("entry %d: after %v\n  → %v\n  %v", at.Index, c, r, err)
		a.Blind = true // from here on it would only repeat itself
	}
}

type held struct {
	token permit.Token
	host  string
}

func open(s *state.State) map[held]*logpb.Permit {
	out := map[held]*logpb.Permit{}
	for _, p := range s.Permits() {
		out[held{permit.TokenOf(p.GetToken()), p.GetHost()}] = p
	}
	return out
}

// tell lets the witness know which permits the log gave and which it counts no more.
func (a *Auditor) tell(index uint64, before map[held]*logpb.Permit, c *logpb.Command, r *logpb.Result) {
	after := open(a.State)
	if g := r.GetGrant(); g != nil {
		k := held{permit.TokenOf(g.GetToken()), c.GetRequest().GetHost()}
		if before[k] == nil {
			a.w.Granted(k.token, k.host, &model.Grant{Index: index, Caps: a.caps(after[k]), Fleet: a.Table.Fleet(),
				Suspect: a.suspect})
		}
	}
	how, _, _ := strings.Cut(c.String(), ":")
	for k := range before {
		if after[k] == nil {
			a.w.Closed(k.token, k.host, how)
			delete(a.revoked, k.token)
		}
	}
	if x := c.GetRevoke(); x != nil && r.GetRefusal() == nil {
		if k := permit.TokenOf(x.GetToken()); a.revoked[k] == 0 {
			a.revoked[k] = index
		}
	}
	if c.GetNewGeneration() != nil ||
		c.GetHello() != nil && c.GetHello().GetNewGeneration() == a.State.Generation() {
		a.suspect = false
	}
}

func (a *Auditor) caps(p *logpb.Permit) map[string]int {
	caps := map[string]int{}
	for _, t := range p.GetTargets() {
		if t.GetResource() == "" {
			caps[t.GetService()] = a.Table.Cap(t.GetService())
		}
	}
	return caps
}

// Copy is a backup of the controller, with what the auditor knew then.
type Copy struct {
	*logpb.Snapshot
	alerts map[string]bool
}

// Copy makes one.
func (a *Auditor) Copy() Copy { return Copy{a.Whole.Snapshot(), maps.Clone(a.alerts)} }

// Restored: the log goes on from an older snapshot. If nobody said so, what it gives is suspect until an agent
// shows that it went back.
func (a *Auditor) Restored(old Copy, silently bool) {
	if old.alerts != nil { // a backup that was not made here says nothing of it
		a.alerts = maps.Clone(old.alerts)
	}
	for _, s := range []**state.State{&a.State, &a.Whole} {
		restored, err := state.Restore(proto.CloneOf(old.Snapshot))
		if err != nil {
			a.complain("restore: %v", err)
			return
		}
		*s = restored
	}
	a.suspect = silently
	a.revoked = map[permit.Token]uint64{}
	for _, p := range a.State.Permits() {
		a.w.Open(permit.TokenOf(p.GetToken()), p.GetHost())
	}
	a.Table = spec.Of(a.State)
}

// Step says what stands against a step that begins on a machine now: a pause or a revocation of which the log
// says that the host knows. Undo is never stopped.
func (a *Auditor) Step(j *model.Job, host string) {
	h := a.State.Host(host)
	if j.Undo || h == nil || a.suspect {
		return // an older log may hold a pause whose end the host knows
	}
	for _, p := range a.State.Pauses() {
		if h.GetConfirmed() >= p.GetIndex() && binds(p.GetScope(), host, j.Targets) {
			a.w.Complain("%s begins on %s, which has confirmed %s (%s)", j, host, p.GetId(), p.GetScope())
		}
	}
	if at := a.revoked[j.Token]; at > 0 && h.GetConfirmed() >= at {
		a.w.Complain("%s begins on %s, which has confirmed that it is revoked", j, host)
	}
}

func binds(scope, host string, targets []permit.Target) bool {
	kind, name, _ := strings.Cut(scope, ":")
	for _, t := range targets {
		if kind == "service" && t.Service == name && t.Host == host {
			return true
		}
	}
	return scope == "all" || kind == "host" && name == host
}
