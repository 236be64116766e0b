package state

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/salveops/salve/proto/logpb"
)

// copyOf is the state that a replica has that starts from a snapshot on disk.
func copyOf(t fataler, s *State) *State {
	b, err := proto.Marshal(s.Snapshot())
	if err != nil {
		t.Fatalf("write snapshot: %v", err)
	}
	read := &logpb.Snapshot{}
	if err := proto.Unmarshal(b, read); err != nil {
		t.Fatalf("read snapshot: %v", err)
	}
	out, err := Restore(read)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return out
}

type fataler interface {
	Fatalf(format string, args ...any)
}

// TestReplicasAgree is determinism: the same log gives the same state, byte for byte, however its entries
// were cut and whenever a replica started from a snapshot. And after every step the indices follow from the
// tables, and a tick that is due leaves none due.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a, b := New(), New()
		c := &chaos{t: rt, s: a, at: 3600 * second}
		begin := &logpb.Entry{At: c.at, Commands: []*logpb.Command{
			command(&logpb.NewGeneration{Id: "first", Bootstrap: true}),
			command(&logpb.Configure{Config: &logpb.Config{Escalations: people(), Digest: []byte("d"), FleetMax: 5}})}}
		farewells := map[deliveryKey]bool{}
		for index := range uint64(rapid.IntRange(5, 40).Draw(rt, "entries")) {
			e := begin
			if index > 0 {
				e = c.entry()
			}
			whole, err := a.Apply(index+1, twin(e))
			if err != nil {
				rt.Fatal(err)
			}
			for n, command := range twin(e).GetCommands() { // the same, cut into single entries
				noLateTrigger(rt, b, command.GetDelivered(), whole[n], farewells)
				part := &logpb.Entry{Format: e.GetFormat(), At: e.GetAt(), Commands: []*logpb.Command{command}}
				one, err := b.Apply(index+1, part)
				if err != nil {
					rt.Fatal(err)
				}
				if diff := cmp.Diff(whole[n], one[0], protocmp.Transform()); diff != "" {
					rt.Fatalf("the answers to %v differ:\n%s", command, diff)
				}
			}
			if rapid.IntRange(0, 5).Draw(rt, "restart") == 0 {
				b = copyOf(rt, b)
			}
			agree(rt, a, b)
		}
	})
}

// noLateTrigger is trigger-after-resolve for whatever happens: once a place may have heard of the end of an
// incident, no other message of it goes there.
func noLateTrigger(t *rapid.T, s *State, c *logpb.Delivered, answer *logpb.Result, farewells map[deliveryKey]bool) {
	m := s.deliveries[deliveryKey{c.GetKey(), c.GetNotifier()}]
	if m == nil || c.GetState() != stClaimed || answer.GetRefusal() != nil {
		return
	}
	place := deliveryKey{Subject(m.GetKey()), m.GetNotifier()}
	switch {
	case m.GetKind() == resolve:
		farewells[place] = true
	case farewells[place]:
		t.Fatalf("%v is sent after the end", m)
	}
}

// complete is that no table is left out of snapshots, for what is in none is in no hash either.
func complete(t *rapid.T, a, b *State) {
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for n := range va.NumField() {
		if f := va.Field(n); f.Kind() == reflect.Map && f.Len() != vb.Field(n).Len() {
			t.Fatalf("one replica has %d %s, the other %d", f.Len(), va.Type().Field(n).Name, vb.Field(n).Len())
		}
	}
}

func agree(t *rapid.T, a, b *State) {
	sound(t, a)
	complete(t, a, b)
	if !bytes.Equal(a.Hash(), b.Hash()) {
		t.Fatalf("the replicas differ (-whole +cut):\n%s", cmp.Diff(a.Snapshot(), b.Snapshot(), protocmp.Transform()))
	}
	for _, s := range []*State{a, b} {
		if err := s.Verify(); err != nil {
			t.Fatal(err)
		}
	}
	if a.Due() != b.Due() {
		t.Fatalf("ticks are due at %d and %d", a.Due(), b.Due())
	}
	for id := range a.hosts {
		if diff := cmp.Diff(a.StandingOrders(id), b.StandingOrders(id), protocmp.Transform()); diff != "" {
			t.Fatalf("the orders of %s differ:\n%s", id, diff)
		}
	}
	if due := a.Due(); due != 0 && due <= a.at {
		probe := copyOf(t, a)
		tick := &logpb.Entry{At: a.at, Commands: []*logpb.Command{command(&logpb.Tick{})}}
		if _, err := probe.Apply(a.index+1, tick); err != nil {
			t.Fatal(err)
		}
		if again := probe.Due(); again != 0 && again <= probe.at {
			t.Fatalf("a tick at %d leaves one due at %d", probe.at, again)
		}
	}
	a.Warnings()
}

