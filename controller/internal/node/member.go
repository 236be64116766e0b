package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/state"
)

// Peer is one member as this node sees it.
type Peer struct {
	Name, Address string
	// Identity is random and made together with the member's data.
	Identity            string
	Voter, Leader, Self bool
	// LastContact is when it was last heard here by the wall clock, zero if never. Followers rarely hear each other.
	LastContact time.Time
	// Format is the newest level of the log that its program knows, 0: not heard yet.
	Format uint32
	// Problem is why it could not be reached, "": it could.
	Problem string
}

// Peers are the members, by name.
func (n *Node) Peers() []Peer {
	_, leader := n.raft.LeaderWithID()
	var out []Peer
	for _, s := range n.servers() {
		p := Peer{
			Name: nameOf(s.ID), Identity: identityOf(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter,
			Leader: s.ID == leader, Self: s.ID == n.id(), LastContact: n.contact(s.ID),
		}
		switch {
		case p.Self:
			p.LastContact, p.Format = time.Now(), state.Format
		case n.line != nil:
			c := n.line.peers.of(s.ID)
			p.Format = c.format.Load()
			if problem := c.problem.Load(); problem != nil {
				p.Problem = *problem
			}
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// PeerFormat is the newest level of the log that the program of every member knows, 0: some were not heard yet.
func (n *Node) PeerFormat() uint32 {
	format := uint32(state.Format)
	for _, p := range n.Peers() {
		format = min(format, p.Format)
	}
	return format
}

// API is where agents and people reach a member, as its greeting said; "": not known. The leader has greeted
// every follower that hears it.
func (n *Node) API(name string) string {
	if name == n.o.Name {
		return n.o.API
	}
	if m := n.member(name); m != nil && n.line != nil {
		if api := n.line.peers.of(m.ID).api.Load(); api != nil {
			return *api
		}
	}
	return ""
}

// contact is when a peer was last heard.
func (n *Node) contact(id raft.ServerID) time.Time {
	if n.line == nil {
		return time.Time{}
	}
	return n.line.peers.of(id).last()
}

// servers are the members by the newest configuration in this node's log.
func (n *Node) servers() []raft.Server { return n.raft.GetConfiguration().Configuration().Servers }

// member is the member of a name, nil if there is none.
func (n *Node) member(name string) *raft.Server {
	for _, s := range n.servers() {
		if nameOf(s.ID) == name {
			return &s
		}
	}
	return nil
}

func identityOf(id raft.ServerID) string { return string(id[min(len(id), len(nameOf(id))+1):]) }

// AddPeer makes the node that runs at an address a member. Only the leader can. A node without data joins; one whose
// address changed keeps its data. A member that lost its data has to be removed first: under its old identity it
// could vote twice. Errors: ErrMember.
func (n *Node) AddPeer(ctx context.Context, name, address string) error {
	if n.line == nil {
		return fmt.Errorf("add %s: nobody can be greeted", name)
	}
	g, err := n.line.ask(ctx, address, kindLook, "")
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	if err := n.addable(name, g); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	claimed, err := n.line.ask(ctx, address, kindClaim, g.id())
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	if claimed.No != "" || claimed.id() != g.id() {
		return fmt.Errorf("add %s: %w: it refuses: %s", name, ErrMember, claimed.No)
	}
	return await(ctx, "add "+name, func() error {
		return n.raft.AddVoter(g.id(), raft.ServerAddress(address), 0, enqueue).Error()
	})
}

// addable judges whoever answered at the address of a new member.
func (n *Node) addable(name string, g *greeting) error {
	known := n.member(name)
	switch {
	case g.Name != name:
		return fmt.Errorf("%w: the node there is %s", ErrMember, g.Name)
	case known != nil && known.ID != g.id():
		return fmt.Errorf("%w: %s is a member with other data; `salve raft remove %s` first", ErrMember, name, name)
	case g.State && g.Cluster != n.self.belongs():
		return fmt.Errorf("%w: the node there holds the data of another cluster", ErrMember)
	case g.Format < n.level():
		return fmt.Errorf("%w: its program knows the log up to format %d, and the log is at %d: upgrade it",
			ErrMember, g.Format, n.level())
	}
	return nil
}

// RemovePeer ends a membership. Only the leader can; it may remove itself. Errors: ErrMember.
func (n *Node) RemovePeer(ctx context.Context, name string) error {
	known := n.member(name)
	if known == nil {
		return fmt.Errorf("remove %s: %w: there is no member of that name", name, ErrMember)
	}
	return await(ctx, "remove "+name, func() error { return n.raft.RemoveServer(known.ID, 0, enqueue).Error() })
}
