// Package node is the Raft plumbing of a controller: it forms the cluster, keeps the log, elects, replicates, and
// hands what was committed to the fsm. It knows nothing of what the log says. DESIGN.md explains its choices.
package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/controller/internal/state"
)

// MaxEntry is the longest entry that Propose takes.
const MaxEntry = 256 << 10

// Errors that callers tell apart.
var (
	// ErrTooLong: the entry is longer than MaxEntry.
	ErrTooLong = errors.New("the entry is too long")
	// ErrWaiting: this node has no data and is not of any cluster yet.
	ErrWaiting = errors.New("no cluster yet")
	// ErrMember: a member of that name is there, or is not.
	ErrMember = errors.New("cluster membership")
	// ErrNoStore: the log cannot be written.
	ErrNoStore = errors.New("the log store fails")
)

// Node is one running node. All methods may be called from any goroutine.
type Node struct {
	o       Options
	log     hclog.Logger
	fsm     *fsm.FSM
	guard   *guard
	self    *self
	line    *line // nil with Options.Transport
	trans   raft.Transport
	config  *raft.Config
	address string
	began   bool // there was data when the node was opened
	opened  time.Time
	raft    *raft.Raft

	waiting atomic.Pointer[string] // why there is no cluster yet, nil: there is
	mu      sync.Mutex
	seen    []raft.ServerID // see greeting.Seen

	stop    context.CancelFunc
	formed  sync.WaitGroup
	undo    []func() // clean-ups, last in first out
	closing sync.Once
}

// Open opens the data folder and begins to take part in the cluster. The context bounds only the opening. Errors:
// ErrLocked, ErrFolder, fsm.ErrImage, state.ErrStop.
func Open(ctx context.Context, o Options) (*Node, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	config, err := configuration(o.Profile, o.Log.Named("raft"))
	if err != nil {
		return nil, err
	}
	n := &Node{o: o, log: o.Log, fsm: o.FSM, config: config, opened: time.Now()}
	if err := n.open(ctx); err != nil {
		n.unwind()
		return nil, err
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	if err := n.openFolder(); err != nil {
		return err
	}
	if err := n.openLine(ctx); err != nil {
		return err
	}
	n.config.LocalID = n.id()
	if n.o.Tune != nil {
		n.o.Tune(n.config)
	}
	cache, err := raft.NewLogCache(cacheEntries, n.guard)
	if err != nil {
		return err
	}
	n.raft, err = raft.NewRaft(n.config, n.fsm, cache, n.guard, n.o.Snapshots, n.trans)
	if err != nil {
		return fmt.Errorf("start Raft: %w", err)
	}
	n.undo = append(n.undo, n.halt)
	return n.begin()
}

// openFolder takes the data folder and learns who this node is.
func (n *Node) openFolder() error {
	if n.o.Dir != "" {
		lock, err := lockFolder(n.o.Dir)
		if err != nil {
			return err
		}
		n.undo = append(n.undo, func() { _ = lock.Close() })
	}
	if n.o.Store == nil {
		s, err := openStore(n.o.Dir)
		if err != nil {
			return err
		}
		n.o.Store = s
	}
	n.undo = append(n.undo, func() {
		if err := n.o.Store.Close(); err != nil {
			n.log.Error("cannot close the log store", "error", err)
		}
	})
	n.guard = newGuard(n.o.Store, n.log)
	if n.o.Snapshots == nil {
		s, err := openSnapshots(n.o.Dir, n.log.Named("snapshot"))
		if err != nil {
			return err
		}
		n.o.Snapshots = s
	}
	var err error
	if n.began, err = raft.HasExistingState(n.o.Store, n.o.Store, n.o.Snapshots); err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	if n.self, err = loadSelf(n.o.Store, n.o.Name, n.began); err != nil {
		return err
	}
	return checkSnapshots(n.o.Snapshots, n.o.Store)
}

// openLine opens the Raft port; peers are answered from begin on.
func (n *Node) openLine(ctx context.Context) error {
	if n.o.Transport != nil {
		g, ok := n.o.Transport.(given)
		if !ok {
			return errors.New("the transport has no pre-vote, or cannot be closed")
		}
		n.trans, n.address = unpiped{g}, string(g.LocalAddr())
		n.undo = append(n.undo, func() { _ = g.Close() })
		return nil
	}
	l, err := n.o.Line.Listen(ctx, n.o.Listen)
	if err != nil {
		return err
	}
	if n.address, err = n.o.advertise(l); err != nil {
		_ = l.Close()
		return err
	}
	n.line = newLine(l, n.o.Line, n, n.address, n.log.Named("line"))
	n.trans = newWire(n.line, n.log.Named("raft"))
	n.undo = append(n.undo, func() { _ = n.trans.(raft.WithClose).Close() })
	return nil
}

// begin lets peers in and sees to it that there is a cluster.
func (n *Node) begin() error {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.undo = append(n.undo, func() { stop(); n.formed.Wait() })
	if n.line != nil {
		n.line.start()
	}
	switch {
	case n.began:
		return nil
	case n.o.Transport != nil:
		if len(n.o.Members) == 0 {
			return nil
		}
		return n.bootstrap(n.o.Members)
	case n.o.BootstrapExpect == 1:
		return n.form(context.Background())
	}
	n.waits("looking for the peers")
	n.formed.Go(func() { n.wait(ctx) })
	return nil
}

// halt stops Raft. Connections go first: a peer that hangs must not hold it up, and what Raft gives up must not
// be promised to anybody.
func (n *Node) halt() {
	if n.line != nil {
		_ = n.line.Close()
	}
	done := n.raft.Shutdown()
	n.guard.release()
	if err := done.Error(); err != nil {
		n.log.Error("cannot stop Raft", "error", err)
	}
}

// unwind runs the clean-ups.
func (n *Node) unwind() {
	for i := len(n.undo) - 1; i >= 0; i-- {
		n.undo[i]()
	}
}

// Close hands leadership over if there is somebody to take it, stops, and lets go of the data folder. It may be
// called more than once.
func (n *Node) Close() error {
	n.closing.Do(func() {
		if n.IsLeader() && n.guard.healthy() == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*n.config.ElectionTimeout)
			defer cancel()
			if err := n.Transfer(ctx, ""); err != nil && !errors.Is(err, ErrMember) {
				n.log.Warn("nobody took over leadership", "error", err)
			}
		}
		n.unwind()
	})
	return nil
}