// The log is what everybody must understand, and what it says must fit.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]*logpb.Snapshot{
		"a newer format":          {Format: Format + 1},
		"an alert of no incident": {Alerts: []*logpb.Alert{{Key: &logpb.AlertKey{Host: "h"}, Incident: "x"}}},
		"an alert of an ended incident": {Alerts: []*logpb.Alert{{Key: &logpb.AlertKey{Host: "h"}, Incident: "x"}},
			Incidents: []*logpb.Incident{{Id: "x", State: logpb.IncidentState_INCIDENT_STATE_RESOLVED}}},
	} {
		if _, err := Restore(from); !errors.Is(err, ErrStop) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := Restore(&logpb.Snapshot{}); err != nil || s.Due() != 0 {
		t.Errorf("an empty one: %v", err)
	}
}

// A snapshot is written while the log goes on.
func TestSnapshotSharesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	taken := r.s.Snapshot()
	before := proto.CloneOf(taken)
	r.handsOver("web-1", "checkout", "spent")
	r.courier()
	r.acks(r.incident("checkout"), true)
	r.lose("web-1", true)
	if diff := cmp.Diff(before, taken, protocmp.Transform()); diff != "" {
		t.Errorf("it changed:\n%s", diff)
	}
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	index, hash := r.s.Checkpoint()
	ask := func(index uint64, hash []byte) error {
		c := command(&logpb.Check{Index: index, Hash: hash})
		_, err := r.s.Apply(r.index+1, &logpb.Entry{Commands: []*logpb.Command{c}})
		return err
	}
	if err := ask(index, hash); err != nil {
		t.Error(err)
	}
	if err := ask(index+5, nil); err != nil {
		t.Errorf("of an entry that it has no hash of: %v", err)
	}
	if err := ask(index, []byte("another")); !errors.Is(err, ErrStop) {
		t.Errorf("a replica that differs: %v", err)
	}
}

// FuzzApply: whatever bytes are in the log, a replica neither panics nor differs from another. The seeds are
// entries in a row, each after its length.
func FuzzApply(f *testing.F) {
	for seed := range 5 {
		var b bytes.Buffer
		rapid.Custom(func(t *rapid.T) int {
			b.Reset()
			s := seeded()
			c := &chaos{t: t, s: s, at: s.at}
			for index := range 5 {
				e := c.entry()
				if _, err := protodelim.MarshalTo(&b, e); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Apply(s.index+uint64(index)+1, twin(e)); err != nil {
					t.Fatal(err)
				}
			}
			return 0
		}).Example(seed)
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := seeded(), seeded()
		for in := bytes.NewReader(data); ; {
			e := &logpb.Entry{}
			if (protodelim.UnmarshalOptions{MaxSize: 1 << 18}).UnmarshalFrom(in, e) != nil {
				break
			}
			other := twin(e)
			_, errA := a.Apply(a.index+1, e)
			_, errB := b.Apply(b.index+1, other)
			if fmt.Sprint(errA) != fmt.Sprint(errB) {
				t.Fatalf("one says %v, the other %v", errA, errB)
			}
			if errA != nil {
				break
			}
			sound(t, a)
		}
		a.Due()
		a.Warnings()
		for id := range a.hosts {
			a.StandingOrders(id)
		}
		b = copyOf(t, b)
		if !bytes.Equal(a.Hash(), b.Hash()) {
			t.Fatalf("the replicas differ:\n%s", cmp.Diff(a.Snapshot(), b.Snapshot(), protocmp.Transform()))
		}
	})
}

// seeded is a state in which all kinds of records are.
func seeded() *State {
	s := New()
	c := []*logpb.Command{
		command(&logpb.NewGeneration{Id: "first", Bootstrap: true}),
		command(&logpb.Configure{Config: &logpb.Config{Escalations: people(), Digest: []byte("d"), FleetMax: 5}}),
	}
	for n := range 5 {
		id := fmt.Sprint("h", n+1)
		c = append(c, command(&logpb.Hello{
			Host: id, Name: id, Fingerprint: "f", BootId: "b", Nonce: "n", Stream: "s", Generation: "",
			Services: []*logpb.ServiceReport{{Service: "web", Serving: logpb.Serving_SERVING_YES, DependsOn: []string{"db"}}}}))
		c = append(c, command(&logpb.Events{Host: id, Epoch: uint64(n + 1), Stream: "s",
			Event: []*logpb.Event{{N: 1, What: &logpb.Event_Fired{
				Fired: &logpb.Alert{Rule: "slow", Service: "web", Local: "L1"}}}}}))
	}
	c = append(c, command(&logpb.Request{Host: "h5", Epoch: 5, N: 1, Service: "web", Rule: "down", Incident: "L1"}),
		command(&logpb.PauseCommand{Scope: "host:h1", By: "kim"}),
		command(&logpb.SilenceCommand{By: "kim", For: hour, Match: []*logpb.Label{{Name: "host", Value: "h2"}}}))
	if _, err := s.Apply(1, &logpb.Entry{At: 3600 * second, Commands: c}); err != nil {
		panic(err)
	}
	return s
}
