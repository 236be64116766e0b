package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
)

// Back-off between sessions.
const (
	firstWait = 200 * time.Millisecond
	mostWait  = 15 * time.Second
	// A hello that was sent and not answered may be committed all the same. Until the next one this host may
	// begin to act alone, if it has the right: so there are pauses that are long enough for that.
	muteWait  = 5 * time.Second
	muteMost  = permit.AloneAfter + 30*time.Second
	awayWait  = 30 * time.Second // when a node says that this host may not connect
	goodAfter = 10 * time.Second // a session that lasted so long was a good one
	dialTime  = 5 * time.Second
	redirects = 3 // in a row, without a wait
)

// Why a session did not begin, or ended.
type (
	redirected struct{ address string }
	busy       struct{ after time.Duration }
	turnedAway struct{ code, text string }
	noQuorum   struct{ since time.Duration }
)

func (e redirected) Error() string { return "another node leads: " + e.address }
func (e busy) Error() string       { return "the node is busy, and asks to come again later" }
func (e turnedAway) Error() string { return fmt.Sprintf("turned away (%s): %s", e.code, e.text) }
func (e noQuorum) Error() string {
	return fmt.Sprintf("the node sees no leader, for %v now", e.since.Round(time.Second))
}

var (
	errMute    = errors.New("the node did not answer the hello")
	errSilent  = fmt.Errorf("no answer for %v", permit.LostAfter)
	errStuck   = errors.New("the node does not take what it is sent")
	errAnew    = errors.New("the session has to begin anew")
	errEnded   = errors.New("the node ended the session")
	errStrange = errors.New("the node says what makes no sense")
)

// Run keeps the line up until ctx ends.
func (s *Session) Run(ctx context.Context) error {
	select {
	case <-s.knows:
	case <-ctx.Done():
	}
	next := tries{at: int(s.o.Jitter() * float64(len(s.o.Addresses)))}
	for ctx.Err() == nil {
		address := next.address(s.o.Addresses)
		began := s.now()
		err := s.connect(ctx, address)
		s.over(ctx, address, err)
		wait := next.after(err, s.now()-began, s.o.Jitter())
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.o.Retry():
		case <-pause.C:
		}
		pause.Stop()
	}
	return nil
}

// tries is which node comes next, and when.
type tries struct {
	at       int    // index of the next address
	leader   string // where a node sent us; "": nowhere
	sent     int    // times in a row
	failures int    // in a row
	mutes    int    // hellos in a row that were not answered
}

func (t *tries) address(all []string) string {
	if t.leader != "" {
		return t.leader
	}
	return all[t.at%len(all)]
}

// after judges how a session ended, and says how long to wait for the next one. jitter is between 0 and 1.
func (t *tries) after(err error, lasted time.Duration, jitter float64) time.Duration {
	spread := func(d time.Duration) time.Duration { return time.Duration(float64(d) * (0.5 + jitter)) }
	if lasted >= goodAfter {
		t.failures, t.mutes, t.sent = 0, 0, 0
	}
	var to redirected
	if errors.As(err, &to) && to.address != "" && t.sent < redirects {
		t.leader, t.sent = to.address, t.sent+1
		return spread(firstWait / 4)
	}
	t.leader, t.sent = "", 0
	t.at++
	var full busy
	var away turnedAway
	switch {
	case errors.Is(err, errAnew):
		t.at-- // this node was fine
		return spread(firstWait)
	case errors.As(err, &full):
		return max(0, min(full.after, mostWait)) + time.Duration(jitter*float64(time.Second))
	case errors.As(err, &away) && away.code != "generation" && away.code != "epoch":
		return spread(awayWait)
	case errors.Is(err, errMute):
		t.mutes++
		return spread(doubled(muteWait, t.mutes-1, muteMost))
	}
	t.failures++
	return spread(doubled(firstWait, t.failures-1, mostWait))
}

// doubled is first, doubled so often, and at most most.
func doubled(first time.Duration, times int, most time.Duration) time.Duration {
	if times > 20 || first<<times > most {
		return most
	}
	return first << times
}

// over takes note of a session's end. Who waits for a permit hears that none comes.
func (s *Session) over(ctx context.Context, address string, err error) {
	s.mu.Lock()
	_, was := s.book.Live()
	for _, attempt := range s.book.Cut() {
		s.answer(attempt, &Refusal{Code: Unanswered, Text: "the line to the controller was lost before it answered"})
	}
	if err == nil {
		err = errAnew
	}
	said := s.status.failed == err.Error()
	if was || !said {
		s.status.since = s.now()
	}
	s.status.address, s.status.failed, s.line = "", err.Error(), nil
	s.mu.Unlock()
	if was {
		s.o.Changed(false)
	}
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, permit.ErrLeft):
		s.log.Error("a node of a controller that this host has left; it will not go back to it", "address", address, "error", err)
	case was:
		s.log.Warn("line to the controller lost", "address", address, "error", err)
	case !said:
		s.log.Warn("no line to the controller", "address", address, "error", err)
	}
}

// connect is one session from its beginning to its end.
func (s *Session) connect(ctx context.Context, address string) error {
	dial, cancel := context.WithTimeout(ctx, dialTime)
	line, err := s.o.Dial(dial, address)
	cancel()
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	c := open(ctx, line)
	defer c.close()
	w, err := s.greet(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.status, s.line = status{address: address, since: s.now()}, line
	s.mu.Unlock()
	s.log.Info("line to the controller", "address", address, "epoch", w.GetEpoch())
	s.o.Changed(true)
	return s.serve(c, w)
}

// farewell is the error for a node's last word, nil for any other message.
func farewell(m *agentpb.ConnectResponse) error {
	switch what := m.GetWhat().(type) {
	case *agentpb.ConnectResponse_Redirect:
		return redirected{what.Redirect.GetAddress()}
	case *agentpb.ConnectResponse_NoQuorum:
		return noQuorum{time.Duration(what.NoQuorum.GetSince())}
	case *agentpb.ConnectResponse_TurnedAway:
		return turnedAway{what.TurnedAway.GetCode(), what.TurnedAway.GetText()}
	case *agentpb.ConnectResponse_Busy:
		return busy{time.Duration(what.Busy.GetRetryAfter())}
	}
	return nil
}
