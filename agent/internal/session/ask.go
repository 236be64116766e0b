package session

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/logpb"
)

// Refusal is the controller's no, or the reason why it has not answered.
type Refusal struct {
	Code       string        // the controller's word, or one of the codes below
	Text       string        // one sentence
	RetryAfter time.Duration // 0: when something has changed
	Holders    []string      // what stands in the way
}

func (r *Refusal) Error() string { return r.Text }

// Codes of refusals that the controller did not give.
const (
	Unreachable = "unreachable" // there is no session
	Unanswered  = "unanswered"  // the answer did not come in time
	Unwritten   = "journal"     // the session is not on disk, so that nothing may be permitted in it
)

func refusalOf(r *logpb.Refusal) *Refusal {
	return &Refusal{Code: r.GetCode(), Text: r.GetText(), RetryAfter: time.Duration(max(0, r.GetRetryAfter())),
		Holders: r.GetHolders()}
}

// Ask waits for the attempt's permit. A *Refusal says why there is none. When ctx ends first, nobody waits any
// more: what is granted then goes back.
func (s *Session) Ask(ctx context.Context, a permit.Ask) error {
	answer, err := s.ask(a)
	if err != nil {
		return err
	}
	poke(s.wake)
	limit := time.NewTimer(permit.StartBy)
	defer limit.Stop()
	select {
	case err := <-answer:
		return err
	case <-limit.C:
		s.Withdraw(a.Attempt, "no answer came in time")
		return &Refusal{Code: Unanswered, Text: fmt.Sprintf("the controller did not answer within %v", permit.StartBy)}
	case <-ctx.Done():
		s.Withdraw(a.Attempt, "nobody waits for it any more")
		return ctx.Err()
	}
}

func (s *Session) ask(a permit.Ask) (chan error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch _, live := s.book.Live(); {
	case !live:
		return nil, s.unreachable()
	case !s.recorded:
		return nil, &Refusal{Code: Unwritten, Text: "the session with the controller cannot be journaled, so it permits nothing"}
	}
	if err := s.book.Ask(a); err != nil {
		return nil, err
	}
	answer := make(chan error, 1)
	s.waiting[a.Attempt] = answer
	return answer, nil
}

// unreachable is the refusal without a session. The caller holds mu.
func (s *Session) unreachable() *Refusal {
	wait, _ := s.book.AloneWait(s.now())
	return &Refusal{Code: Unreachable, Text: "the controller cannot be reached: " + s.status.failed, RetryAfter: wait}
}

// answer wakes the attempt that waits. The caller holds mu.
func (s *Session) answer(attempt string, err error) {
	if w := s.waiting[attempt]; w != nil {
		delete(s.waiting, attempt)
		w <- err
	}
}

// Withdraw says that the attempt does not begin, whatever was granted.
func (s *Session) Withdraw(attempt, reason string) {
	s.mu.Lock()
	delete(s.waiting, attempt)
	s.book.Withdraw(attempt, reason)
	s.mu.Unlock()
	poke(s.wake)
}

// Begin says that the attempt's intent goes to disk now, with the permit that it returns. An error means that it
// must not begin.
func (s *Session) Begin(attempt string, f permit.Facts) (permit.Held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer poke(s.wake)
	f.Now = s.now()
	return s.book.Begin(attempt, f)
}

// BeginAlone is Begin for an attempt that nobody was asked about, on a host that has the right to.
func (s *Session) BeginAlone(a permit.Ask, f permit.Facts) (permit.Held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Now = s.now()
	return s.book.BeginAlone(a, f)
}

// Act is the last question before the action: its intent is on disk. It says yes once.
func (s *Session) Act(attempt string, f permit.Facts) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer poke(s.wake)
	f.Now = s.now()
	return s.book.Act(attempt, f)
}

// Settle says how a permitted attempt ended. The controller hears of it until it has it.
func (s *Session) Settle(attempt string, how permit.Settlement, reason string) {
	s.mu.Lock()
	s.book.Settle(attempt, how, reason)
	s.mu.Unlock()
	poke(s.wake)
}

// Overrun reports whether the attempt has run for longer than its permit lets it.
func (s *Session) Overrun(attempt string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Overrun(attempt, s.now())
}

// Doubts are the attempts of which nobody knows what became of them, and which the controller goes on counting.
func (s *Session) Doubts() []permit.Doubt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Doubts()
}

// Clear says that nothing of a doubted attempt runs, and that the host serves what it took away.
func (s *Session) Clear(t permit.Token) {
	s.mu.Lock()
	s.book.Clear(t, s.now())
	s.mu.Unlock()
	poke(s.wake)
}

// cleared remembers that the controller no longer counts a doubted attempt.
func (s *Session) cleared(tokens ...permit.Token) {
	for _, t := range tokens {
		if err := s.o.Store.PutSoon(clearedPrefix+tokenKey(t), true); err != nil {
			s.log.Warn("cannot journal that a permit is cleared; it is cleared again at the next start", "permit", t.String(),
				"error", err)
		}
	}
}
