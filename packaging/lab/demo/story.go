package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/proto/localpb"
)

// story is one fault, the end that it must have, and how to check that end without asking the agent.
type story struct {
	title   string
	service string
	tell    string // what is done to the service
	inflict func(ctx context.Context, p *rig.Patient, pid int) error
	want    ending
	check   func(ctx context.Context, p *rig.Patient, before int) (string, error)
	within  time.Duration // bounds the story; 0 is storyTime
}

// ending is what the incident's record must say at the end.
type ending struct {
	state    string // "resolved" or "escalated"
	attempts []attempt
}

// attempt is one run of a remedy in that record.
type attempt struct {
	remedy   string
	outcomes []string // any of these
	undone   bool
}

// result is one line of the closing table. Times are since the fault; 0 means that it did not happen.
type result struct {
	title    string
	detected time.Duration
	acted    time.Duration
	verified time.Duration
	end      string // what the agent says
	outside  string // what was seen without asking the agent
	err      error  // why it is not as it must be
}

// storyTime bounds most stories.
const storyTime = 40 * time.Second

// play breaks the service and follows the story to its end.
func play(ctx context.Context, t *tale, p *rig.Patient, st story) result {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(st.within, storyTime))
	defer cancel()
	before, err := p.AwaitAny(ctx)
	if err != nil {
		return result{title: st.title, err: err}
	}
	return t.playOut(ctx, trial{
		title: st.title, service: st.service, want: st.want,
		inflict: func(ctx context.Context) error { return st.inflict(ctx, p, before.PID) },
		check:   func(ctx context.Context) (string, error) { return st.check(ctx, p, before.PID) },
	})
}

// trial is what a story is when it is known whom it befalls.
type trial struct {
	title, service string
	inflict        func(context.Context) error
	want           ending
	check          func(context.Context) (string, error) // what is seen without asking the agent
}

// playOut inflicts the fault and follows the trial to its end.
func (t *tale) playOut(ctx context.Context, tr trial) result {
	r := result{title: tr.title}
	fault := t.begin(tr.service)
	defer t.finish()
	if err := tr.inflict(ctx); err != nil {
		r.err = fmt.Errorf("inflict: %w", err)
		return r
	}
	in, err := t.end(ctx)
	if in != nil {
		r.times(fault, in)
		r.end = in.GetSummary().GetState()
	}
	if err != nil {
		r.err = err
		return r
	}
	r.outside, err = tr.check(ctx)
	r.err = errors.Join(tr.want.compare(in), err)
	return r
}

// end waits until the story's incident ends or is handed to people, and returns its record. With an
// error it returns what there is.
func (t *tale) end(ctx context.Context) (*localpb.Incident, error) {
	e, err := t.await(ctx, "end of the story", func(e *localpb.TimelineEvent) bool {
		return e.GetType() == "end" || e.GetType() == "escalate"
	})
	id := e.GetIncident()
	if err != nil {
		id = t.lastIncident()
	}
	if id == "" {
		return nil, err
	}
	in, asked := t.settled(context.WithoutCancel(ctx), id)
	return in, errors.Join(err, asked)
}

// times reads from the record when what happened.
func (r *result) times(fault time.Time, in *localpb.Incident) {
	if a := in.GetAlerts(); len(a) > 0 {
		r.detected = a[0].GetFired().AsTime().Sub(fault)
	}
	for _, a := range in.GetAttempts() {
		if a.GetAct() == nil {
			continue
		}
		acted := a.GetIntended().AsTime().Add(a.GetAct().AsDuration())
		r.acted = acted.Sub(fault)
		if a.GetOutcome() == "verified" {
			r.verified = acted.Add(a.GetVerify().AsDuration()).Sub(fault)
		}
	}
}

// compare holds the record against what it must be.
func (e ending) compare(in *localpb.Incident) error {
	var errs []error
	if got := in.GetSummary().GetState(); got != e.state {
		errs = append(errs, fmt.Errorf("the incident is %s, want %s", got, e.state))
	}
	got := in.GetAttempts()
	if len(got) != len(e.attempts) {
		var names []string
		for _, a := range got {
			names = append(names, a.GetRemedy()+" "+a.GetOutcome())
		}
		return errors.Join(append(errs, fmt.Errorf("%d attempts, want %d: %s",
			len(got), len(e.attempts), strings.Join(names, ", ")))...)
	}
	for i, want := range e.attempts {
		a := got[i]
		if a.GetRemedy() != want.remedy || !slices.Contains(want.outcomes, a.GetOutcome()) || a.GetUndone() != want.undone {
			errs = append(errs, fmt.Errorf("attempt %d is %s, %q, undone %v; want %s, %s, undone %v", i+1, a.GetRemedy(),
				a.GetOutcome(), a.GetUndone(), want.remedy, strings.Join(want.outcomes, " or "), want.undone))
		}
	}
	return errors.Join(errs...)
}
