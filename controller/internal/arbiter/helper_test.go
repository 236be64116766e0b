package arbiter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watch is a clock that runs with the test's, its wall clock as wrong as the test says.
type watch struct {
	mu    sync.Mutex
	start time.Time
	skew  time.Duration
}

func newWatch(skew time.Duration) *watch { return &watch{start: time.Now(), skew: skew} }

func (w *watch) BootID() string { return "boot" }

func (w *watch) Now() clock.Instant {
	w.mu.Lock()
	defer w.mu.Unlock()
	return clock.Instant{Boot: time.Since(w.start), Wall: time.Now().Add(w.skew)}
}

// journal is the log of a cluster of one: what is committed stays, and a new leader goes on from it.
type journal struct {
	mu      sync.Mutex
	fsm     *fsm.FSM
	index   uint64
	entries []*logpb.Entry
}

func newJournal(t testing.TB) *journal {
	t.Helper()
	return &journal{fsm: fsm.New(fsm.Options{Log: hclog.NewNullLogger(), Fatal: func(err error) {
		t.Errorf("the replica stops: %v", err)
	}})}
}

// commit applies one entry as Raft would, and is as strict as the state machine.
func (j *journal) commit(data []byte) (uint64, any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := new(logpb.Entry)
	if err := proto.Unmarshal(data, e); err != nil {
		panic(err)
	}
	j.index++
	j.entries = append(j.entries, e)
	return j.index, j.fsm.Apply(&raft.Log{Index: j.index, Type: raft.LogCommand, Data: data})
}

func (j *journal) all() []*logpb.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[:len(j.entries):len(j.entries)]
}

func (j *journal) view(f func(*state.State)) { j.fsm.View(f) }

// seat is one node's place in Raft, over a journal that the test shares between nodes.
type seat struct {
	*journal
	id      string
	leaders chan bool

	mu     sync.Mutex
	leader string
	held   bool // committing waits
	queue  []*promise
	sizes  []int
	failed error // what Propose answers instead, if set
}

func newSeat(j *journal, id string) *seat { return &seat{journal: j, id: id, leaders: make(chan bool, 8)} }

// promise is a future.
type promise struct {
	data     []byte
	done     chan struct{}
	err      error
	index    uint64
	response any
}

var _ raft.ApplyFuture = (*promise)(nil)

func (p *promise) Error() error          { <-p.done; return p.err }
func (p *promise) Response() interface{} { return p.response }
func (p *promise) Index() uint64         { return p.index }

func (s *seat) Propose(data []byte) raft.ApplyFuture {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &promise{data: bytes.Clone(data), done: make(chan struct{})}
	s.sizes = append(s.sizes, len(data))
	switch {
	case s.failed != nil:
		p.err = s.failed
		close(p.done)
	case s.leader != s.id:
		p.err = raft.ErrNotLeader
		close(p.done)
	default:
		s.queue = append(s.queue, p)
		s.work()
	}
	return p
}

// work commits what waits, in order.
func (s *seat) work() {
	for !s.held && len(s.queue) > 0 {
		p := s.queue[0]
		s.queue = s.queue[1:]
		p.index, p.response = s.commit(p.data)
		close(p.done)
	}
}

// hold keeps entries from being committed, or lets them.
func (s *seat) hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	s.work()
}

// elect makes a node the leader, as this one sees it. What waits when the office is lost may be committed by
// another leader or never: commit says which.
func (s *seat) elect(leader string, commit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.leader == s.id
	s.leader = leader
	for _, p := range s.queue {
		if commit {
			s.commit(p.data)
		}
		p.err = raft.ErrLeadershipLost
		close(p.done)
	}
	s.queue = nil
	if is := leader == s.id; is != was {
		s.leaders <- is
	}
}

func (s *seat) LeaderCh() <-chan bool { return s.leaders }

func (s *seat) IsLeader() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader == s.id
}

func (s *seat) Leader() (string, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader, "raft-" + s.leader
}

func (s *seat) Barrier(ctx context.Context) error {
	if !s.IsLeader() {
		return raft.ErrNotLeader
	}
	return ctx.Err()
}

// Restore is strict: a backup is what fsm writes.
func (s *seat) Restore(_ context.Context, backup io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		return fmt.Errorf("%d entries are in flight", len(s.queue))
	}
	return s.fsm.Restore(io.NopCloser(backup))
}

// rig is an arbiter that runs, on a journal.
type rig struct {
	*Arbiter
	seat  *seat
	watch *watch
	t     *testing.T
	stop  func()
}

// start runs the arbiter of a node until the test ends.
func start(t *testing.T, j *journal, id string, skew time.Duration, change func(*Options)) *rig {
	t.Helper()
	r := &rig{seat: newSeat(j, id), watch: newWatch(skew), t: t}
	o := Options{
		Node: r.seat, Replica: j.fsm, Clock: r.watch, ID: id, Data: t.TempDir(),
		Address: func(id string) string { return id + ":7600" },
	}
	if change != nil {
		change(&o)
	}
	var err error
	if r.Arbiter, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(r.stop)
	return r
}

// must proposes a command that has to be answered without a refusal.
func (r *rig) must(c *logpb.Command) *logpb.Result {
	r.t.Helper()
	res, _, err := r.Propose(context.Background(), c)
	if err != nil {
		r.t.Fatalf("propose %v: %v", c, err)
	}
	if res.GetRefusal() != nil {
		r.t.Fatalf("%v was refused: %v", c, res.GetRefusal())
	}
	return res
}

func hello(host string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Hello{Hello: &logpb.Hello{
		Host: host, Name: host, Fingerprint: "f-" + host, BootId: "b", Nonce: "n-" + host, Stream: "s-" + host,
		Services: []*logpb.ServiceReport{{Service: "checkout", Serving: logpb.Serving_SERVING_YES}},
	}}}
}

func pause(scope, reason string, length time.Duration) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{
		Scope: scope, By: "kim", Reason: reason, For: int64(length),
	}}}
}
