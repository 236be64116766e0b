package adminapi

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// slowNode answers each question after a while.
type slowNode struct {
	mu                 sync.Mutex
	standing           Standing
	barriers, verified int
	verify             func(n int) error // the nth proof; nil is a yes
}

func (n *slowNode) Standing() Standing {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.standing
}

func (n *slowNode) set(change func(*Standing)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.standing)
}

func (n *slowNode) Barrier(ctx context.Context) error {
	n.mu.Lock()
	n.barriers++
	n.mu.Unlock()
	return wait(ctx, 10*time.Millisecond)
}

func (n *slowNode) VerifyLeader(ctx context.Context) error {
	n.mu.Lock()
	n.verified++
	count, verify := n.verified, n.verify
	n.mu.Unlock()
	if err := wait(ctx, 10*time.Millisecond); err != nil || verify == nil {
		return err
	}
	return verify(count)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func leader() *slowNode {
	return &slowNode{standing: Standing{ID: "c1", Role: roleLeader, Leader: "c1", Term: 7}}
}

// Reads that arrive while a proof is under way must not take it for theirs: it may have begun before a write
// that they have to see. All of them share the next one.
func TestReadsShareAProofThatBeganAfterThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := leader()
		l := leading{node: n}
		if err := l.prove(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.verified = 0
		var reads sync.WaitGroup
		reads.Go(func() {
			if err := l.prove(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // the first proof is under way
		if n.verified != 1 {
			t.Fatalf("%d proofs begun, want 1", n.verified)
		}
		for range 100 {
			reads.Go(func() {
				if err := l.prove(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		reads.Wait()
		if n.verified != 2 || n.barriers != 1 {
			t.Errorf("%d proofs and %d barriers for 101 reads, want 2 and 1", n.verified, n.barriers)
		}
	})
}

// Leadership that was lost and won again between the barrier and the proof proves nothing: entries of the
// leader in between may not be applied here.
func TestProofSpansOneTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := leader()
		n.verify = func(count int) error {
			if count == 1 {
				n.set(func(s *Standing) { s.Term = 9 })
			}
			return nil
		}
		l := leading{node: n}
		if err := l.prove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n.barriers != 2 || n.verified != 2 {
			t.Errorf("%d barriers and %d proofs, want both twice", n.barriers, n.verified)
		}
	})
}

func TestProofFails(t *testing.T) {
	tests := []struct {
		name string
		node func() *slowNode
		want codes.Code
	}{
		{"follower", func() *slowNode { return &slowNode{standing: Standing{ID: "c1", Role: "follower", Leader: "c2"}} }, codes.FailedPrecondition},
		{"no leader", func() *slowNode { return &slowNode{standing: Standing{ID: "c1", Role: "candidate"}} }, codes.Unavailable},
		{"deposed meanwhile", func() *slowNode {
			n := leader()
			n.verify = func(int) error {
				n.set(func(s *Standing) { s.Role, s.Leader = "follower", "c3" })
				return errors.New("leadership lost")
			}
			return n
		}, codes.FailedPrecondition},
		{"nobody answers", func() *slowNode {
			n := leader()
			n.verify = func(int) error { return errors.New("no answer") }
			return n
		}, codes.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := leading{node: tt.node()}
				if err := l.prove(t.Context()); status.Code(err) != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			})
		})
	}
}

// A reader that goes away does not end the proof for the others.
func TestProofOutlivesAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leading{node: leader()}
		gone, cancel := context.WithCancel(t.Context())
		var reads sync.WaitGroup
		reads.Go(func() {
			if err := l.prove(gone); !errors.Is(err, context.Canceled) {
				t.Errorf("who went away got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		reads.Go(func() {
			if err := l.prove(t.Context()); err != nil {
				t.Error(err)
			}
		})
		reads.Wait()
	})
}
