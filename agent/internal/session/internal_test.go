package session

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
)

// How long the next session waits, and where it goes.
func TestTries(t *testing.T) {
	all := []string{"a", "b", "c"}
	other := errors.New("connection refused")
	for _, c := range []struct {
		name  string
		ends  []error // how sessions ended, in a row
		lasts time.Duration
		want  time.Duration // after the last, without jitter
		where string
	}{
		{"first failure", []error{other}, 0, firstWait, "b"},
		{"it doubles", []error{other, other, other}, 0, 4 * firstWait, "a"},
		{"up to a bound", []error{other, other, other, other, other, other, other, other, other, other}, 0, mostWait, "b"},
		{"after a good session", []error{other, other, other}, goodAfter, firstWait, "a"},
		{"redirect", []error{redirected{"x"}}, 0, firstWait / 4, "x"},
		{"redirect to nowhere", []error{redirected{""}}, 0, firstWait, "b"},
		{"round and round", []error{redirected{"x"}, redirected{"y"}, redirected{"x"}, redirected{"y"}}, 0, firstWait, "b"},
		{"begins anew", []error{errAnew}, 0, firstWait, "a"},
		{"busy", []error{busy{3 * time.Second}}, 0, 3*time.Second + time.Second/2, "b"},
		{"busy for ever", []error{busy{time.Hour}}, 0, mostWait + time.Second/2, "b"},
		{"turned away", []error{turnedAway{"removed", ""}}, 0, awayWait, "b"},
		{"another generation", []error{turnedAway{"generation", ""}}, 0, firstWait, "b"},
		{"mute", []error{errMute}, 0, muteWait, "b"},
		{"mute again and again", []error{errMute, errMute, errMute, errMute, errMute}, 0, muteMost, "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var next tries
			var wait time.Duration
			for _, err := range c.ends {
				next.address(all)
				wait = next.after(err, c.lasts, 0.5)
			}
			if wait != c.want || next.address(all) != c.where {
				t.Errorf("waits %v and goes to %s, want %v and %s", wait, next.address(all), c.want, c.where)
			}
		})
	}
	var next tries
	if short, long := next.after(other, 0, 0), (&tries{}).after(other, 0, 1); short >= long || short <= 0 {
		t.Errorf("jitter: %v to %v", short, long)
	}
	if muteMost <= permit.AloneAfter {
		t.Error("between two hellos there is never the time to act alone")
	}
}

func TestSettlement(t *testing.T) {
	for _, c := range []struct {
		phase   incident.Phase
		outcome incident.Outcome
		want    permit.Settlement
	}{
		{incident.Intended, "", ""},
		{incident.Acted, "", ""},
		{incident.Undoing, incident.Worse, ""},
		{incident.Refused, "", permit.Unused},
		{incident.NotDone, "", permit.Unused},
		{incident.Undone, incident.Worse, permit.Failed},
		{incident.Undone, incident.Inconclusive, permit.Failed},
		{incident.Undone, incident.Verified, permit.Serving},
		{incident.Unknown, "", permit.Unknown},
		{incident.Unknown, incident.Ineffective, permit.Unknown},
		{incident.Judged, incident.Verified, permit.Serving},
		{incident.Judged, incident.Ineffective, permit.Failed},
		{incident.Judged, incident.Worse, permit.Failed},
		{incident.Judged, incident.Inconclusive, permit.Unknown},
	} {
		if got := Settlement(&incident.Attempt{Phase: c.phase, Outcome: c.outcome}); got != c.want {
			t.Errorf("%s %s is settled as %q, want %q", c.phase, c.outcome, got, c.want)
		}
	}
	held := &permit.Held{Token: permit.Token{Generation: "g", N: 1}, Targets: []permit.Target{{Service: "web"}}}
	got := Restore([]*incident.Attempt{{ID: "a", Permit: held}, {ID: "b"}, {ID: "c", Permit: &permit.Held{}}})
	if len(got) != 1 || got[0].Attempt != "a" {
		t.Errorf("restored %+v", got)
	}
}

func TestFingerprint(t *testing.T) {
	root := t.TempDir()
	print := func() string {
		p, err := Fingerprint(root)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	seen := map[string]bool{print(): true}
	for _, f := range []struct{ name, text string }{{machineID, "one\n"}, {machineID, "two\n"}, {productUUID, "firmware\n"}} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, f.name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, f.name), []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p := print(); seen[p] || p != print() || len(p) != 32 {
			t.Errorf("%s = %q gives %q", f.name, f.text, p)
		} else {
			seen[p] = true
		}
	}
}

// FuzzNode: whatever bytes a node sends, they are taken as a message, an end, or nothing; never a panic.
func FuzzNode(f *testing.F) {
	for _, m := range []*agentpb.ConnectResponse{
		{What: &agentpb.ConnectResponse_Pong{Pong: &agentpb.Pong{N: 1, Serial: 1, Urge: true}}},
		{What: &agentpb.ConnectResponse_Redirect{Redirect: &agentpb.Redirect{Address: "x"}}},
		{What: &agentpb.ConnectResponse_Answer{Answer: &agentpb.Answer{N: 1}}},
	} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := new(agentpb.ConnectResponse)
		if proto.Unmarshal(raw, m) != nil {
			return
		}
		x := fuzzed(t)
		if w := m.GetWelcome(); w != nil {
			_ = x.enter(w)
		}
		_ = x.take(m)
		_ = x.pump()
		_ = x.tick()
	})
}

// kept is a store with one record.
type kept struct {
	nothing
	text []byte
}

func (k *kept) Get(_ string, v any) (bool, error) { return true, json.Unmarshal(k.text, v) }

// FuzzOrders: whatever is on disk of the standing orders, they are taken up, or nothing is known.
func FuzzOrders(f *testing.F) {
	f.Add([]byte(`{"standing":{"generation":"g","index":"7","pauses":[{"id":"p","scope":"all"}]},"known":{"p":{}}}`))
	f.Add([]byte(`{"standing":{"alone":["web"],"new":1}}`))
	f.Add([]byte(`{"standing":null}`))
	f.Add([]byte(`{"standing":[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newFake(t)
		s.o.Store = &kept{text: text}
		if s.readOrders() != nil {
			return // the record is no JSON: the agent does not start
		}
		o := s.Orders()
		raw, err := protojson.Marshal(o.Standing)
		if err != nil || !json.Valid(raw) {
			t.Errorf("%q is taken up as %v, which cannot be written: %v", text, o.Standing, err)
		}
	})
}
