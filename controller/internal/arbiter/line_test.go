package arbiter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// leading is a rig that leads, after its preparations.
func leading(t *testing.T, j *arbitertest.Journal, change func(*Options)) *rig {
	t.Helper()
	r := start(t, j, "n1", 0, change)
	r.seat.Elect("n1", false)
	synctest.Wait()
	if leads, _ := r.Leads(); !leads {
		t.Fatal("it does not lead")
	}
	return r
}

// answers are the outcomes of calls that run beside the test.
type answers struct {
	mu   sync.Mutex
	list []string
	wg   sync.WaitGroup
}

func (a *answers) propose(ctx context.Context, r *rig, name string, c *logpb.Command) {
	a.wg.Go(func() {
		res, index, err := r.Propose(ctx, c)
		text := fmt.Sprintf("%s: %d", name, index)
		switch {
		case errors.Is(err, ErrUnknownOutcome):
			text = name + ": unknown"
		case errors.Is(err, ErrBusy):
			text = name + ": busy"
		case errors.As(err, new(ErrNotLeader)):
			text = name + ": not leader"
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			text = name + ": given up"
		case err != nil:
			text = name + ": " + err.Error()
		case res.GetRefusal() != nil:
			text = name + ": refused " + res.GetRefusal().GetCode()
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.list = append(a.list, text)
	})
}

func (a *answers) sorted() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(a.list)
	return a.list
}

// What arrives while an entry is on its way becomes one entry, in the order of arrival.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, nil)
		before := len(j.All())
		r.seat.Hold(true)
		var a answers
		for i := range 1 + 100 {
			a.propose(t.Context(), r, "p", pause("all", fmt.Sprintf("p%03d", i), 0))
			synctest.Wait()
		}
		r.seat.Hold(false)
		a.wg.Wait()
		entries := j.All()[before:]
		if len(entries) != 2 || len(entries[1].GetCommands()) != 100 {
			t.Fatalf("%d entries, the last with %d commands; want 2 and 100", len(entries),
				len(entries[len(entries)-1].GetCommands()))
		}
		n := 0
		for _, e := range entries {
			if e.GetFormat() != 1 || e.GetNode() != "n1" || e.GetAt() == 0 {
				t.Errorf("entry %v is not stamped", e)
			}
			for _, c := range e.GetCommands() {
				if want := fmt.Sprintf("p%03d", n); c.GetPause().GetReason() != want {
					t.Fatalf("command %d is %s", n, c.GetPause().GetReason())
				}
				n++
			}
		}
	})
}

// An entry holds 256 KiB and 1,024 commands at most, and a command that no entry takes is refused by name.
func TestEntryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, nil)
		before := len(j.All())
		r.seat.Hold(true)
		var a answers
		large := strings.Repeat("x", 100<<10)
		for i := range 6 {
			a.propose(t.Context(), r, "large", pause("all", large, time.Duration(i)))
			synctest.Wait()
		}
		for range 3 * maxCommands {
			a.propose(t.Context(), r, "small", pause("all", "", 0))
		}
		synctest.Wait()
		r.seat.Hold(false)
		a.wg.Wait()
		total := 0
		for _, e := range j.All()[before:] {
			total += len(e.GetCommands())
			if len(e.GetCommands()) > maxCommands {
				t.Errorf("an entry has %d commands", len(e.GetCommands()))
			}
		}
		for _, size := range r.seat.Sizes() {
			if size > maxEntry {
				t.Errorf("an entry has %d bytes", size)
			}
		}
		if total != 6+3*maxCommands {
			t.Errorf("%d commands came into the log", total)
		}
		for _, size := range []int{maxCommand - 40, maxCommand - 20, maxCommand - 10, maxCommand, 1 << 20} {
			_, _, err := r.Propose(t.Context(), pause("all", strings.Repeat("x", size), 0))
			if err != nil && !errors.Is(err, ErrTooLarge) || err == nil && size >= maxCommand {
				t.Errorf("a reason of %d bytes: %v", size, err)
			}
		}
		if !strings.Contains(ErrTooLarge.Error(), "255 KiB") {
			t.Errorf("the error does not name the limit: %v", ErrTooLarge)
		}
	})
}

