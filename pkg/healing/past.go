package healing

import (
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// PastAge covers the longest window that a decision looks at, and what confidence is learned from.
const PastAge = 7 * 24 * time.Hour

// Past is the memory of what ran on this host, oldest first. The zero value remembers nothing.
type Past struct {
	all []*incident.Attempt
}

// Put adds an attempt or replaces an older state of it.
func (p *Past) Put(a *incident.Attempt) {
	for i := len(p.all) - 1; i >= 0; i-- {
		if p.all[i].ID == a.ID {
			p.all[i] = a
			return
		}
	}
	p.all = append(p.all, a)
}

// Drop forgets an attempt that never began.
func (p *Past) Drop(id string) {
	p.all = slices.DeleteFunc(p.all, func(a *incident.Attempt) bool { return a.ID == id })
}

// Forget drops what is too old for any decision.
func (p *Past) Forget(now clock.Stamp) {
	p.all = slices.DeleteFunc(p.all, func(a *incident.Attempt) bool {
		return !a.Open() && a.Intended.Age(now) > PastAge
	})
}

// ByID is the attempt of that ID, or nil.
func (p *Past) ByID(id string) *incident.Attempt {
	for _, a := range p.all {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// List is a copy of all attempts, oldest first: Facts.History.
func (p *Past) List() []incident.Attempt {
	out := make([]incident.Attempt, len(p.all))
	for i, a := range p.all {
		out[i] = *a
	}
	return out
}

// Record counts the remedy's own outcomes for its service and the rule; "" stands for every rule. What only looks, and was
// not meant to heal, has none.
func (p *Past) Record(rem *config.Remedy, rule string) (verified, failed int) {
	if rem.Kind.Gathers() {
		return 0, 0
	}
	for _, a := range p.all {
		if a.Remedy != rem.Name || a.Service != rem.Owner() || rule != "" && a.Rule != rule {
			continue
		}
		switch a.Outcome {
		case incident.Verified:
			verified++
		case incident.Ineffective, incident.Worse, incident.Inconclusive:
			failed++
		}
	}
	return verified, failed
}

// LastHour counts the attempts that weigh in the host's budget.
func (p *Past) LastHour(now clock.Stamp) int {
	n := 0
	for _, a := range p.all {
		if a.Intended.Age(now) < time.Hour && counts(a) {
			n++
		}
	}
	return n
}
