package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// paper is a journal that a crash leaves as it is.
type paper struct {
	mu      sync.Mutex
	written map[string][]byte
}

func (p *paper) PutAttempt(a *incident.Attempt) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text, ok := p.written[a.ID]; ok {
		a.Keep(read(text))
	}
	text, err := json.Marshal(a)
	p.written[a.ID] = text
	return err
}

func read(text []byte) *incident.Attempt {
	a := new(incident.Attempt)
	if err := json.Unmarshal(text, a); err != nil {
		panic(err)
	}
	return a
}

func (p *paper) Attempt(id string) (*incident.Attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text, ok := p.written[id]; ok {
		return read(text), nil
	}
	return nil, journal.ErrNotFound
}

func (p *paper) AttemptsWithin(time.Duration) ([]*incident.Attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*incident.Attempt
	for _, text := range p.written {
		all = append(all, read(text))
	}
	return all, nil
}

func (p *paper) OpenAttempts() ([]*incident.Attempt, error) { return nil, nil }

// bubble is a clock on the bubble's time.
type bubble struct{ start time.Time }

func (bubble) BootID() string { return "boot" }

func (b bubble) Now() clock.Instant {
	now := time.Now()
	return clock.Instant{Boot: now.Sub(b.start), Wall: now}
}

// strict is a kind whose undo does what its test says.
type strict struct {
	kind.Kind
	act  func(ctx context.Context, s *kind.Step) error
	undo func(ctx context.Context, a *incident.Attempt) error
}

func (k strict) Target(_ context.Context, q kind.Request) (string, error) { return q.Unit, nil }
func (strict) Describe(*kind.Step) string                                 { return "" }
func (strict) Precheck(_ context.Context, s *kind.Step) error {
	s.Undo, s.For = 1, time.Hour
	return nil
}
func (k strict) Act(ctx context.Context, s *kind.Step) error         { return k.act(ctx, s) }
func (k strict) Undo(ctx context.Context, a *incident.Attempt) error { return k.undo(ctx, a) }

// counter is a runner whose units can be limited and stopped, and what came of that.
type counter struct {
	*Runner
	disk   *paper
	clock  bubble
	mu     sync.Mutex
	undone map[string]time.Duration // when each undo began last
	tries  map[string]int
	told   []string // who was told what of limits
}

func newCounter(t *testing.T, kinds strict) *counter {
	t.Helper()
	c := &counter{disk: &paper{written: map[string][]byte{}}, clock: bubble{time.Now()}, undone: map[string]time.Duration{}, tries: map[string]int{}}
	r, err := New(Options{Systemd: systemd.New(systemd.Options{Bus: "unix:path=/nonexistent", Clock: c.clock}), Journal: c.disk, Clock: c.clock,
		Allow: []config.Allow{{Units: []string{"*.service"}, Actions: remedy.Names()}, {Host: true, Actions: remedy.Names()}},
		Expired: func(a incident.Attempt, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.told = append(c.told, fmt.Sprint(a.ID, " ", a.Phase, " ", err))
		}})
	if err != nil {
		t.Fatal(err)
	}
	undo := kinds.undo
	kinds.undo = func(ctx context.Context, a *incident.Attempt) error {
		c.mu.Lock()
		c.undone[a.ID] = c.clock.Now().Boot
		c.tries[a.ID]++
		c.mu.Unlock()
		return undo(ctx, a)
	}
	r.kinds = map[remedy.Kind]kind.Kind{remedy.SetProperty: kinds, remedy.Reboot: kinds}
	c.Runner = r
	return c
}

// acted puts an attempt on disk that is to be taken back after so long.
func (c *counter) acted(id string, d time.Duration) limit {
	unit := id + ".service"
	_ = c.disk.PutAttempt(&incident.Attempt{ID: id, Remedy: "limit", Kind: string(remedy.SetProperty), Target: unit, Phase: incident.Acted,
		For: d, Intended: clock.Now(c.clock), Undo: []byte("1"), Locks: []remedy.Lock{remedy.LockOn(remedy.OnUnit, unit)}})
	return limit{id, c.clock.Now().Boot + d}
}

