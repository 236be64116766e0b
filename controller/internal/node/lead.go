package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// enqueue is how long Propose waits for Raft to take an entry.
const enqueue = 5 * time.Second

// stale is how long a peer may be silent and still be expected to take over.
const stale = 3 * time.Second

// Propose asks for an entry to be committed and applied. The future's response is []*logpb.Result, or an error if
// this replica has stopped. Its errors are Raft's, ErrTooLong, and ErrNoStore. While a disk neither works nor fails,
// it does not answer: wait for it with a time-out.
func (n *Node) Propose(entry []byte) raft.ApplyFuture {
	if len(entry) > MaxEntry {
		return failed{fmt.Errorf("%w: %d bytes", ErrTooLong, len(entry))}
	}
	if err := n.guard.waits(); err != nil {
		return failed{fmt.Errorf("%w: %w", ErrNoStore, err)}
	}
	return n.raft.Apply(entry, enqueue)
}

// failed is a future that failed before it began.
type failed struct{ err error }

func (f failed) Error() error  { return f.err }
func (f failed) Index() uint64 { return 0 }
func (f failed) Response() any { return nil }

// Leader is who leads, as far as this node knows: name and Raft address, both empty if nobody does.
func (n *Node) Leader() (name, address string) {
	a, id := n.raft.LeaderWithID()
	return nameOf(id), string(a)
}

// IsLeader reports whether this node believes that it leads. VerifyLeader knows.
func (n *Node) IsLeader() bool { return n.raft.State() == raft.Leader }

// LeaderCh gets true when this node becomes the leader and false when it no longer is. Only the newest change is
// kept for a slow reader: one who gets true twice has missed a false.
func (n *Node) LeaderCh() <-chan bool { return n.raft.LeaderCh() }

// Term is Raft's: it rises with each election.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// Standing is how this node stands at a moment.
type Standing struct {
	Role   string        // "leader", "follower", "candidate", "shutdown"
	Term   uint64        // rises with each election
	Silent time.Duration // for how long no leader was heard; 0: it leads. Without one since the start: since then
	Behind uint64        // entries that are committed and not applied here
}

// Standing says how this node stands.
func (n *Node) Standing() Standing {
	s := Standing{Role: strings.ToLower(n.raft.State().String()), Term: n.raft.CurrentTerm()}
	if s.Role != "leader" {
		heard := n.raft.LastContact()
		if heard.IsZero() {
			heard = n.opened
		}
		s.Silent = time.Since(heard)
	}
	applied, committed := n.raft.AppliedIndex(), n.raft.CommitIndex()
	s.Behind = committed - min(applied, committed)
	return s
}

// Index is that of the last entry in this node's log, committed or not.
func (n *Node) Index() uint64 { return n.raft.LastIndex() }

// Name is this node's.
func (n *Node) Name() string { return n.o.Name }

// Address is the one by which peers reach this node.
func (n *Node) Address() string { return n.address }

// Barrier returns when everything committed before was applied here. Only the leader can. Once a term, and
// VerifyLeader from then on, makes reads linearizable.
func (n *Node) Barrier(ctx context.Context) error {
	return await(ctx, "barrier", func() error { return n.raft.Barrier(enqueue).Error() })
}

// VerifyLeader asks the others whether this node still leads.
func (n *Node) VerifyLeader(ctx context.Context) error {
	return await(ctx, "verify leadership", func() error { return n.raft.VerifyLeader().Error() })
}

// Transfer hands leadership to a member, or with "" to the voter heard last. Errors wrap ErrMember if there is none.
func (n *Node) Transfer(ctx context.Context, name string) error {
	if name == n.o.Name {
		return fmt.Errorf("transfer leadership: %w: %s is this node", ErrMember, name)
	}
	to, err := n.successor(name)
	if err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	return await(ctx, "transfer leadership", func() error {
		return n.raft.LeadershipTransferToServer(to.ID, to.Address).Error()
	})
}

// successor is who is to lead next.
func (n *Node) successor(name string) (best raft.Server, err error) {
	var heard time.Time
	for _, s := range n.servers() {
		switch {
		case s.ID == n.id() || s.Suffrage != raft.Voter:
			continue
		case name != "" && nameOf(s.ID) == name:
			return s, nil
		case name == "" && (best.ID == "" || n.contact(s.ID).After(heard)):
			best, heard = s, n.contact(s.ID)
		}
	}
	switch {
	case name != "":
		return best, fmt.Errorf("%w: no other voter is named %s", ErrMember, name)
	case best.ID == "":
		return best, fmt.Errorf("%w: there is no other voter", ErrMember)
	case n.line != nil && time.Since(heard) > stale:
		return best, errors.New("no other voter was heard lately")
	}
	return best, nil
}

// await waits for one of Raft's futures no longer than the caller wants.
func await(ctx context.Context, what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}
