package rule

import (
	"slices"

	"github.com/salveops/salve/pkg/clock"
)

// Restore makes an alert fire that fired in an earlier process, without an event: it goes on until its
// clear condition is seen to hold. It returns nil if the rule or the instance no longer exists.
func (e *Engine) Restore(rule, service, name string, fired clock.Instant) *Alert {
	want := id{rule: rule, service: service, instance: name}
	i := slices.IndexFunc(e.list, func(in *instance) bool { return in.id == want })
	if i < 0 {
		return nil
	}
	in := e.list[i]
	if !in.State.Active() {
		in.enter(Firing, fired)
		in.Fired = fired
		in.clearing.reset()
	}
	return &in.Alert
}

// Every is each alert that exists, also those at rest, in the order of the rules.
func (e *Engine) Every() []*Alert {
	out := make([]*Alert, len(e.list))
	for i, in := range e.list {
		out[i] = &in.Alert
	}
	return out
}
