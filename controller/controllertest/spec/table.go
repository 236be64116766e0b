// Package spec is the permit table written a second time, as plainly as it can be said: no indices, no
// tables derived from others, every count by looking at every host. Tests hold it against the controller's
// state, command by command, and against histories of what clients saw.
//
// It judges answers, and does not give them: a refusal must give a reason that is true at its point, a grant
// must be one that no reason stands against, and an answer of another kind must not be there.
package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Table is all that the rules of permits look at.
type Table struct {
	Generation   string
	Epoch, Token uint64 // the last ones given
	Hosts        map[string]*Host
	Permits      map[Token]*Permit // open
	Pauses       map[string]Pause
	Widths       map[Remedy]Width
	Services     map[string]*logpb.Service // blocks of the configuration
	FleetMax     uint32

	digest string // of the configuration
	at     int64  // of the last command
	// Breakers are taken over from outside before each request: alerts and time move them.
	breakers map[Rule][]string // open ones → hosts that a person lets through
	taken    map[Taken]bool    // incidents that a person has
}

// Keys of the table.
type (
	// Token names a permit.
	Token struct {
		Generation string
		N          uint64
	}
	// Target is a service on a host, or a resource.
	Target struct{ Service, Host, Resource string }
	// Rule of a service.
	Rule struct{ Service, Name string }
	// Remedy for a rule of a service.
	Remedy struct{ Service, Rule, Digest string }
)

// Host is a machine by its ID.
type Host struct {
	Fingerprint, Stranger, Boot, Nonce, Stream string
	Epoch, Mark, LastN                         uint64
	Last                                       Token // of request LastN
	Lost, Awaited, Removed, Quarantined        bool
	Services                                   map[string]Service
}

// Service is what a host does for one.
type Service struct {
	Serving   logpb.Serving
	Sole      logpb.Sole
	Withdrawn uint64
}

// Permit is an open one.
type Permit struct {
	Host                          string
	Epoch                         uint64
	Service, Rule, Digest         string
	Targets                       []Target
	Undo, Unknown, AsDown, Revoke bool
}

// Pause is a stop.
type Pause struct {
	Scope      string
	Until      int64
	Generation bool
	Window     string
}

// Width is that of one remedy for one rule.
type Width struct {
	Width  uint32
	Failed string // hosts on which it failed in a row, joined
	Used   int64
}

// Point is where in the log a command is judged.
type Point struct {
	Index uint64
	At    int64
}

// New is the table before the first entry.
func New() *Table {
	return &Table{Hosts: map[string]*Host{}, Permits: map[Token]*Permit{}, Pauses: map[string]Pause{},
		Widths: map[Remedy]Width{}, Services: map[string]*logpb.Service{}, breakers: map[Rule][]string{}}
}

// Clone is a table that changes by itself.
func (t *Table) Clone() *Table {
	c := *t
	c.Hosts, c.Permits = make(map[string]*Host, len(t.Hosts)), make(map[Token]*Permit, len(t.Permits))
	for id, h := range t.Hosts {
		n := *h
		n.Services = maps.Clone(h.Services)
		c.Hosts[id] = &n
	}
	for k, p := range t.Permits {
		n := *p // its targets never change
		c.Permits[k] = &n
	}
	c.Pauses, c.Widths = maps.Clone(t.Pauses), maps.Clone(t.Widths)
	return &c
}

// Taken names an incident that a person has: by its service, or by an agent's name for it.
type Taken struct{ Service, Host, Local string }

// Look takes over what alerts and incidents say: which breakers are open, and which incidents people have.
// Where a breaker has closed, every remedy begins with one host.
func (t *Table) Look(s *state.State) {
	before := t.breakers
	t.breakers, t.taken = map[Rule][]string{}, map[Taken]bool{}
	for _, b := range s.Breakers() {
		if b.GetOpen() {
			t.breakers[Rule{b.GetService(), b.GetRule()}] = b.GetApproved()
		}
	}
	for rule := range before {
		if _, open := t.breakers[rule]; !open {
			t.restart(rule, false)
		}
	}
	newest := map[Taken]int64{}
	for _, i := range s.Incidents() {
		has := i.GetState() == logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED && !i.GetKeepHealing()
		for _, a := range s.AlertsOf(i.GetId()) {
			k := Taken{Host: a.GetKey().GetHost(), Local: a.GetLocal()}
			if a.GetLocal() != "" && a.GetFired() >= newest[k] {
				t.taken[k], newest[k] = has, a.GetFired()
			}
		}
		if has {
			t.taken[Taken{Service: i.GetService()}] = true
		}
	}
}

// String is the table as text. Equal tables have equal texts; the digest stands for the configuration.
func (t *Table) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, t.Generation, t.Epoch, t.Token, t.digest, t.FleetMax, t.Pauses, t.Widths)
	for _, id := range slices.Sorted(maps.Keys(t.Hosts)) {
		fmt.Fprintln(&b, id, *t.Hosts[id])
	}
	for _, k := range t.open() {
		fmt.Fprintln(&b, k, *t.Permits[k])
	}
	return b.String()
}

func tokenOf(t *logpb.Token) Token { return TokenOf(t) }

// TokenOf is the token of the wire.
func TokenOf(t *logpb.Token) Token { return Token{t.GetGeneration(), t.GetN()} }

func targetsOf(ts []*logpb.Target) []Target {
	out := make([]Target, 0, len(ts))
	for _, t := range ts {
		out = append(out, Target{t.GetService(), t.GetHost(), t.GetResource()})
	}
	return out
}

// sortTargets puts targets in order, each once.
func sortTargets(ts []Target) []Target {
	slices.SortFunc(ts, func(a, b Target) int {
		return slices.Compare([]string{a.Service, a.Host, a.Resource}, []string{b.Service, b.Host, b.Resource})
	})
	return slices.Compact(ts)
}
