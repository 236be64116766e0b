package escalate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

// sweepEvery is how often old files are looked for.
const sweepEvery = time.Hour

// Run delivers until ctx ends, and then waits for what is on its way. It sends at most one message to a notifier at a
// time.
func (c *Courier) Run(ctx context.Context) error {
	c.reconcile()
	var flights sync.WaitGroup
	defer flights.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c.sweep()
		c.publish()
		wait := c.start(ctx, &flights)
		timer.Reset(min(wait, sweepEvery))
		select {
		case <-ctx.Done():
			flights.Wait()
			c.publish()
			return nil
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// reconcile closes the files of incidents that ended while no courier was there to hear it.
func (c *Courier) reconcile() {
	if c.o.Incident == nil {
		return
	}
	c.mu.Lock()
	var open []string
	for id, f := range c.files {
		if f.Closed.IsZero() {
			open = append(open, id)
		}
	}
	c.mu.Unlock()
	slices.Sort(open)
	for _, id := range open {
		inc, err := c.o.Incident(id)
		switch {
		case errors.Is(err, journal.ErrNotFound):
			now := clock.Now(c.o.Clock)
			inc = &incident.Incident{
				ID: id, Title: "incident " + id, State: incident.Resolved, Opened: now, Ended: now,
				End: "its record is no longer kept",
			}
		case err != nil:
			c.log.Error("cannot look up incident", "incident", id, "error", err)
			continue
		}
		if inc.State == incident.Resolved {
			c.Send(*inc, incident.Delivery{Key: id + "/resolved"})
		}
	}
}

// publish hands results to whoever asked for them.
func (c *Courier) publish() {
	c.mu.Lock()
	results := c.results
	c.results = nil
	c.mu.Unlock()
	if c.o.Report == nil {
		return
	}
	for _, r := range results {
		c.o.Report(r)
	}
}

// flight is one job on its way.
type flight struct {
	file   *file
	job    *job
	place  *place
	sender notify.Sender
	text   notify.Message
}

// start sends what is due and returns how long until more is.
func (c *Courier) start(ctx context.Context, flights *sync.WaitGroup) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := sweepEvery
	for _, fl := range c.due() {
		left := time.Until(fl.place.next)
		switch {
		case fl.place.busy:
		case left > 0:
			wait = min(wait, left)
		default:
			fl.place.busy, fl.job.flying = true, true
			if !fl.job.Begun {
				fl.job.Begun = true
				c.save(fl.file)
			}
			flights.Go(func() { c.fly(ctx, fl) })
		}
	}
	return wait
}

// due lists, in the order of sending, the jobs that may go next, and settles those that cannot go at all.
func (c *Courier) due() []flight {
	var list []flight
	now := clock.Now(c.o.Clock)
	for _, f := range c.files {
		changed := false
		for _, j := range f.Jobs {
			if j.State != waiting || j.flying || !f.first(j) {
				continue
			}
			p := c.places[j.Notifier]
			switch {
			case j.Farewell && !slices.Contains(f.Told, j.Notifier): // what was on its way did not arrive
				c.end(f, j, dropped)
				changed = true
			case p == nil || p.sender == nil:
				c.refuse(f, j, ErrUnknown)
				changed = true
			case j.tries > 0 && j.Since.Age(now) > c.o.Limits.GiveUp:
				c.refuse(f, j, fmt.Errorf("%w after %v", ErrGivenUp, c.o.Limits.GiveUp))
				changed = true
			default:
				list = append(list, flight{file: f, job: j, place: p, sender: p.sender, text: j.text})
			}
		}
		if changed {
			c.save(f)
		}
	}
	slices.SortFunc(list, func(a, b flight) int { return byAge(a.job, b.job) })
	return list
}

func (c *Courier) refuse(f *file, j *job, err error) {
	c.end(f, j, refused)
	c.report(Result{Incident: f.Incident, Notifier: j.Notifier, Key: j.Key, Err: err, Final: true})
	c.poke()
}

// fly sends one message: commit, send, commit.
func (c *Courier) fly(ctx context.Context, fl flight) {
	commit, cancel := context.WithTimeout(ctx, c.o.Limits.Commit)
	c.try("commit message before sending it", c.o.Store.Flush(commit))
	cancel()
	err := fl.sender.Send(ctx, fl.text)
	c.land(ctx, fl, notify.Classify(err))
}

// land records how it went.
func (c *Courier) land(ctx context.Context, fl flight, err *notify.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.poke()
	f, j, p := fl.file, fl.job, fl.place
	p.busy, j.flying = false, false
	j.tries++
	if err == nil || err.Reached {
		f.tell(j.Notifier)
	}
	switch {
	case err == nil:
		p.fails, p.next = 0, time.Time{}
		c.end(f, j, told)
		c.report(Result{Incident: f.Incident, Notifier: j.Notifier, Key: j.Key})
	case err.Permanent:
		p.fails, p.next = 0, time.Time{} // it answers
		c.refuse(f, j, err.Err)
	case ctx.Err() != nil: // the agent stops; the next one goes on
	default:
		p.fails++
		p.next = time.Now().Add(max(c.backoff(p.fails), err.RetryAfter))
		if !f.Closed.IsZero() && !j.Farewell {
			c.end(f, j, dropped)
			break
		}
		if j.tries&(j.tries-1) == 0 { // said at the first failure, then ever more rarely
			c.report(Result{Incident: f.Incident, Notifier: j.Notifier, Key: j.Key, Err: err.Err})
		}
	}
	c.save(f)
}

// backoff is the wait after so many failures in a row.
func (c *Courier) backoff(fails int) time.Duration {
	l := c.o.Limits
	wait := l.Most
	if shift := fails - 1; shift < 30 && l.First<<shift < l.Most {
		wait = l.First << shift
	}
	return time.Duration(float64(wait) * (1 + l.Jitter*(2*rand.Float64()-1)))
}

// sweep forgets incidents that ended long ago, with all that waits of them: nobody wants their farewell any more.
func (c *Courier) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := clock.Now(c.o.Clock)
	for id, f := range c.files {
		if f.Closed.IsZero() || f.Closed.Age(now) <= c.o.Limits.Keep || f.waits("") {
			continue
		}
		delete(c.files, id)
		c.try("forget deliveries", c.o.Store.DeleteSoon(filePrefix+id))
	}
}
