// Package admintest is a controller of one node for tests of what talks to the operators' API: the real API
// over the real state, with a log in memory that takes nothing which the real one would not.
package admintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// Begin is when the log begins.
var Begin = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// Log is the log of a cluster whose other nodes agree at once, and this node's copy of the state.
type Log struct {
	mu      sync.Mutex
	s       *state.State
	index   uint64
	at      time.Time
	changed chan struct{}

	standing adminapi.Standing
	cutOff   bool // the others do not answer any more
	lost     bool // the next command is committed, and its answer gets lost
	peers    []*adminpb.Peer

	// Barriers and Verified count what reads cost.
	Barriers, Verified int
}

var (
	_ adminapi.Proposer = (*Log)(nil)
	_ adminapi.Store    = (*Log)(nil)
	_ adminapi.Node     = (*Log)(nil)
	_ adminapi.Cluster  = (*Log)(nil)
	_ adminapi.Backups  = (*Log)(nil)
)

// NewLog is an empty log of the node c1, which leads c2 and c3.
func NewLog() *Log {
	return &Log{
		s: state.New(), at: Begin, changed: make(chan struct{}),
		standing: adminapi.Standing{ID: "c1", Role: "leader", Leader: "c1", LeaderAddress: "127.0.0.1:7600", Term: 3},
		peers: []*adminpb.Peer{
			{Id: "c1", Address: "127.0.0.1:7601", Voter: true, Leader: true},
			{Id: "c2", Address: "127.0.0.2:7601", Voter: true, Heard: int64(20 * time.Millisecond)},
			{Id: "c3", Address: "127.0.0.3:7601", Voter: true, Heard: int64(30 * time.Millisecond)},
		},
	}
}

// Propose implements adminapi.Proposer.
func (l *Log) Propose(ctx context.Context, c *logpb.Command) (*logpb.Result, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case l.standing.Role != "leader":
		return nil, 0, arbiter.ErrNotLeader{ID: l.standing.Leader, Address: l.standing.LeaderAddress}
	case l.cutOff:
		return nil, 0, arbiter.ErrUnknownOutcome
	}
	r, err := l.apply(c)
	if err == nil && l.lost {
		l.lost, err = false, arbiter.ErrUnknownOutcome
	}
	if err != nil {
		return nil, 0, err
	}
	return r, l.index, nil
}

// apply brings a command through the bytes of the log into the state.
func (l *Log) apply(c *logpb.Command) (*logpb.Result, error) {
	entry := &logpb.Entry{Format: state.Format, At: l.at.UnixNano(), Node: l.standing.ID, Commands: []*logpb.Command{c}}
	text, err := proto.Marshal(entry)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	if len(text) > 256<<10 {
		return nil, arbiter.ErrTooLarge
	}
	committed := &logpb.Entry{}
	if err := proto.Unmarshal(text, committed); err != nil {
		return nil, fmt.Errorf("decode entry: %w", err)
	}
	l.index++
	results, err := l.s.Apply(l.index, committed)
	if err != nil {
		return nil, errors.Join(arbiter.ErrStopped, err)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return results[0], nil
}

// Advance lets log time pass, and what is due with it.
func (l *Log) Advance(d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = l.at.Add(d)
	_, err := l.apply(&logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
	return err
}

// Now is log time.
func (l *Log) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// View implements adminapi.Store.
func (l *Log) View(f func(*state.State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.s)
}

// Changed implements adminapi.Store.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Standing implements adminapi.Node.
func (l *Log) Standing() adminapi.Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.standing
}

// Follow makes this node a follower of another one, "" of nobody.
func (l *Log) Follow(leader, address string, silent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing = adminapi.Standing{ID: l.standing.ID, Role: "follower", Leader: leader, LeaderAddress: address,
		Term: l.standing.Term + 1, Silent: silent}
}

// Ail gives this node a problem, for which it takes no part any more.
func (l *Log) Ail(problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing = adminapi.Standing{
		ID: l.standing.ID, Role: "follower", Term: l.standing.Term, Silent: time.Minute, Problem: problem,
	}
}

// Refuse says that the node refused its file at a reload; "": the last one went well.
func (l *Log) Refuse(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing.Refused = why
	if why != "" {
		l.standing.Refusals++
	}
}

// Lead makes this node the leader, in a new term.
func (l *Log) Lead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing = adminapi.Standing{ID: l.standing.ID, Role: "leader", Leader: l.standing.ID,
		LeaderAddress: "127.0.0.1:7600", Term: l.standing.Term + 1}
}

// CutOff lets the other nodes answer no more; this one does not know it yet.
func (l *Log) CutOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutOff = true
}

// LoseNext loses the answer to the next command, which is committed nevertheless.
func (l *Log) LoseNext() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

// errCutOff is what Raft says when the others do not answer.
var errCutOff = errors.New("leadership lost while committing log")

// Barrier implements adminapi.Node.
func (l *Log) Barrier(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Barriers++
	return l.quorum()
}

// VerifyLeader implements adminapi.Node.
func (l *Log) VerifyLeader(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Verified++
	return l.quorum()
}

func (l *Log) quorum() error {
	if l.cutOff {
		return errCutOff
	}
	if l.standing.Role != "leader" {
		return errors.New("node is not the leader")
	}
	return nil
}

// Peers implements adminapi.Cluster.
func (l *Log) Peers() ([]*adminpb.Peer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*adminpb.Peer
	for _, p := range l.peers {
		out = append(out, proto.CloneOf(p))
	}
	return out, nil
}

// Unheard lets a peer be unheard for so long, -1: for ever.
func (l *Log) Unheard(id string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.peers {
		if p.GetId() == id {
			p.Heard = int64(d)
		}
	}
}

// AddPeer implements adminapi.Cluster.
func (l *Log) AddPeer(_ context.Context, id, address string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.peers {
		if p.GetId() == id {
			return fmt.Errorf("add %s: %s is a member with other data; `salve raft remove %s` first", id, id, id)
		}
	}
	l.peers = append(l.peers, &adminpb.Peer{Id: id, Address: address, Voter: true, Heard: -1})
	return nil
}

// RemovePeer implements adminapi.Cluster.
func (l *Log) RemovePeer(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.peers {
		if p.GetId() == id {
			l.peers = append(l.peers[:i:i], l.peers[i+1:]...)
			return nil
		}
	}
	return fmt.Errorf("remove %s: there is no member of that name", id)
}

// Transfer implements adminapi.Cluster.
func (l *Log) Transfer(_ context.Context, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to == "" {
		to = "c2"
	}
	l.standing.Role, l.standing.Leader, l.standing.LeaderAddress = "follower", to, ""
	l.standing.Term++
	return nil
}

// Backup implements adminapi.Backups.
func (l *Log) Backup(_ context.Context, w io.Writer) error {
	l.mu.Lock()
	image, err := proto.MarshalOptions{Deterministic: true}.Marshal(l.s.Snapshot())
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode backup: %w", err)
	}
	_, err = w.Write(image)
	return err
}

// Restore implements adminapi.Backups.
func (l *Log) Restore(_ context.Context, r io.Reader, by string) error {
	var image bytes.Buffer
	if _, err := image.ReadFrom(r); err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	snapshot := &logpb.Snapshot{}
	if err := proto.Unmarshal(image.Bytes(), snapshot); err != nil || snapshot.GetGeneration() == "" {
		return errors.New("this is no backup")
	}
	s, err := state.Restore(snapshot)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.s, l.index = s, max(l.index, s.Index())
	_, err = l.apply(&logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
		Id: "22222222222222222222222222222222", Reason: "restored by " + by,
	}}})
	return err
}
