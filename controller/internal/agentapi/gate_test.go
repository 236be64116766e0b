package agentapi

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// full makes a gate with nobody left to let in.
func fullGate() *gate {
	g := &gate{}
	for range maxHandshakes {
		g.queue(false)
	}
	return g
}

// At most so many are inside, those of open permits go first, and who waits too long is sent away.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := fullGate()
		var mu sync.Mutex
		var order []string
		enter := func(name string, urgent bool) {
			go func() {
				in := g.enter(t.Context(), urgent)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, fmt.Sprintf("%s %v", name, in))
			}()
			synctest.Wait()
		}
		enter("a", false)
		enter("b", false)
		enter("c", true)
		enter("d", true)
		for range 3 {
			g.leave()
			synctest.Wait()
		}
		time.Sleep(queueTime + time.Second) // d, c before a; b is too late
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(order); got != "[c true d true a true b false]" {
			t.Errorf("order %v", got)
		}
		for range maxHandshakes {
			g.leave()
		}
		if g.inside != 0 {
			t.Errorf("%d are inside", g.inside)
		}
	})
}

// The queue is bounded: the newest ordinary one makes way for an urgent one.
func TestGateIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := fullGate()
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan bool, maxQueue+2)
		for range maxQueue {
			go func() { answers <- g.enter(ctx, false) }()
		}
		synctest.Wait()
		if len(answers) != 0 {
			t.Fatalf("%d were answered", len(answers))
		}
		if g.enter(ctx, false) {
			t.Error("one more came in")
		}
		go func() { answers <- g.enter(ctx, true) }()
		synctest.Wait()
		if len(answers) != 1 || <-answers {
			t.Error("nobody made way for the urgent one")
		}
		g.leave()
		synctest.Wait()
		if len(answers) != 1 || !<-answers || len(g.urgent) != 0 {
			t.Error("the urgent one did not go first")
		}
		cancel()
		synctest.Wait()
		if len(answers) != maxQueue-1 || len(g.waiting) != 0 {
			t.Errorf("%d of %d gave up, %d wait", len(answers), maxQueue-1, len(g.waiting))
		}
	})
}

// After a failover everybody comes at once: at most 200 hellos are in the log's way at a time, the rest waits or is
// told when to come, and nobody is forgotten or lost.
func TestEverybodyComesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t).lead()
		r.seat.Hold(true)
		const all = 1300
		var mu sync.Mutex
		in, sentAway := 0, 0
		var shortest, longest time.Duration
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				for {
					h := helloOf(fmt.Sprintf("h%04d", i))
					h.Services[0].Service = fmt.Sprintf("service-%d", i/4)
					a := r.connect(h)
					m := a.next()
					mu.Lock()
					if m.GetWelcome() != nil {
						in++
						mu.Unlock()
						return
					}
					wait := time.Duration(m.GetBusy().GetRetryAfter())
					if m.GetBusy() == nil {
						t.Errorf("the answer is %v", m)
					}
					if sentAway++; sentAway == 1 {
						shortest, longest = wait, wait
					}
					shortest, longest = min(shortest, wait), max(longest, wait)
					mu.Unlock()
					time.Sleep(wait)
				}
			})
		}
		synctest.Wait()
		mu.Lock()
		if n := r.server.gate.inside; n != maxHandshakes {
			t.Errorf("%d handshakes at a time", n)
		}
		if sentAway != all-maxHandshakes-maxQueue {
			t.Errorf("%d of %d were sent away", sentAway, all)
		}
		if shortest < shortBusy || longest > longBusy || longest-shortest < time.Second {
			t.Errorf("they come again after %v to %v", shortest, longest)
		}
		mu.Unlock()
		r.seat.Hold(false)
		wg.Wait()
		if in != all {
			t.Errorf("%d of %d were welcomed", in, all)
		}
		r.stop()
	})
}

// A host in the middle of a repair goes before the others.
func TestUrgent(t *testing.T) {
	r := onLoopback(t).lead()
	r.must(full())
	a := r.joined("h1")
	r.joined("h2")
	a.say(request(a, 1))
	if a.said().GetAnswer().GetGrant() == nil {
		t.Fatal("no grant")
	}
	for host, want := range map[string]bool{"h1": true, "h2": false, "h3": false} {
		if got := r.server.urgent(helloOf(host)); got != want {
			t.Errorf("%s is urgent: %v", host, got)
		}
	}
	if h := helloOf("h4"); !r.server.urgent(&logpb.Hello{Host: h.GetHost(), Running: []*logpb.Running{{}}}) {
		t.Error("a host that says that something runs is not urgent")
	}
}
