package permit

import (
	"fmt"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// Revoked is the code of a permit that a person took back.
const Revoked = "revoked"

// Void says why a permit must not be used. It is settled as unused.
type Void struct {
	Code string // "late", Revoked, "epoch", "serving", "used", "stopped", "connected", "early", "none"
	Text string // one sentence
}

func (v *Void) Error() string { return v.Text }

// Facts are what must be looked at just before acting.
type Facts struct {
	Now    time.Duration
	Claims []Claim // what this host serves now
	Stop   string  // why nothing may begin now, such as a pause; "": nothing is known
}

// Begin says that the attempt's intent goes to disk now, with what it returns in it. An error, a *Void, means
// that it must not begin; the permit is settled as unused.
func (b *Book) Begin(attempt string, f Facts) (Held, error) {
	e := b.byAttempt(attempt)
	if v := b.void(e, granted, f); v != nil {
		b.Withdraw(attempt, v.Text)
		return Held{}, v
	}
	e.stage = begun
	return e.Held, nil
}

// Act is the last question before the action, when its intent is on disk. It says yes once.
func (b *Book) Act(attempt string, f Facts) error {
	e := b.byAttempt(attempt)
	if v := b.void(e, begun, f); v != nil {
		if e != nil && e.stage != acting {
			b.Withdraw(attempt, v.Text)
		}
		return v
	}
	e.stage = acting
	return nil
}

// void says why the permit must not be used at this stage, nil if it may.
func (b *Book) void(e *entry, at stage, f Facts) *Void {
	switch {
	case e == nil:
		return &Void{"none", "the attempt has no permit"}
	case e.stage != at || e.restored:
		return &Void{"used", fmt.Sprintf("permit %s was used before", e.Token)}
	case f.Stop != "":
		return &Void{"stopped", f.Stop}
	case e.Alone:
		return b.voidAlone(f.Now)
	case e.Epoch != b.record.Epoch:
		return &Void{"epoch", fmt.Sprintf("permit %s belongs to a session that is over", e.Token)}
	case e.revoked:
		return &Void{Revoked, fmt.Sprintf("permit %s was revoked", e.Token)}
	case f.Now >= e.startBy:
		return &Void{"late", fmt.Sprintf("permit %s was for an attempt that begins sooner", e.Token)}
	case e.asDown:
		if s := e.servesAgain(f.Claims); s != "" {
			return &Void{"serving", fmt.Sprintf("permit %s was given because %s was down here, and it serves again", e.Token, s)}
		}
	}
	return nil
}

// servesAgain names a target that was down when it was asked for and serves now, "" if there is none.
func (e *entry) servesAgain(now []Claim) string {
	for _, was := range e.claims {
		if was.Serving != logpb.Serving_SERVING_DOWN {
			continue
		}
		for _, is := range now {
			if is.Service == was.Service && is.Serving == logpb.Serving_SERVING_YES {
				return is.Service
			}
		}
	}
	return ""
}

// Revoked reports whether the attempt was asked to stop at its next safe end.
func (b *Book) Revoked(attempt string) bool {
	e := b.byAttempt(attempt)
	return e != nil && e.revoked
}

// Overrun reports whether the attempt has run for longer than its permit lets it: it must come to a safe end,
// be taken back and settled.
func (b *Book) Overrun(attempt string, now time.Duration) bool {
	e := b.byAttempt(attempt)
	return e != nil && (e.stage == begun || e.stage == acting) && e.Over(now, b.o.BootID)
}
