package permit

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// Why a welcome is not accepted.
var (
	// ErrLeft: the node is in a generation that this agent has left; it never goes back.
	ErrLeft = errors.New("this controller is in a generation that was left")
	// ErrWelcome: the welcome is not an answer to the last hello.
	ErrWelcome = errors.New("not an answer to the hello")
)

// Hello begins a session. The record must be on disk before the hello is sent; its nonce is the new one only
// if the last hello was answered. Grants that have not begun are void from here on: a token acts in the epoch
// that asked, and a controller that was restored meanwhile counts only what the hello says.
func (b *Book) Hello(nonce string) Record {
	b.Cut()
	for _, e := range b.order {
		if e.stage == granted {
			e.end(Unused, "the session that asked for it is over")
		}
	}
	if b.record.Nonce == "" || b.record.Answered {
		b.record.Nonce, b.record.Answered = nonce, false
	}
	return b.Record()
}

// Send notes that the hello goes out and returns what it says of attempts that have not ended: after a restore
// the controller knows them only from here. From now on it may be committed, whether or not its answer comes.
func (b *Book) Send(now time.Duration) []*logpb.Running {
	b.helloSent = now
	return b.running()
}

// Accept judges a welcome. The record must be on disk before Enter; until then nothing has changed. One that
// comes late is none: an attempt may have begun alone since its hello went out.
// Errors: ErrLeft, ErrWelcome.
func (b *Book) Accept(now time.Duration, w *logpb.Welcome) (Record, error) {
	switch g := w.GetGeneration(); {
	case now-b.helloSent > LostAfter:
		return Record{}, fmt.Errorf("%w: it comes after %v", ErrWelcome, now-b.helloSent)
	case g == "" || w.GetEpoch() == 0:
		return Record{}, fmt.Errorf("%w: it has no generation or no epoch", ErrWelcome)
	case b.record.left(g):
		return Record{}, fmt.Errorf("%w: %s", ErrLeft, g)
	case b.record.Answered || b.record.Nonce == "":
		return Record{}, fmt.Errorf("%w: none is unanswered", ErrWelcome)
	case w.GetEpoch() <= b.record.Epoch:
		return Record{}, fmt.Errorf("%w: epoch %d after epoch %d", ErrWelcome, w.GetEpoch(), b.record.Epoch)
	}
	r := b.Record()
	r.Answered, r.Epoch = true, w.GetEpoch()
	r.enter(w.GetGeneration())
	return r, nil
}

// enter moves on to a generation, and never back.
func (r *Record) enter(generation string) {
	if r.Generation == generation {
		return
	}
	if r.Generation != "" {
		r.Left = append(r.Left, r.Generation)
		r.Left = slices.Delete(r.Left, 0, max(0, len(r.Left)-maxLeft))
	}
	r.Generation, r.Index = generation, 0
}

// Enter begins the session of the welcome, whose record is on disk. What comes back are doubted permits that
// the controller counts no more.
func (b *Book) Enter(r Record, w *logpb.Welcome) (cleared []Token) {
	b.record, b.live, b.n, b.roundTrip = r, true, 0, b.helloSent
	held := make(map[Token]*logpb.Permit, len(w.GetPermits()))
	for _, p := range w.GetPermits() {
		held[TokenOf(p.GetToken())] = p
	}
	for _, e := range b.order {
		e.sent, e.again = 0, 0
		switch p := held[e.Token]; {
		case p != nil:
			e.doubted, e.told = p.GetUnknown(), false
		case e.stage == ended && !e.told && e.done():
			cleared = append(cleared, e.Token)
		}
	}
	for _, p := range w.GetPermits() {
		if b.byToken(TokenOf(p.GetToken())) == nil {
			b.orphan(p.GetToken(), p.GetEpoch(), p.GetUnknown(), p.GetTargets())
		}
	}
	return cleared
}

// orphan is a permit that the controller counts and that no attempt of this host has: its answer was lost, or
// the process died before its intent was on disk. What the controller counts as unknown ends like that.
func (b *Book) orphan(t *logpb.Token, epoch uint64, unknown bool, targets []*logpb.Target) *entry {
	e := &entry{Held: Held{Token: TokenOf(t), Epoch: epoch}}
	for _, x := range targets {
		e.Targets = append(e.Targets, Target{Service: x.GetService(), Host: x.GetHost(), Resource: x.GetResource()})
	}
	if unknown {
		e.end(Unknown, "this journal does not know the attempt")
		e.doubted = true
	} else {
		e.end(Unused, "nobody waits for it")
	}
	b.add(e)
	return e
}

// Cut ends the session. Requests have no answer any more, and come back as refused; what was granted stays
// good until its time is up or the next session begins.
func (b *Book) Cut() (refused []string) {
	b.live = false
	for _, q := range b.queue {
		if !q.gone {
			refused = append(refused, q.Attempt)
		}
	}
	b.queue = nil
	return refused
}

// Order takes over the version of standing orders, and which tokens were asked to stop. fresh: they are not
// older than what is known, and hold once the record is on disk. anew: they are of another generation, and
// the session must begin anew.
func (b *Book) Order(generation string, index uint64, revoked []*logpb.Token) (fresh, anew bool) {
	switch {
	case generation != b.record.Generation:
		return false, !b.record.left(generation)
	case index < b.record.Index:
		return false, false // of a leader that was
	}
	b.record.Index = index
	b.stop = make(map[Token]bool, len(revoked)) // orders are whole, and may overtake the grant that they revoke
	for _, t := range revoked {
		b.stop[TokenOf(t)] = true
	}
	for _, e := range b.order {
		e.revoked = e.revoked || b.stop[e.Token]
	}
	return true, false
}

// RoundTrip notes an answer to a ping that was sent at that time. One that took longer than the lost time
// counts for nothing.
func (b *Book) RoundTrip(now, sent time.Duration) {
	if b.live && now-sent <= LostAfter {
		b.roundTrip = max(b.roundTrip, sent)
	}
}

// Silent is how long ago the last round trip began; at first, how long ago the process began.
func (b *Book) Silent(now time.Duration) time.Duration { return max(0, now-b.roundTrip) }