// Abort stops as a crash would: nothing is handed over.
func (n *Node) Abort() { n.closing.Do(n.unwind) }

// id is what Raft knows this node by: with Options.Transport there is no greeting that would need the identity.
func (n *Node) id() raft.ServerID {
	if n.o.Transport == nil {
		return n.self.id()
	}
	for _, m := range n.o.Members {
		if nameOf(m.ID) == n.o.Name {
			return m.ID
		}
	}
	return raft.ServerID(n.o.Name)
}

// hasState reports whether this node has data of a cluster.
func (n *Node) hasState() bool { return n.began || n.raft.LastIndex() > 0 || n.raft.CurrentTerm() > 0 }

// Healthy is nil if this node can do its part; else it says what a person should know.
func (n *Node) Healthy() error {
	if err := n.guard.healthy(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	if why := n.waiting.Load(); why != nil && !n.hasState() {
		return fmt.Errorf("%w: %s", ErrWaiting, *why)
	}
	servers := n.servers()
	if len(servers) > 0 && !slices.ContainsFunc(servers, func(s raft.Server) bool { return s.ID == n.id() }) {
		return fmt.Errorf("%w: this node is not in it any more", ErrMember)
	}
	return nil
}

// level is the format level of the log.
func (n *Node) level() (level uint32) {
	n.fsm.View(func(s *state.State) { level = s.FormatLevel() })
	return level
}

// bootstrap begins the cluster's log.
func (n *Node) bootstrap(members []raft.Server) error {
	err := n.raft.BootstrapCluster(raft.Configuration{Servers: members}).Error()
	if err != nil && !errors.Is(err, raft.ErrCantBootstrap) { // the others were faster
		return fmt.Errorf("form cluster: %w", err)
	}
	n.log.Info("a cluster is formed", "members", len(members), "by", n.o.Name)
	return nil
}