// Whoever gives up before the command was taken knows that nothing was proposed; afterwards nobody knows.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, nil)
		r.seat.Hold(true)
		var a answers
		taken, cancelTaken := context.WithCancel(t.Context())
		queued, cancelQueued := context.WithCancel(t.Context())
		a.propose(taken, r, "taken", pause("all", "taken", 0))
		synctest.Wait()
		a.propose(queued, r, "first", pause("all", "queued", 0))
		synctest.Wait()
		a.propose(queued, r, "second", pause("all", "queued", 0))
		synctest.Wait()
		cancelTaken()
		cancelQueued()
		synctest.Wait()
		want := []string{"first: given up", "second: given up", "taken: unknown"}
		if got := a.sorted(); !slices.Equal(got, want) {
			t.Errorf("answers %q, want %q", got, want)
		}
		r.seat.Hold(false)
		synctest.Wait()
		r.must(pause("all", "last", 0))
		for _, e := range j.All() {
			for _, c := range e.GetCommands() {
				if c.GetPause().GetReason() == "queued" {
					t.Error("a command that was given up came into the log")
				}
			}
		}
	})
}

// When the office is lost, what Raft has is unknown and what waits was not proposed; and callers learn who leads.
func TestLeadershipLost(t *testing.T) {
	for _, commit := range []bool{false, true} {
		t.Run(fmt.Sprintf("committed %v", commit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := arbitertest.NewJournal(t)
				r := leading(t, j, nil)
				r.seat.Hold(true)
				var a answers
				for i := range 3 {
					a.propose(t.Context(), r, fmt.Sprint(i), pause("all", fmt.Sprint(i), 0))
					synctest.Wait()
				}
				r.seat.Elect("n2", commit)
				a.wg.Wait()
				want := []string{"0: unknown", "1: not leader", "2: not leader"}
				if got := a.sorted(); !slices.Equal(got, want) {
					t.Errorf("answers %q, want %q", got, want)
				}
				_, _, err := r.Propose(t.Context(), pause("all", "late", 0))
				if want := (ErrNotLeader{ID: "n2", Address: "n2:7600"}); !errors.Is(err, want) {
					t.Errorf("error %v, want %v", err, want)
				}
			})
		})
	}
}

func TestErrorsOfRaft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := leading(t, arbitertest.NewJournal(t), nil)
		for _, test := range []struct{ raft, want error }{
			{raft.ErrLeadershipLost, ErrUnknownOutcome},
			{raft.ErrRaftShutdown, ErrUnknownOutcome},
			{raft.ErrAbortedByRestore, ErrUnknownOutcome},
			{errors.New("store logs: no space left"), ErrUnknownOutcome},
			{raft.ErrEnqueueTimeout, ErrBusy},
			{raft.ErrNotLeader, ErrNotLeader{}},
			{raft.ErrLeadershipTransferInProgress, ErrNotLeader{}},
		} {
			r.seat.Fail(test.raft)
			if _, _, err := r.Propose(t.Context(), pause("all", "", 0)); !errors.Is(err, test.want) {
				t.Errorf("%v: %v, want %v", test.raft, err, test.want)
			}
		}
	})
}

// Raft leaves futures unanswered when it shuts down: whoever waits is answered all the same.
func TestRaftThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := leading(t, arbitertest.NewJournal(t), nil)
		r.seat.Hold(true)
		var a answers
		a.propose(t.Context(), r, "p", pause("all", "", 0))
		synctest.Wait()
		begun := time.Now()
		r.stop()
		a.wg.Wait()
		if got := a.sorted(); !slices.Equal(got, []string{"p: unknown"}) || time.Since(begun) > 2*grace {
			t.Errorf("%q after %v", got, time.Since(begun))
		}
		r.seat.Elect("", false) // lets the future go
	})
}

func TestManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := leading(t, arbitertest.NewJournal(t), nil)
		r.seat.Hold(true)
		var a answers
		a.propose(t.Context(), r, "p", pause("all", "", 0))
		synctest.Wait()
		for range maxWaiting + 20 {
			a.propose(t.Context(), r, "p", pause("all", "", 0))
		}
		synctest.Wait()
		busy := 0
		for _, s := range a.sorted() {
			if s == "p: busy" {
				busy++
			}
		}
		if busy < 10 || busy > 20 {
			t.Errorf("%d of %d were turned away", busy, maxWaiting+20)
		}
		r.seat.Hold(false)
		a.wg.Wait()
	})
}

// What waits is bounded in bytes, too.
func TestMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := leading(t, arbitertest.NewJournal(t), nil)
		r.seat.Hold(true)
		r.mu.Lock()
		r.line.most = 1 << 20
		r.mu.Unlock()
		large := pause("all", strings.Repeat("x", 200<<10), 0)
		var a answers
		a.propose(t.Context(), r, "p", large) // taken already
		synctest.Wait()
		for range 8 {
			a.propose(t.Context(), r, "p", large)
		}
		synctest.Wait()
		if got := a.sorted(); len(got) != 3 || got[0] != "p: busy" {
			t.Errorf("answers %q; five fit into a MiB", got)
		}
		r.seat.Hold(false)
		a.wg.Wait()
		r.must(pause("unit:u", "", 0))
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := r.line.size.Load(); n != 0 {
			t.Errorf("%d bytes wait", n)
		}
	})
}

