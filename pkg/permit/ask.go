package permit

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// Claim is what this host does for a service, as far as it knows.
type Claim struct {
	Service string
	Serving logpb.Serving
}

// Reports are claims as they go over the wire.
func Reports(claims []Claim) []*logpb.ServiceReport {
	out := make([]*logpb.ServiceReport, len(claims))
	for i, c := range claims {
		out[i] = &logpb.ServiceReport{Service: c.Service, Serving: c.Serving}
	}
	return out
}

// Ask is what an attempt needs leave for.
type Ask struct {
	Attempt, Incident, Service, Rule, Remedy string

	Digest    []byte
	Targets   []Target // all of them, the own service too
	Claims    []Claim  // what this host serves of them now; a request says what it serves when it is sent: see Next
	Unit      string   // that the remedy acts on, "": none
	StartDead bool     // it starts a unit of which nothing runs
	By        string   // the person who wants it, "": a rule does
	WholeHost bool     // every service of this host is away meanwhile, and it must not be the last one that serves any

	StartBy, RunFor time.Duration // until the action begins, and until the attempt is over; 0: no longer than usual
}

// ErrAsked says that the attempt has asked before: it acts once, and asks once.
var ErrAsked = errors.New("the attempt has asked before")

// Ask queues a request. One at a time is on its way, so that a lower number never comes after a higher one.
func (b *Book) Ask(a Ask) error {
	if b.byAttempt(a.Attempt) != nil || b.request(a.Attempt) != nil {
		return fmt.Errorf("%w: %s", ErrAsked, a.Attempt)
	}
	b.queue = append(b.queue, &asked{Ask: a})
	return nil
}

func (b *Book) request(attempt string) *asked {
	for _, q := range b.queue {
		if q.Attempt == attempt {
			return q
		}
	}
	return nil
}

// Next is the request to send now, nil if there is none or one is on its way. Its time begins here. claims are what
// this host serves now: it may have waited, and what it said when it was asked for would overrule newer edges.
func (b *Book) Next(now time.Duration, claims []Claim) *logpb.Request {
	if !b.live || len(b.queue) == 0 || b.queue[0].n > 0 {
		return nil
	}
	q := b.queue[0]
	b.n++
	q.n, q.sent = b.n, now
	q.Claims = about(q.Targets, claims)
	return &logpb.Request{
		Host: b.o.Host, Epoch: b.record.Epoch, N: q.n, Incident: q.Incident, Rule: q.Rule, Remedy: q.Remedy,
		Digest: q.Digest, Targets: protos(q.Targets), Claims: Reports(q.Claims), StartDead: q.StartDead, By: q.By,
		StartBy: int64(q.StartBy), RunFor: int64(q.RunFor), Service: q.Service, Unit: q.Unit,
		WholeHost: q.WholeHost,
	}
}

// Stuck reports whether a request has waited for its answer for so long that no grant could be used any more:
// the session must begin anew, which tells what became of it.
func (b *Book) Stuck(now time.Duration) bool {
	return len(b.queue) > 0 && b.queue[0].n > 0 && now-b.queue[0].sent >= StartBy
}

// Granted takes a grant and returns the attempt that waits for it, "" if nobody does: then it is settled as
// unused.
func (b *Book) Granted(n uint64, g *logpb.Grant) string {
	t := TokenOf(g.GetToken())
	if t.Generation == "" || t.N == 0 || b.byToken(t) != nil {
		return "" // said before
	}
	q := b.answered(n)
	if q == nil || g.GetEpoch() != b.record.Epoch {
		b.orphan(g.GetToken(), g.GetEpoch(), false, nil)
		return ""
	}
	e := &entry{
		attempt: q.Attempt, incident: q.Incident, service: q.Service, rule: q.Rule, remedy: q.Remedy,
		startBy: q.sent + span(g.GetStartBy(), StartBy),
		asDown:  g.GetAsDown(), claims: q.Claims, revoked: b.stop[t],
		Held: Held{Token: t, Epoch: g.GetEpoch(), Targets: q.Targets, Digest: q.Digest, BootID: b.o.BootID,
			Ends: q.sent + span(g.GetRunFor(), RunFor)},
	}
	b.add(e)
	if q.gone {
		e.end(Unused, "nobody waits for it any more")
		return ""
	}
	return e.attempt
}

// span is a time of a grant. What it names is bounded: no permit is for more than a day.
func span(named int64, usual time.Duration) time.Duration {
	if named <= 0 {
		return usual
	}
	return min(time.Duration(named), 24*time.Hour)
}

// Refused takes a refusal and returns the attempt that waits, "" if nobody does. anew: it says that this
// session does not count, or that a number was used before: the session must begin anew.
func (b *Book) Refused(n uint64, r *logpb.Refusal) (attempt string, anew bool) {
	q := b.answered(n)
	if q == nil {
		return "", false
	}
	switch r.GetCode() {
	case "n", "epoch", "awaited", "settled", "host":
		anew = true
	}
	if q.gone {
		return "", anew
	}
	return q.Attempt, anew
}

// answered takes the request of that number out of the queue.
func (b *Book) answered(n uint64) *asked {
	i := slices.IndexFunc(b.queue, func(q *asked) bool { return q.n == n && n > 0 })
	if i < 0 {
		return nil
	}
	q := b.queue[i]
	b.queue = slices.Delete(b.queue, i, i+1)
	return q
}

// Withdraw says that nobody waits for the attempt's permit any more. What has not begun never will.
func (b *Book) Withdraw(attempt, reason string) {
	if q := b.request(attempt); q != nil {
		q.gone = true
		if q.n == 0 {
			b.queue = slices.DeleteFunc(b.queue, func(o *asked) bool { return o == q })
		}
	}
	if e := b.byAttempt(attempt); e != nil && (e.stage == granted || e.stage == begun) {
		e.end(Unused, reason)
	}
}
