package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Verdict is what an agent makes of a message.
type Verdict int

// Verdicts.
const (
	Stay   Verdict = iota
	Anew           // the session must begin anew
	Leave          // this node has nothing for it; another may
	Banned         // a person has to do something first
)

// Agent is one process of an agent. All that it knows beside the disk of its machine dies with it.
type Agent struct {
	// Stall, if set, says that the process is stopped between its last check and the act: see Thaw.
	Stall func() bool

	m        *Machine
	book     *permit.Book
	started  time.Duration
	send     func(*agentpb.ConnectRequest) // nil: no session
	nonce    func() string
	attempts []*attempt
	stalled  []func()
	line     line
	fates    map[string]string // of attempts that are over
	heard    bool              // standing orders came to this process
	met      bool              // a controller has welcomed this process
	opened   uint64            // events that an earlier process left
}

// line is what a session has, and loses.
type line struct {
	reported map[string]logpb.Serving
	pings    []time.Duration // when each was sent
	lastPing time.Duration
	heard    uint64 // serial of the last pong
	told     uint64 // events sent up to here
	toldAt   time.Duration
	marked   uint64
}

// Start begins a process on the machine, with what its journal has.
func Start(m *Machine, nonce func() string) *Agent {
	a := &Agent{m: m, nonce: nonce, started: m.Boottime(), opened: uint64(len(m.Disk.Events)),
		fates: map[string]string{}}
	var past []permit.Restored
	for _, id := range sortedKeys(m.Disk.Intents) {
		i := m.Disk.Intents[id]
		past = append(past, i.Restored)
		if i.Settlement == "" {
			a.attempts = append(a.attempts, &attempt{id: id, Want: i.Want, stage: acting, held: i.Held, revived: true})
		}
	}
	a.book = permit.New(permit.Options{Host: m.ID, BootID: m.BootID, Started: a.started}, m.Disk.read(), past)
	return a
}

func (a *Agent) d() *Disk { return a.m.Disk }

// Connect begins a session over a new connection.
func (a *Agent) Connect(send func(*agentpb.ConnectRequest)) {
	a.line = line{reported: map[string]logpb.Serving{}}
	a.send = send
	r := a.book.Hello(a.nonce())
	a.d().write(r)
	h := &logpb.Hello{
		Host: a.m.ID, Name: a.m.Name, Fingerprint: a.m.Fingerprint, BootId: a.m.BootID, LastEpoch: r.Epoch, Nonce: r.Nonce,
		Stream: a.d().Stream, LastEvent: uint64(len(a.d().Events)), Generation: r.Generation, Index: r.Index,
		Running: a.book.Send(a.m.Boottime()),
	}
	if !a.met { // what this process has added is known to nobody, and must not hide what an earlier one lost
		h.LastEvent = a.opened
	}
	for _, s := range a.m.Services() {
		h.Services = append(h.Services, &logpb.ServiceReport{Service: s, Serving: a.m.Serving(s)})
		a.line.reported[s] = a.m.Serving(s)
	}
	a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: h}})
}

// Connected reports whether there is a connection, established or not.
func (a *Agent) Connected() bool { return a.send != nil }

// Live reports whether the session is established.
func (a *Agent) Live() bool { _, live := a.book.Live(); return live }

// Cut loses the connection.
func (a *Agent) Cut() {
	a.send = nil
	for _, id := range a.book.Cut() {
		a.refused(id, "cut")
	}
}

func (a *Agent) say(r *agentpb.ConnectRequest) { a.send(r) }

func (a *Agent) refused(id, code string) {
	a.fates[id] = "refused: " + code
	a.attempts = slices.DeleteFunc(a.attempts, func(t *attempt) bool { return t.id == id && t.stage == waiting })
}

// Fate is what became of an attempt of this process: "asked", "granted", "acting", "refused: CODE", "void: WHY", or
// how it was settled; "": it has none of that name.
func (a *Agent) Fate(id string) string {
	for _, t := range a.attempts {
		switch {
		case t.id != id:
		case t.stage == waiting:
			return "asked"
		case t.stage <= intended:
			return "granted"
		case t.stage < done:
			return "acting"
		}
	}
	return a.fates[id]
}

