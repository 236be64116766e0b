package isolate_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// both lets two incidents have a plan before the first runs: the second does not run, since all is as it would make it.
func (r *rig) both(want string) (first incident.Attempt) {
	r.t.Helper()
	var plans []act.Plan
	for _, of := range []string{"first", "second"} {
		q := r.request()
		q.Attempt.Incident = of
		p, err := r.Prepare(r.t.Context(), q)
		if err != nil {
			r.t.Fatal(err)
		}
		plans = append(plans, p)
	}
	first, err := r.Run(r.t.Context(), plans[0])
	if err != nil || first.Error != "" {
		r.t.Fatalf("%+v, %v", first, err)
	}
	_, err = r.Run(r.t.Context(), plans[1])
	if !r.refusal(err, want).Needless {
		r.t.Errorf("the second is no needless attempt: %v", err)
	}
	return first
}

// ends takes an attempt back, also once more.
func (r *rig) ends(id string) {
	r.t.Helper()
	if a, err := r.Undo(r.t.Context(), id); err != nil || a.Phase != incident.Undone {
		r.t.Errorf("%s is %s: %v", id, a.Phase, err)
	}
}

// change changes what the journal has of an attempt.
func (r *rig) change(id string, do func(*incident.Attempt)) {
	r.t.Helper()
	a, err := r.journal.Attempt(id)
	if err == nil {
		do(a)
		err = r.journal.PutAttempt(a)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestMarkTwice: the file is that of one attempt, whose end alone removes it.
func TestMarkTwice(t *testing.T) {
	r, _, path := newMark(t)
	first := r.both("is there already")
	r.holds(path, first.ID)
	r.ends(first.ID)
	r.holds(path, "")

	second := r.must(r.request())
	r.ends(first.ID)
	r.holds(path, second.ID)

	if err := os.Remove(path); err != nil { // by a person, while the second stands
		t.Fatal(err)
	}
	third := r.must(r.request())
	r.change(second.ID, func(a *incident.Attempt) { a.For = time.Millisecond })
	r.expires(second.ID)
	r.holds(path, third.ID)
	r.ends(third.ID)
	r.holds(path, "")
}

// TestToggleTwice: the service is told once for as long as an attempt lasts, since the end of one would be that of the other.
func TestToggleTwice(t *testing.T) {
	g := newTold(t)
	first := g.both("told to do without payments already")
	g.want("POST /on 60")
	g.Runner = g.runner() // the next process
	g.refused(g.request(), "told to do without payments already")

	own := *g.circuit
	g.circuit.On += "?of=another"
	if g.refused(g.request(), "what ends it would end another attempt as well").Needless {
		t.Error("a service that was told something else is a needless attempt")
	}
	*g.circuit = config.Circuit{Name: "payments", On: own.On, Off: own.Off + "?of=another"}
	g.refused(g.request(), "told to do without payments already")
	*g.circuit = own
	g.want()

	g.ends(first.ID)
	second := g.must(g.request())
	g.ends(first.ID)
	g.want("POST /off ", "POST /on 60")

	// Its end comes late: until it has, no other one may begin.
	g.deaf.Store(true)
	var refusal *kind.Refusal
	if _, err := g.Undo(t.Context(), second.ID); err == nil || errors.As(err, &refusal) {
		t.Errorf("nobody would try again: %v", err)
	}
	g.deaf.Store(false)
	g.change(second.ID, func(a *incident.Attempt) { a.Intended.Boot -= 2 * time.Hour })
	g.refused(g.request(), "told to do without payments already")
	g.want("POST /off ")
	g.expires(second.ID)
	third := g.must(g.request())
	g.ends(second.ID)
	g.want("POST /off ", "POST /on 60")
	g.ends(third.ID)
}
