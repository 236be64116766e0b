package controllertest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// errCut is what Raft gets for an answer that does not come.
var errCut = errors.New("no answer")

// network carries everything between hosts and nodes. Each direction between two of them can be cut by itself.
type network struct {
	mu      sync.Mutex
	cut     map[link]bool
	changed chan struct{} // closed when cut changes
	slow    time.Duration // what is on its way takes up to so much longer
	twice   int           // so many in a hundred exchanges arrive twice
	dice    *rand.Rand
}

// link is one direction.
type link struct{ from, to string }

func newNetwork(seed uint64) *network {
	return &network{cut: map[link]bool{}, changed: make(chan struct{}), dice: rand.New(rand.NewPCG(seed, 1))}
}

// set changes which directions are cut.
func (n *network) set(change func(cut map[link]bool)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n.cut)
	close(n.changed)
	n.changed = make(chan struct{})
}

// disturb makes what is on its way slower, and repeats some of it: at once, or when newer things have arrived.
func (n *network) disturb(slow time.Duration, twice int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow, n.twice = slow, twice
}

func (n *network) open(l link) (open bool, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut[l], n.changed
}

// wait holds up what is on its way until the direction is open, as TCP does, or until closed.
func (n *network) wait(l link, closed <-chan struct{}) error {
	for {
		open, changed := n.open(l)
		if open {
			return nil
		}
		select {
		case <-changed:
		case <-closed:
			return io.ErrClosedPipe
		}
	}
}

// pause is a while of which something else may be the end.
func pause(d time.Duration, closed <-chan struct{}) {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-closed:
		}
	}
}

// fate draws what becomes of one exchange.
func (n *network) fate() (late time.Duration, twice bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.slow > 0 {
		late = time.Duration(n.dice.Int64N(int64(n.slow)))
	}
	return late, n.dice.IntN(100) < n.twice
}

// wire is Raft's transport over the network. An exchange whose question arrives and whose answer does not has
// happened all the same.
type wire struct {
	*raft.InmemTransport
	net  *network
	name string
}

var (
	_ raft.Transport   = (*wire)(nil)
	_ raft.WithPreVote = (*wire)(nil)
	_ raft.WithClose   = (*wire)(nil)
)

func newWire(n *network, name string) *wire {
	_, inner := raft.NewInmemTransportWithTimeout(raft.ServerAddress(name), time.Second)
	return &wire{InmemTransport: inner, net: n, name: name}
}

// reordered is how much later than the first a second copy may arrive, at most so many times.
const reordered = 8

// exchange asks another node something; again asks it once more, and does not look at the answer. What is asked is
// a copy, for Raft fills the same request anew while an old one may still be on its way.
func (w *wire) exchange(to raft.ServerAddress, ask, again func() error) error {
	late, twice := w.net.fate()
	pause(late, nil)
	if open, _ := w.net.open(link{w.name, string(to)}); !open {
		return errCut
	}
	err := ask()
	if twice && err == nil {
		time.AfterFunc(reordered*late, func() {
			if open, _ := w.net.open(link{w.name, string(to)}); open {
				_ = again()
			}
		})
	}
	if open, _ := w.net.open(link{string(to), w.name}); !open {
		return errCut
	}
	return err
}

// AppendEntriesPipeline is not to be had: see node.
func (w *wire) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries sends entries.
func (w *wire) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	sent := *args
	return w.exchange(to, func() error { return w.InmemTransport.AppendEntries(id, to, &sent, resp) },
		func() error { return w.InmemTransport.AppendEntries(id, to, &sent, new(raft.AppendEntriesResponse)) })
}

// RequestVote asks for a vote.
func (w *wire) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	sent := *args
	return w.exchange(to, func() error { return w.InmemTransport.RequestVote(id, to, &sent, resp) },
		func() error { return w.InmemTransport.RequestVote(id, to, &sent, new(raft.RequestVoteResponse)) })
}

// RequestPreVote asks whether there would be a vote.
func (w *wire) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	sent := *args
	return w.exchange(to, func() error { return w.InmemTransport.RequestPreVote(id, to, &sent, resp) },
		func() error { return w.InmemTransport.RequestPreVote(id, to, &sent, new(raft.RequestPreVoteResponse)) })
}

// TimeoutNow asks a node to begin an election.
func (w *wire) TimeoutNow(id raft.ServerID, to raft.ServerAddress, args *raft.TimeoutNowRequest,
	resp *raft.TimeoutNowResponse) error {
	sent := *args
	return w.exchange(to, func() error { return w.InmemTransport.TimeoutNow(id, to, &sent, resp) },
		func() error { return w.InmemTransport.TimeoutNow(id, to, &sent, new(raft.TimeoutNowResponse)) })
}

// InstallSnapshot sends a snapshot, once: it is read while it is sent.
func (w *wire) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if open, _ := w.net.open(link{w.name, string(to)}); !open {
		return errCut
	}
	return w.InmemTransport.InstallSnapshot(id, to, args, resp, data)
}

// gated is a connection of a host with a node, held up where a direction is cut.
type gated struct {
	net.Conn
	n        *network
	out, in  link
	closed   chan struct{}
	closings sync.Once
}

func (n *network) gate(c net.Conn, host, node string) net.Conn {
	return &gated{Conn: c, n: n, out: link{host, node}, in: link{node, host}, closed: make(chan struct{})}
}

func (g *gated) Write(b []byte) (int, error) {
	late, _ := g.n.fate()
	pause(late, g.closed)
	if err := g.n.wait(g.out, g.closed); err != nil {
		return 0, err
	}
	return g.Conn.Write(b)
}

func (g *gated) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if wait := g.n.wait(g.in, g.closed); wait != nil {
		return 0, wait
	}
	return n, err
}

func (g *gated) Close() error {
	g.closings.Do(func() { close(g.closed) })
	return g.Conn.Close()
}
