package story

import (
	"strings"
	"time"
)

// attemptsIn are the runs that a timeline tells of. The controller keeps no record of attempts: each host
// tells of them line by line, and the field "attempt" says which lines are about the same.
func attemptsIn(events []Event) []*Attempt {
	type key struct{ host, id string }
	known := map[key]*recalled{}
	var order []*Attempt
	for _, e := range events {
		id := e.Fields["attempt"]
		if id == "" {
			continue
		}
		r := known[key{e.Host, id}]
		if r == nil {
			r = &recalled{a: &Attempt{Host: e.Host, ID: id}}
			known[key{e.Host, id}] = r
			order = append(order, r.a)
		}
		r.take(e)
	}
	return order
}

// recalled is an attempt of which some lines were read.
type recalled struct {
	a                *Attempt
	intended, acted  time.Time
	intent, happened bool
}

// take learns from one line.
func (r *recalled) take(e Event) {
	a := r.a
	for name, to := range map[string]*string{
		"remedy": &a.Remedy, "kind": &a.Kind, "target": &a.Target, "by": &a.By, "phase": &a.Phase, "outcome": &a.Outcome,
	} {
		if v := e.Fields[name]; v != "" {
			*to = v
		}
	}
	if a.Offset == nil {
		a.Offset = e.Offset
	}
	switch e.Type {
	case "intent":
		r.intended, r.intent, a.Offset = e.At, true, e.Offset
		if remedy, plan, ok := strings.Cut(e.Text, " begins: "); ok && a.Remedy == "" {
			a.Remedy, a.Plan = remedy, plan // until its end says more
		}
	case "act":
		if r.intent && !r.happened {
			a.Act = between(r.intended, e.At)
		}
		r.acted, r.happened = e.At, true
		_, a.Error, _ = strings.Cut(e.Text, " failed: ")
	case "verify":
		if r.happened {
			a.Verify = between(r.acted, e.At)
		}
		a.Reason = strings.TrimPrefix(strings.TrimPrefix(e.Text, a.Remedy+": "), a.Outcome+": ")
	case "undo":
		a.Undone = strings.HasSuffix(e.Text, "was taken back")
	case "decide": // it did not begin
		a.Phase, a.Reason = "refused", strings.TrimPrefix(e.Text, a.Remedy+" does not run: ")
	}
	if a.Phase == "unknown" && a.Reason == "" {
		a.Reason = e.Text
	}
}

func between(a, b time.Time) *time.Duration {
	d := max(0, b.Sub(a))
	return &d
}
