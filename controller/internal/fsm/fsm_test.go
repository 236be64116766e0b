package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bridge is a bridge under test and what it said as its last words.
type bridge struct {
	*FSM
	fatal []error
}

func newBridge() *bridge {
	b := &bridge{}
	b.FSM = New(Options{Log: hclog.NewNullLogger(), Fatal: func(err error) { b.fatal = append(b.fatal, err) }})
	return b
}

func bootstrap() *logpb.Command {
	return &logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
		Id: "11111111111111111111111111111111", Reason: "bootstrap", Bootstrap: true}}}
}

func pause(reason string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{
		Scope: "unit:" + reason, By: "kim", Reason: reason, For: int64(3600e9)}}}
}

func entry(index uint64, cs ...*logpb.Command) *raft.Log {
	b, err := proto.Marshal(&logpb.Entry{Format: 1, At: int64(index) * 1e9, Node: "ctl-1", Commands: cs})
	if err != nil {
		panic(err)
	}
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: b}
}

func configuration(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Type: raft.LogConfiguration}
}

// TestApplyBatch: one answer an entry, in order; entries of Raft itself have none.
func TestApplyBatch(t *testing.T) {
	b := newBridge()
	changed := b.Changed()
	answers := b.ApplyBatch([]*raft.Log{
		configuration(1), entry(2, bootstrap()), entry(5, pause("a"), bootstrap(), pause("b")),
	})
	if len(answers) != 3 || answers[0] != nil {
		t.Fatalf("answers %v", answers)
	}
	results := answers[2].([]*logpb.Result)
	if len(results) != 3 || results[0].GetRefusal() != nil || results[1].GetRefusal().GetCode() != "generation" ||
		results[2].GetRefusal() != nil {
		t.Errorf("results %v", results)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told of the change")
	}
	b.View(func(s *state.State) {
		if s.Index() != 5 || s.Generation() == "" {
			t.Errorf("index %d, generation %q", s.Index(), s.Generation())
		}
	})
	if len(b.fatal) != 0 {
		t.Errorf("stopped: %v", b.fatal)
	}
}

// TestWait: for what comes, for what is there, and no longer than the caller wants.
func TestWait(t *testing.T) {
	b := newBridge()
	waited := make(chan error)
	go func() { waited <- b.Wait(context.Background(), 3) }()
	b.Apply(entry(1, bootstrap()))
	b.Apply(configuration(2))
	select {
	case err := <-waited:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	b.Apply(entry(3, pause("a")))
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if err := b.Wait(context.Background(), 2); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Wait(ctx, 4); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "entry 4") {
		t.Errorf("without an end: %v", err)
	}
}

// TestStops: what cannot be read stops this replica by name, once, and for good.
func TestStops(t *testing.T) {
	newer, err := proto.Marshal(&logpb.Entry{Format: state.Format + 1})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		data       []byte
	}{
		{"no protobuf", "decode entry 3", []byte{0xff, 0xff}},
		{"a newer format", "upgrade it", newer},
		{"an unknown command", "upgrade it", entry(3, &logpb.Command{}).Data},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := newBridge()
			waited := make(chan error)
			go func() { waited <- b.Wait(context.Background(), 9) }()
			b.Apply(entry(1, bootstrap()))
			answers := b.ApplyBatch([]*raft.Log{
				entry(2, pause("a")), {Index: 3, Type: raft.LogCommand, Data: tc.data}, entry(4, pause("b")),
			})
			for i, a := range answers[1:] {
				if err, ok := a.(error); !ok || !errors.Is(err, state.ErrStop) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("answer %d: %v", i+1, a)
				}
			}
			if err, ok := b.Apply(entry(5, pause("c"))).(error); !ok || !errors.Is(err, state.ErrStop) {
				t.Errorf("it went on: %v", err)
			}
			if err := <-waited; !errors.Is(err, state.ErrStop) {
				t.Errorf("who waits was told %v", err)
			}
			if _, err := b.Snapshot(); !errors.Is(err, state.ErrStop) {
				t.Errorf("a snapshot of a wrong state: %v", err)
			}
			if err := b.Restore(io.NopCloser(bytes.NewReader(imageOf(t, newBridge())))); !errors.Is(err, state.ErrStop) {
				t.Errorf("restored: %v", err)
			}
			b.View(func(s *state.State) {
				if s.Index() > 3 {
					t.Errorf("applied entry %d", s.Index())
				}
			})
			if len(b.fatal) != 1 || !errors.Is(b.fatal[0], state.ErrStop) {
				t.Errorf("last words %v, want one", b.fatal)
			}
		})
	}
}

// TestFatalMayLook: the callback may look at the state; it is not called under the lock.
func TestFatalMayLook(t *testing.T) {
	var f *FSM
	looked := false
	f = New(Options{Log: hclog.NewNullLogger(), Fatal: func(error) { f.View(func(*state.State) { looked = true }) }})
	f.Apply(&raft.Log{Index: 1, Type: raft.LogCommand, Data: []byte{0xff}})
	if !looked {
		t.Error("not called")
	}
}

// TestCheck: replicas hash at the same entries, whatever else is in the log and wherever they started from; one
// that differs is stopped by the leader's check.
func TestCheck(t *testing.T) {
	leader, follower, late, wrong := newBridge(), newBridge(), newBridge(), newBridge()
	first := entry(1, bootstrap())
	for _, b := range []*bridge{leader, follower, wrong} {
		b.Apply(first)
	}
	wrong.Apply(entry(2, pause("never committed")))
	for _, b := range []*bridge{leader, follower, wrong} {
		b.Apply(entry(CheckEvery-7, pause("a")))
		if b.Check() != nil {
			t.Fatal("hashed too early")
		}
	}
	if err := late.Restore(io.NopCloser(bytes.NewReader(imageOf(t, leader)))); err != nil {
		t.Fatal(err)
	}
	all := []*bridge{leader, follower, late, wrong}
	for _, b := range all { // 10,000 itself is no command
		b.ApplyBatch([]*raft.Log{configuration(CheckEvery), entry(CheckEvery+2, pause("b")), entry(CheckEvery+3, pause("c"))})
	}
	check := leader.Check()
	if check.GetIndex() != CheckEvery+2 || len(check.GetHash()) == 0 {
		t.Fatalf("check %v", check)
	}
	for i, b := range all {
		b.Apply(entry(CheckEvery+4, &logpb.Command{What: &logpb.Command_Check{Check: check}}))
		if stopped := len(b.fatal) > 0; stopped != (b == wrong) {
			t.Errorf("replica %d stopped: %v", i, b.fatal)
		}
	}
	if len(wrong.fatal) == 1 && !strings.Contains(wrong.fatal[0].Error(), "it differs") {
		t.Errorf("last words %v", wrong.fatal[0])
	}
}

func imageOf(t testing.TB, b *bridge) []byte {
	t.Helper()
	image, err := b.Image()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// filled is a bridge with something in its state.
func filled() *bridge {
	b := newBridge()
	b.Apply(entry(1, bootstrap()))
	for i := range 5 {
		b.Apply(entry(uint64(i)+2, pause(fmt.Sprintf("reason-%d", i))))
	}
	return b
}