// Want begins an attempt. It asks for a permit, or begins by the right of the only host.
func (a *Agent) Want(id string, w Want) error {
	w.Steps = max(1, w.Steps)
	t := &attempt{id: id, Want: w, targets: a.targets(w)}
	ask := a.ask(t)
	if wait, possible := a.book.AloneWait(a.m.Boottime()); possible && wait == 0 && a.sole(t.targets) && !a.locked(t) {
		held, err := a.book.BeginAlone(ask, a.facts(t))
		if err != nil {
			return err
		}
		a.write(t, held)
		a.attempts = append(a.attempts, t)
		return nil
	}
	if !a.Live() {
		return fmt.Errorf("nobody can be asked")
	}
	if err := a.book.Ask(ask); err != nil {
		return err
	}
	a.attempts = append(a.attempts, t)
	return nil
}

func (a *Agent) ask(t *attempt) permit.Ask {
	return permit.Ask{Attempt: t.id, Incident: t.Incident, Service: t.Service, Rule: t.Rule, Remedy: t.Remedy,
		Digest: t.Digest, Targets: t.targets, Claims: a.claims(), StartDead: t.StartDead, By: t.By}
}

// targets are all that the attempt takes away.
func (a *Agent) targets(w Want) []permit.Target {
	targets := slices.Clone(w.More)
	for _, s := range a.m.Services() {
		if w.Host || s == w.Service {
			targets = append(targets, permit.Target{Service: s, Host: a.m.ID})
		}
	}
	return targets
}

// sole reports whether every target is a service whose only host this is, by orders that this process heard:
// what a journal says may be an older copy's, from before the right was taken back.
func (a *Agent) sole(targets []permit.Target) bool {
	if !a.heard {
		return false
	}
	for _, t := range targets {
		right := slices.ContainsFunc(a.d().Standing.GetServices(), func(s *agentpb.ServiceOrder) bool {
			return s.GetService() == t.Service && s.GetSole()
		})
		if t.Host != a.m.ID || !right {
			return false
		}
	}
	return len(targets) > 0
}

// stop says why no step may begin, by orders that are on disk; "": nothing stands in the way.
func (a *Agent) stop(t *attempt) string {
	if t.stage < acting && !a.m.Idle(t.targets) {
		return "a job is under way"
	}
	for _, p := range a.d().Standing.GetPauses() {
		of := slices.ContainsFunc(t.targets, func(x permit.Target) bool { return p.GetScope() == "service:"+x.Service })
		if of || p.GetScope() == "all" || p.GetScope() == "host:"+a.m.ID {
			return "paused: " + p.GetScope()
		}
	}
	for _, b := range a.d().Standing.GetBreakers() {
		if b.GetService() == t.Service && b.GetRule() == t.Rule && !t.StartDead {
			return "the breaker is open"
		}
	}
	return ""
}

func (a *Agent) claims() []permit.Claim {
	var out []permit.Claim
	for _, s := range a.m.Services() {
		out = append(out, permit.Claim{Service: s, Serving: a.m.Serving(s)})
	}
	return out
}

// Thaw lets go on what was stopped between check and act.
func (a *Agent) Thaw() {
	todo := a.stalled
	a.stalled = nil
	for _, f := range todo {
		f()
	}
}

// Frozen reports whether the process stands still.
func (a *Agent) Frozen() bool { return len(a.stalled) > 0 }

// String says where the attempts and the permits stand.
func (a *Agent) String() string {
	out := fmt.Sprintf("%d doubts", len(a.book.Doubts()))
	for _, t := range a.attempts {
		out += fmt.Sprintf(", %s at stage %d of %v", t.id, t.stage, t.held.Token)
	}
	for _, id := range sortedKeys(a.d().Intents) {
		if i := a.d().Intents[id]; i.Settlement == "" || i.Settlement == permit.Unknown && !i.Cleared {
			out += fmt.Sprintf(", intent %s of %v %s", id, i.Token, i.Settlement)
		}
	}
	return out
}

// Busy reports how many attempts are under way.
func (a *Agent) Busy() int { return len(a.attempts) }

// Open reports how many permits are not settled, as far as this process knows.
func (a *Agent) Open() int { return a.book.Open() }

// Silent is how long ago the last round trip began.
func (a *Agent) Silent() time.Duration { return a.book.Silent(a.m.Boottime()) }

// Backlog is how many events the controller has not acknowledged, as far as this process knows.
func (a *Agent) Backlog() int { return len(a.d().Events) - int(a.line.marked) }
