package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/state"
)

// lookEvery is how often a node without a cluster looks for its peers.
const lookEvery = 500 * time.Millisecond

// hello is what this node says of itself.
func (n *Node) hello() *greeting {
	return &greeting{
		Name: n.self.name, Identity: n.self.identity, Cluster: n.self.belongs(), State: n.hasState(),
		Format: state.Format, Level: n.level(), API: n.o.API,
	}
}

// answer is what this node says to a greeting.
func (n *Node) answer(g *greeting) *greeting {
	a := n.hello()
	err := n.judge(g)
	if err == nil {
		switch g.Kind {
		case kindLook:
			n.mu.Lock()
			a.Seen = n.seen
			n.mu.Unlock()
			err = n.known(g)
		case kindClaim:
			err = n.claim(g)
		case kindRaft:
			err = n.admit(g)
		default:
			err = fmt.Errorf("a greeting of a kind that this program does not know: %q", g.Kind)
		}
	}
	if err != nil {
		a.No = err.Error()
	}
	return a
}

// judge is what every greeting has to pass.
func (n *Node) judge(g *greeting) error {
	switch {
	case g.Name == n.self.name && g.Identity != n.self.identity:
		return fmt.Errorf("two nodes are named %s", g.Name)
	case g.Kind != kindLook && g.Level > state.Format:
		return fmt.Errorf("the log is at format %d, the program of %s knows %d: upgrade it", g.Level, n.self.name, state.Format)
	}
	return nil
}

// known refuses a node that the cluster knows by other data.
func (n *Node) known(g *greeting) error {
	if m := n.member(g.Name); m != nil && m.ID != g.id() {
		return fmt.Errorf("the cluster knows %s by data that are lost or elsewhere: `salve raft remove %s`, then "+
			"`salve raft add %s ADDRESS`", g.Name, g.Name, g.Name)
	}
	return nil
}

// claim makes this node one of the asking cluster.
func (n *Node) claim(g *greeting) error {
	if g.Wants != n.self.id() {
		return fmt.Errorf("this is %s", n.self.name)
	}
	if err := n.self.join(g.Cluster, n.hasState()); err != nil {
		return err
	}
	n.log.Info("this node is claimed for a cluster", "by", g.Name)
	return nil
}

// admit lets a member speak to Raft.
func (n *Node) admit(g *greeting) error {
	if err := n.guard.waits(); err != nil { // its handlers would only pile up
		return fmt.Errorf("%s cannot write its log: %w", n.self.name, err)
	}
	return n.self.admit(g.Wants, g.Cluster)
}

// waits notes why there is no cluster yet and logs it when it is news.
func (n *Node) waits(why string) {
	if old := n.waiting.Load(); old == nil || *old != why {
		n.log.Info("this node waits for a cluster", "reason", why)
	}
	n.waiting.Store(&why)
}

// wait looks for the peers until there is a cluster: formed by one of them together, or one that took this node in.
func (n *Node) wait(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for !n.hasState() {
		members, why := n.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case n.hasState():
		case members != nil && members[0].ID == n.id(): // the first by name does it for all
			if err := n.formWith(ctx, members); err != nil {
				n.waits(err.Error())
			}
		case members != nil:
			n.waits(nameOf(members[0].ID) + " forms the cluster")
		default:
			n.waits(why)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
	n.waiting.Store(nil)
	n.log.Info("this node is one of a cluster")
}

// look greets every peer once. It gives the members to form a cluster with, this node included and sorted, if there
// are exactly as many as expected, none has data, and each reaches all the others; else it says why not.
func (n *Node) look(ctx context.Context) (members []raft.Server, why string) {
	answers, errs := n.lookAll(ctx)
	own := raft.Server{ID: n.id(), Address: raft.ServerAddress(n.address)}
	found := map[raft.ServerID]*greeting{}
	members = append(members, own)
	for i, g := range answers {
		if g == nil || g.id() == own.ID || found[g.id()] != nil {
			continue
		}
		found[g.id()] = g
		members = append(members, raft.Server{ID: g.id(), Address: raft.ServerAddress(n.o.Peers[i])})
	}
	slices.SortFunc(members, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	ids := make([]raft.ServerID, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	n.mu.Lock()
	n.seen = ids
	n.mu.Unlock()
	if why = n.obstacle(found, ids, errs); why != "" {
		return nil, why
	}
	return members, ""
}

// lookAll greets all peers side by side; answers and errors are in their order.
func (n *Node) lookAll(ctx context.Context) ([]*greeting, []error) {
	answers, errs := make([]*greeting, len(n.o.Peers)), make([]error, len(n.o.Peers))
	var wg sync.WaitGroup
	for i, address := range n.o.Peers {
		wg.Go(func() { answers[i], errs[i] = n.line.ask(ctx, address, kindLook, "") })
	}
	wg.Wait()
	return answers, errs
}

// obstacle is why no cluster can be formed with whom this node found, "": none.
func (n *Node) obstacle(found map[raft.ServerID]*greeting, ids []raft.ServerID, errs []error) string {
	for _, g := range found {
		switch {
		case g.No != "":
			return fmt.Sprintf("%s says: %s", g.Name, g.No)
		case g.State:
			return fmt.Sprintf("%s has a cluster already: `salve raft add %s %s` there takes this node in", g.Name, n.o.Name, n.address)
		}
	}
	switch {
	case n.o.BootstrapExpect == 0:
		return fmt.Sprintf("it is to be taken in: `salve raft add %s %s` on a cluster", n.o.Name, n.address)
	case errors.Join(errs...) != nil:
		return fmt.Sprintf("%d of %d nodes are here: %v", len(ids), n.o.BootstrapExpect, errors.Join(errs...))
	case len(ids) != n.o.BootstrapExpect:
		return fmt.Sprintf("the peers are %d nodes, and bootstrap_expect is %d", len(ids), n.o.BootstrapExpect)
	}
	for _, g := range found {
		if !slices.Equal(g.Seen, ids) {
			return fmt.Sprintf("%s does not see the same nodes yet", g.Name)
		}
	}
	return ""
}

// formWith claims every member and begins the cluster's log. One that is claimed belongs to this cluster before its
// name is in the configuration, so that no node can be in two.
func (n *Node) formWith(ctx context.Context, members []raft.Server) error {
	cluster := n.self.belongs()
	if cluster == "" {
		cluster = random()
	}
	if err := n.self.join(cluster, n.hasState()); err != nil {
		return err
	}
	for _, m := range members {
		if m.ID == n.id() {
			continue
		}
		g, err := n.line.ask(ctx, string(m.Address), kindClaim, m.ID)
		if err != nil {
			return err
		}
		if g.No != "" || g.id() != m.ID {
			return fmt.Errorf("%s says: %s", nameOf(m.ID), g.No)
		}
	}
	return n.bootstrap(members)
}

// form begins a cluster of this node alone.
func (n *Node) form(ctx context.Context) error {
	return n.formWith(ctx, []raft.Server{{ID: n.id(), Address: raft.ServerAddress(n.address)}})
}