// serve runs Serve until the function is called that it returns.
func (c *counter) serve(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- c.Serve(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// saw is how often that attempt was to be taken back, and when last; and what was told of all.
func (c *counter) saw(id string) (tries int, at time.Duration, told []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries[id], c.undone[id], slices.Clone(c.told)
}

func (c *counter) phase(id string) incident.Phase {
	a, err := c.disk.Attempt(id)
	if err != nil {
		return incident.Phase(err.Error())
	}
	return a.Phase
}

// Each limit ends in its time, however many there are, and whatever becomes of the others: one hangs, one waits for its turn,
// one cannot be taken back for a while.
func TestEachLimitInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, strict{undo: func(ctx context.Context, a *incident.Attempt) error {
			if a.ID == "hangs" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}})
		c.acted("earlier", 3*time.Minute) // as another process left it
		free, err := c.queue.try(&incident.Attempt{}, []remedy.Lock{"unit waits.service"})
		if err != nil {
			t.Fatal(err)
		}
		stop := c.serve(t)
		c.limited.add(c.acted("hangs", time.Minute), c.acted("waits", time.Minute))
		for i := range 50 {
			c.limited.add(c.acted(fmt.Sprint(i), 2*time.Minute))
		}
		time.Sleep(4 * time.Minute)
		free()
		synctest.Wait()
		for id, want := range map[string]time.Duration{"earlier": 3, "0": 2, "49": 2, "waits": 4} {
			if n, at, _ := c.saw(id); n != 1 || at != want*time.Minute || c.phase(id) != incident.Undone {
				t.Errorf("%s was taken back after %s, and is %s, %d tries", id, at, c.phase(id), n)
			}
		}
		if _, _, told := c.saw(""); len(told) != 52 {
			t.Errorf("%d limits were said to be over: %q", len(told), told)
		}
		time.Sleep(defaults.ActionTimeout)
		synctest.Wait()
		if n, _, _ := c.saw("hangs"); n < 2 || c.phase("hangs") != incident.Undoing {
			t.Errorf("the one that hangs was tried %d times, and is %s", n, c.phase("hangs"))
		}
		stop()
	})
}

// A refusal for good is the last word: the attempt is as it was, it is known why, and nobody asks again, in the next process
// neither. What may be tried again is tried, and is under way until then.
func TestUndoRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var later atomic.Bool
		later.Store(true)
		c := newCounter(t, strict{undo: func(context.Context, *incident.Attempt) error {
			if later.Load() {
				return kind.Postpone("not now")
			}
			return kind.Refuse("somebody changed it")
		}})
		c.acted("a", time.Minute)
		judged, _ := c.disk.Attempt("a")
		judged.Phase, judged.Outcome = incident.Judged, incident.Verified
		_ = c.disk.PutAttempt(judged)
		for range 2 { // processes
			stop := c.serve(t)
			time.Sleep(65 * time.Second)
			if later.Swap(false) && c.phase("a") != incident.Undoing {
				t.Errorf("before it is tried again it is %s", c.phase("a"))
			}
			time.Sleep(time.Hour)
			stop()
		}
		a, _ := c.disk.Attempt("a")
		n, _, told := c.saw("a")
		if a.Phase != incident.Judged || a.Stays != "somebody changed it" || n != 2 {
			t.Errorf("it is %s, because %q, after %d tries", a.Phase, a.Stays, n)
		}
		if want := "[a judged undo limit on a.service: somebody changed it]"; fmt.Sprint(told) != want {
			t.Errorf("told: %v, want %s", told, want)
		}
		var no *kind.Refusal
		if _, err := c.Undo(t.Context(), "a"); !errors.As(err, &no) || no.Temporary {
			t.Errorf("asked again: %v", err)
		}
		if n, _, _ := c.saw("a"); n != 2 {
			t.Errorf("its kind was asked %d times", n)
		}
	})
}

// What waits behind a reboot does not begin on a host that goes down: not while it is under way, not when this process has
// left it to the next one, and not later.
func TestNothingBehindAReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := make(chan struct{})
		c := newCounter(t, strict{
			act: func(_ context.Context, s *kind.Step) error { <-s.Halt; return kind.ErrUnderWay },
			undo: func(context.Context, *incident.Attempt) error {
				t.Error("taken back while the host goes down")
				return nil
			},
		})
		c.acted("a", time.Hour)
		c.acted("b", time.Minute)
		stop := c.serve(t)
		q := kind.Request{Remedy: &config.Remedy{Kind: remedy.SetProperty, Name: "r", Args: &remedy.PropertyArgs{}}, Unit: "c.service",
			Attempt: incident.Attempt{ID: "reboot"}}
		p, err := c.Prepare(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		p.Locks, p.Halt = []remedy.Lock{"host host"}, down
		go func() {
			if a, err := c.Run(t.Context(), p); err != nil || a.Phase != incident.Intended {
				t.Errorf("run: %+v, %v", a, err)
			}
		}()
		time.Sleep(2 * time.Minute)
		early := make(chan error)
		go func() { _, err := c.Undo(t.Context(), "a"); early <- err }()
		synctest.Wait()
		close(down)
		synctest.Wait()
		stop()
		if err := <-early; !errors.Is(err, ErrStopping) {
			t.Errorf("an undo that waited: %v", err)
		}
		if _, err := c.Undo(t.Context(), "a"); !errors.Is(err, ErrStopping) || c.phase("a") != incident.Acted {
			t.Errorf("an undo that came late: %v", err)
		}
	})
}
