package permit

import (
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// maxReason bounds the reason that goes with a settlement.
const maxReason = 1000

// end settles an entry here; the controller hears of it until it has it.
func (e *entry) end(s Settlement, reason string) {
	e.stage, e.settlement, e.told = ended, s, false
	e.reason = strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}

// Settle says how the attempt ended. What may have acted is never unused, unless evidence after a crash says
// that it had not begun. An attempt that has no permit, or is settled, is left as it is.
func (b *Book) Settle(attempt string, s Settlement, reason string) {
	e := b.byAttempt(attempt)
	if e == nil || e.stage == ended {
		return
	}
	if s == Unused && e.stage == acting && !e.restored {
		s = Unknown
	}
	e.end(s, reason)
}

// Doubts are the attempts whose permits are counted as unknown until it is sure that nothing of them runs,
// with what they took away. One without an ID is an attempt that this journal does not know.
func (b *Book) Doubts() []Doubt {
	var out []Doubt
	for _, e := range b.order {
		if e.stage == ended && !e.told && !e.ready && (e.settlement == Unknown || e.doubted) {
			out = append(out, Doubt{Attempt: e.attempt, Token: e.Token, Targets: e.Targets})
		}
	}
	return out
}

// Doubt is an attempt of which nobody knows what became of it.
type Doubt struct {
	Attempt string
	Token   Token
	Targets []Target
}

// Clear says that nothing of a doubted attempt runs, no job and no process, and that the host serves what it
// took away. Too soon after the start of this process nobody can know that: then it is false.
func (b *Book) Clear(t Token, now time.Duration) bool {
	e := b.byToken(t)
	if e == nil || now-b.o.Started < ClearAfter {
		return false
	}
	e.ready = true
	return true
}

// Settles are the settlements to send now: those that were not sent in this session, and those without an
// answer for long. claims are what this host serves now.
func (b *Book) Settles(now time.Duration, claims []Claim) []*logpb.Settle {
	if !b.live {
		return nil
	}
	var out []*logpb.Settle
	for _, e := range b.order {
		if e.stage != ended || e.told || now < e.again || e.sent > 0 && now-e.sent < resendEvery {
			continue
		}
		s := e.settlement
		switch {
		case e.doubted:
			s = Cleared
		case s == Cleared: // of a controller that has forgotten that it was unknown
			s = Unknown
		}
		if s == Cleared && !e.ready {
			continue
		}
		e.sent = max(now, 1)
		out = append(out, &logpb.Settle{
			Host: b.o.Host, SessionEpoch: b.record.Epoch, Token: e.Token.Proto(), Epoch: e.Epoch, Settlement: s.proto(),
			Claims: Reports(about(e.Targets, claims)), Reason: e.reason,
		})
	}
	return out
}

// about are the claims that concern targets; of a permit without known targets, all.
func about(targets []Target, claims []Claim) []Claim {
	if len(targets) == 0 {
		return claims
	}
	return slices.DeleteFunc(slices.Clone(claims), func(c Claim) bool {
		return !slices.ContainsFunc(targets, func(t Target) bool { return t.Service == c.Service })
	})
}

// Settled takes the answer to a settlement; refusal nil means that it is committed. cleared is the token of a
// doubted permit that is over now. anew: the session does not count and must begin anew.
func (b *Book) Settled(now time.Duration, t Token, refusal *logpb.Refusal) (cleared, anew bool) {
	e := b.byToken(t)
	if e == nil || e.stage != ended || e.sent == 0 {
		return false, false
	}
	e.sent = 0
	switch refusal.GetCode() {
	case "":
		if refusal != nil {
			e.again = now + time.Second
			return false, false
		}
		if (e.settlement == Unknown || e.settlement == Cleared) && !e.doubted {
			e.doubted = true // now it counts as unknown there, too
			return false, false
		}
		return e.done(), false
	case "settled", "removed": // it counts no more
		return e.done(), false
	case "settlement": // it counts as unknown there: only what is seen to be clear ends it
		e.doubted = !e.doubted
		e.again = now + time.Second
	case "epoch", "host":
		e.again = now + resendEvery
		return false, true
	default: // "serving": not yet
		e.ready = false
		e.again = now + max(time.Second, min(time.Duration(refusal.GetRetryAfter()), time.Minute))
	}
	return false, false
}

// done forgets the doubt and reports whether there was one.
func (e *entry) done() bool {
	doubted := e.doubted || e.settlement == Unknown
	e.told = true
	if e.settlement == Unknown {
		e.settlement = Cleared
	}
	return doubted
}
