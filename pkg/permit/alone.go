package permit

import (
	"cmp"
	"fmt"
	"time"
)

// AloneWait is how long until an attempt may begin without asking, if this host has the right to: 0 is now.
// Nobody may while a session is established. A hello that was sent counts as much as a round trip, because
// it may have been committed although its answer never came.
func (b *Book) AloneWait(now time.Duration) (wait time.Duration, possible bool) {
	if b.live {
		return 0, false
	}
	return max(0, max(b.roundTrip, b.helloSent)+AloneAfter-now), true
}

// BeginAlone makes a token for an attempt that nobody is asked for; it names this process, so that it is
// never made twice. Whoever calls it has the right from standing orders that are on disk. A controller that is
// found before the attempt is over learns of it from the hello, and counts it like any other.
func (b *Book) BeginAlone(a Ask, f Facts) (Held, error) {
	switch v := b.voidAlone(f.Now); {
	case f.Stop != "":
		return Held{}, &Void{"stopped", f.Stop}
	case v != nil:
		return Held{}, v
	case b.byAttempt(a.Attempt) != nil:
		return Held{}, fmt.Errorf("%w: %s", ErrAsked, a.Attempt)
	}
	b.alone++
	e := &entry{
		attempt: a.Attempt, incident: a.Incident, service: a.Service, rule: a.Rule, remedy: a.Remedy, stage: begun,
		claims: a.Claims,
		Held: Held{
			Token: Token{fmt.Sprintf("alone-%s-%s-%d", b.o.Host, b.o.BootID, b.o.Started), b.alone},
			Epoch: b.record.Epoch, Targets: a.Targets, Digest: a.Digest, BootID: b.o.BootID, Alone: true,
			Ends: f.Now + cmp.Or(max(0, a.RunFor), RunFor),
		},
	}
	b.add(e)
	return e.Held, nil
}

// voidAlone says why nothing may begin without asking now, nil if it may.
func (b *Book) voidAlone(now time.Duration) *Void {
	wait, possible := b.AloneWait(now)
	switch {
	case !possible:
		return &Void{"connected", "the controller is there and has to be asked"}
	case wait > 0:
		return &Void{"early", fmt.Sprintf("the controller has been out of reach for less than %v", AloneAfter)}
	}
	return nil
}
