package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/controller/internal/node/nodetest"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = time.Minute

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in vain: %s", what)
		}
	}
}

// fleet is a cluster over TCP on loopback. Ports are taken before the first node starts, so that all know them.
type fleet struct {
	t     testing.TB
	lines map[string]*portLine
	peers []string
	nodes map[string]*Node
	dirs  map[string]string
	logs  map[string]*logBuffer
	tune  func(*Options)
	names []string
}

func newFleet(t testing.TB, names ...string) *fleet {
	f := &fleet{t: t, lines: map[string]*portLine{}, nodes: map[string]*Node{}, dirs: map[string]string{},
		logs: map[string]*logBuffer{}, tune: func(*Options) {}}
	for _, name := range names {
		f.place(name)
		f.peers = append(f.peers, f.lines[name].address)
	}
	t.Cleanup(func() {
		for name, l := range f.lines {
			f.abort(name)
			l.release()
		}
	})
	return f
}

// place gives a node a port and a folder.
func (f *fleet) place(name string) {
	f.t.Helper()
	plain, err := transport.New(transport.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	l, err := plain.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.names = append(f.names, name)
	f.lines[name] = &portLine{Transport: plain, address: l.Addr().String(), taken: l}
	f.dirs[name] = filepath.Join(f.t.TempDir(), "controller")
	f.logs[name] = &logBuffer{}
}

// options are those that a node starts with.
func (f *fleet) options(name string) Options {
	o := Options{
		Name: name, Dir: f.dirs[name], Listen: f.lines[name].address, Peers: f.peers, BootstrapExpect: len(f.peers),
		Profile: "fast", Line: f.lines[name], FSM: newFSM(f.t), Log: f.logs[name].logger(name),
	}
	f.tune(&o)
	return o
}

func (f *fleet) start(names ...string) {
	f.t.Helper()
	for _, name := range names {
		n, err := Open(context.Background(), f.options(name))
		if err != nil {
			f.t.Fatalf("start %s: %v", name, err)
		}
		f.nodes[name] = n
	}
}

func (f *fleet) abort(name string) {
	if n := f.nodes[name]; n != nil {
		n.Abort()
		delete(f.nodes, name)
	}
}

func (f *fleet) close(name string) {
	f.t.Helper()
	if err := f.nodes[name].Close(); err != nil {
		f.t.Error(err)
	}
	delete(f.nodes, name)
}

// leader waits for one that can commit.
func (f *fleet) leader() *Node {
	f.t.Helper()
	var leader *Node
	eventually(f.t, "a leader", func() bool {
		for _, n := range f.nodes {
			if n.IsLeader() && n.Barrier(context.Background()) == nil {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// lead has the leader do something, and the next one if the first is deposed in the middle: elections come when they like.
func (f *fleet) lead(what string, do func(leader *Node) error) {
	f.t.Helper()
	eventually(f.t, what, func() bool {
		err := do(f.leader())
		switch {
		case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost),
			errors.Is(err, raft.ErrLeadershipTransferInProgress):
			return false
		case err != nil:
			f.t.Fatal(err)
		}
		return true
	})
}

// add makes the node of that name a member.
func (f *fleet) add(name string) {
	f.t.Helper()
	f.lead("add "+name, func(leader *Node) error {
		return leader.AddPeer(context.Background(), name, f.lines[name].address)
	})
}

// remove ends the membership of the node of that name.
func (f *fleet) remove(name string) {
	f.t.Helper()
	f.lead("remove "+name, func(leader *Node) error {
		if leader.member(name) == nil { // one that was deposed had still removed it
			return nil
		}
		return leader.RemovePeer(context.Background(), name)
	})
}

// followers are all that run and do not lead.
func (f *fleet) followers() (out []*Node) {
	leader := f.leader()
	for _, n := range f.nodes {
		if n != leader {
			out = append(out, n)
		}
	}
	return out
}

// commit proposes until a leader has committed it, and gives its index.
func (f *fleet) commit(c *logpb.Command) uint64 {
	f.t.Helper()
	var index uint64
	eventually(f.t, "a commit", func() bool {
		future := f.leader().Propose(entry(f.t, c))
		if future.Error() != nil {
			return false
		}
		if err, ok := future.Response().(error); ok {
			f.t.Fatal(err)
		}
		index = future.Index()
		return true
	})
	return index
}

// agree waits until all nodes have applied the entry, and checks that they have one state.
func (f *fleet) agree(index uint64) []byte {
	f.t.Helper()
	var first []byte
	for name, n := range f.nodes {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := n.fsm.Wait(ctx, index)
		cancel()
		if err != nil {
			f.t.Fatalf("%s: %v\n%s", name, err, f.logs[name])
		}
		image := imageOf(f.t, n)
		if first == nil {
			first = image
		}
		if !bytes.Equal(first, image) {
			f.t.Errorf("%s has another state", name)
		}
	}
	return first
}

// portLine is a line to a port that was taken when the test began. cut makes it fail.
type portLine struct {
	*transport.Transport
	address string

	mu    sync.Mutex
	taken net.Listener
	isCut bool
}

func (l *portLine) Listen(ctx context.Context, address string) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if taken := l.taken; taken != nil {
		l.taken = nil
		return taken, nil
	}
	return l.Transport.Listen(ctx, address)
}

func (l *portLine) Dial(ctx context.Context, address string) (net.Conn, error) {
	l.mu.Lock()
	isCut := l.isCut
	l.mu.Unlock()
	if isCut {
		return nil, errors.New("cut")
	}
	return l.Transport.Dial(ctx, address)
}

func (l *portLine) cut(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = is
}

func (l *portLine) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken != nil {
		_ = l.taken.Close()
	}
}

// logBuffer keeps what a node logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) logger(name string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: hclog.Debug, Output: l})
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSelf(t testing.TB) *self {
	t.Helper()
	s, err := loadSelf(nodetest.NewMemStore(), "ctl-1", false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newFSM(t testing.TB) *fsm.FSM {
	return fsm.New(fsm.Options{Log: hclog.NewNullLogger(), Fatal: func(err error) { t.Errorf("a replica stopped: %v", err) }})
}

func generation(id string, bootstrap bool) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
		Id: id, Reason: "a test", Bootstrap: bootstrap}}}
}

func pause(unit string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{
		Scope: "unit:" + unit, By: "kim", Reason: "a test", For: int64(time.Hour)}}}
}

func entryOf(cs ...*logpb.Command) *logpb.Entry {
	return &logpb.Entry{Format: 1, At: int64(time.Hour), Node: "ctl-1", Commands: cs}
}

func entry(t testing.TB, cs ...*logpb.Command) []byte {
	t.Helper()
	b, err := proto.Marshal(entryOf(cs...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func imageOf(t testing.TB, n *Node) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := n.Backup(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fill commits a few entries and gives the last index.
func (f *fleet) fill(count int) (index uint64) {
	f.t.Helper()
	f.commit(generation("11111111111111111111111111111111", true))
	for i := range count {
		index = f.commit(pause(fmt.Sprintf("unit-%d", i)))
	}
	return index
}

// snapshot makes a node take one.
func snapshot(t testing.TB, n *Node) {
	t.Helper()
	if err := n.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
}

// noTrail makes snapshots remove every entry that they cover.
func noTrail(o *Options) { o.Tune = func(c *raft.Config) { c.TrailingLogs = 0 } }

// wipe loses a node's disk.
func (f *fleet) wipe(name string) {
	f.t.Helper()
	if err := os.RemoveAll(f.dirs[name]); err != nil {
		f.t.Fatal(err)
	}
}
