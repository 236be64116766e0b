// Package model has hosts and agents for tests of the controller: machines on which actions really run for a
// while, agents that follow the protocol of pkg/permit and may die, freeze and lose their memory, and a
// witness who watches the machines and knows nothing of what anybody claims.
package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/permit"
)

// Witness knows what really runs. It is told of grants and settlements by whoever reads the log, and of
// actions by the machines; it asks nobody what they believe.
type Witness struct {
	// Called, if set, hears of every step that an agent calls.
	Called func(j *Job, m *Machine)

	grants  map[holder]*Grant
	running map[*Job]bool
	ran     map[holder]int // steps that began
	wrong   []string
}

// holder is a token in the hands of a host: after a log went back, two hosts may have the same token.
type holder struct {
	token permit.Token
	host  string
}

// Grant is what the log said when a permit was given.
type Grant struct {
	Index uint64
	Caps  map[string]int // of the services among its targets
	Fleet int
	// Suspect: it was given by a log that had gone back in time and did not know it yet.
	Suspect bool
	// Closed says how the permit ended in the log, "": it is open.
	Closed string
}

// NewWitness is one who has seen nothing.
func NewWitness() *Witness {
	return &Witness{grants: map[holder]*Grant{}, running: map[*Job]bool{}, ran: map[holder]int{}}
}

// Wrong is what must not have happened.
func (w *Witness) Wrong() []string { return w.wrong }

// Complain notes what must not have happened.
func (w *Witness) Complain(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// Granted: the log gives a permit.
func (w *Witness) Granted(t permit.Token, host string, g *Grant) {
	k := holder{t, host}
	if old := w.grants[k]; old != nil && old.Closed != "" && !g.Suspect && !old.Suspect {
		w.Complain("token %s was given to %s twice", t, host)
	}
	if g.Suspect {
		delete(w.ran, k) // it may be a token that was given before
	}
	w.grants[k] = g
}

// Closed: the log counts the permit no more.
func (w *Witness) Closed(t permit.Token, host, how string) {
	if g := w.grants[holder{t, host}]; g != nil {
		g.Closed = how
	}
	for j := range w.running {
		if j.Token == t && j.machine.ID == host {
			w.Complain("permit %s of %s was freed (%s) while %s runs", t, host, how, j)
		}
	}
}

// Open: a log that went back counts the permit again.
func (w *Witness) Open(t permit.Token, host string) {
	if g := w.grants[holder{t, host}]; g != nil {
		g.Closed = ""
	}
}

// Runs reports whether something runs on a host, under that token or under any ("").
func (w *Witness) Runs(host string, t permit.Token) bool {
	for j := range w.running {
		if j.machine.ID == host && (t == permit.Token{} || j.Token == t) {
			return true
		}
	}
	return false
}

// called: an agent asks its host to act. From here to the end of the job nothing may free the permit.
func (w *Witness) called(j *Job) {
	if w.Called != nil {
		w.Called(j, j.machine)
	}
	k := holder{j.Token, j.machine.ID}
	g := w.grants[k]
	switch {
	case j.Alone:
	case g == nil:
		w.Complain("%s runs under a token that was never given", j)
	case g.Closed != "":
		w.Complain("%s begins after its permit was freed (%s)", j, g.Closed)
	}
	if j.Step != w.ran[k]+1 {
		w.Complain("%s is step %d after step %d", j, j.Step, w.ran[k])
	}
	w.ran[k] = j.Step
	w.running[j] = true
}

// begun: the action takes its targets away now.
func (w *Witness) begun(j *Job) {
	services := map[string]bool{}
	for _, t := range j.Targets {
		if t.Resource == "" {
			services[t.Service] = true
		}
		for o := range w.running {
			if o != j && o.acts() && !o.Alone && !j.Alone && slices.Contains(o.Targets, t) {
				w.Complain("%s and %s take away %v at once", j, o, t)
			}
		}
	}
	for s := range services {
		w.atMost(s)
	}
	w.fleet()
}

// over: the action has ended, or its host went down with it.
func (w *Witness) over(j *Job) { delete(w.running, j) }

// atMost asserts that no more hosts of a service are acting than the newest permit among them allowed.
func (w *Witness) atMost(service string) {
	hosts := map[string]bool{}
	newest := &Grant{Caps: map[string]int{service: 1}} // several that act alone are one too many
	for j := range w.running {
		for _, t := range j.Targets {
			if !j.acts() || t.Service != service || t.Resource != "" {
				continue
			}
			hosts[t.Host] = true
			if g := w.grants[holder{j.Token, j.machine.ID}]; g != nil && g.Index > newest.Index {
				newest = g
			}
		}
	}
	if len(hosts) > newest.Caps[service] && !newest.Suspect {
		w.Complain("%d hosts of %s are really acting, the cap was %d: %s", len(hosts), service, newest.Caps[service],
			w.list())
	}
}

// fleet asserts fleet_max for what runs with permits.
func (w *Witness) fleet() {
	hosts := map[string]bool{}
	newest := &Grant{}
	for j := range w.running {
		g := w.grants[holder{j.Token, j.machine.ID}]
		if !j.acts() || g == nil {
			continue
		}
		hosts[j.machine.ID] = true
		for _, t := range j.Targets {
			if t.Resource == "" {
				hosts[t.Host] = true
			}
		}
		if g.Index > newest.Index {
			newest = g
		}
	}
	if newest.Index > 0 && len(hosts) > newest.Fleet && !newest.Suspect {
		w.Complain("%d hosts of the fleet are really acting, fleet_max was %d: %s", len(hosts), newest.Fleet, w.list())
	}
}

func (w *Witness) list() string {
	var all []string
	for j := range w.running {
		all = append(all, j.String())
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// Job is one step of an attempt on a machine.
type Job struct {
	Token   permit.Token
	Attempt string
	Targets []permit.Target
	Step    int
	Alone   bool
	Undo    bool
	For     time.Duration // how long it takes
	Leaves  Health        // of its targets, when it is over
	Lag     time.Duration // between the call and its beginning

	machine *Machine
	called  time.Duration
	began   bool
	ended   bool
}

// acts reports whether the job takes its targets away now.
func (j *Job) acts() bool { return j.began && !j.ended }

func (j *Job) String() string {
	return fmt.Sprintf("%s step %d of %s on %s %v", j.Token, j.Step, j.Attempt, j.machine.ID, j.Targets)
}