// batch-shares-cap: two requests that wait together and would both fit alone share one entry, and only one is
// granted.
func TestBatchSharesCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, func(o *Options) {})
		r.must(&logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: "n1", Config: &logpb.Config{
			Digest: []byte("d"), Services: []*logpb.Service{{Name: "checkout", Autonomy: "full"}},
		}}}})
		epochs := map[string]uint64{}
		for _, host := range []string{"h1", "h2", "h3"} {
			epochs[host] = r.must(hello(host)).GetWelcome().GetEpoch()
		}
		r.seat.Hold(true)
		go r.Propose(t.Context(), pause("unit:other", "", 0)) // so that the requests wait
		synctest.Wait()
		var a answers
		for host, epoch := range epochs {
			a.propose(t.Context(), r, "request", &logpb.Command{What: &logpb.Command_Request{Request: &logpb.Request{
				Host: host, Epoch: epoch, N: 1, Incident: "i-" + host, Rule: "slow-" + host, Remedy: "restart", Digest: []byte(host),
				Service: "checkout",
			}}})
			synctest.Wait()
		}
		r.seat.Hold(false)
		a.wg.Wait()
		entries := j.All()
		last := entries[len(entries)-1]
		if len(last.GetCommands()) != 3 {
			t.Fatalf("the requests are not in one entry: %v", last)
		}
		if got := a.sorted(); got[1] != "request: refused cap" || got[2] != "request: refused cap" {
			t.Errorf("answers %q; want one grant and two refusals", got)
		}
		j.View(func(s *state.State) {
			if n := len(s.Permits()); n != 1 {
				t.Errorf("%d permits are open", n)
			}
		})
	})
}

// Fields that this program does not know do not come into the log, wherever they are; what it cannot decode,
// or does not know at all, is not proposed.
func TestSeal(t *testing.T) {
	foreign := protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), "from the future")
	c := hello("h1")
	c.GetHello().ProtoReflect().SetUnknown(foreign)
	c.GetHello().GetServices()[0].ProtoReflect().SetUnknown(foreign)
	b, err := seal(c)
	if err != nil {
		t.Fatal(err)
	}
	got := new(logpb.Command)
	if err := proto.Unmarshal(b, got); err != nil {
		t.Fatal(err)
	}
	h := got.GetHello()
	if len(h.ProtoReflect().GetUnknown())+len(h.GetServices()[0].ProtoReflect().GetUnknown()) > 0 {
		t.Error("a field that nobody knows came into the log")
	}
	if len(h.GetNewStream()) != 32 || len(h.GetNewGeneration()) != 32 || h.GetNewStream() == h.GetNewGeneration() {
		t.Errorf("dice are not thrown: %q %q", h.GetNewStream(), h.GetNewGeneration())
	}
	h.NewStream, h.NewGeneration = "", ""
	h.ProtoReflect().SetUnknown(nil)
	if want := hello("h1"); !proto.Equal(got, want) {
		t.Errorf("%v became %v", want, got)
	}
	for name, c := range map[string]*logpb.Command{
		"nothing":   {},
		"no UTF-8":  pause("all", "\xff", 0),
		"too large": pause("all", strings.Repeat("x", maxEntry), 0),
	} {
		if _, err := seal(c); err == nil {
			t.Errorf("%s is sealed", name)
		}
	}
	unknown := &logpb.Command{}
	unknown.ProtoReflect().SetUnknown(foreign)
	if _, err := seal(unknown); err == nil {
		t.Error("a command that this program does not know is sealed: it would stop every replica")
	}
}

func TestEntryDecodes(t *testing.T) {
	var commands [][]byte
	want := &logpb.Entry{Format: 1, At: 42, Node: "n1"}
	for i := range 3 {
		c := pause("all", strings.Repeat("é", i*100), 0)
		b, err := seal(c)
		if err != nil {
			t.Fatal(err)
		}
		commands, want.Commands = append(commands, b), append(want.Commands, c)
	}
	b, err := entry(1, 42, "n1", commands)
	if err != nil {
		t.Fatal(err)
	}
	got := new(logpb.Entry)
	if err := proto.Unmarshal(b, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}
