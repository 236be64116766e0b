package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// foreverDir holds a data folder of each format of the log, and the state in it as JSON. A folder that was released
// is never changed again: what cannot open it is broken. UPDATE=1 writes the one of the newest format anew.
const foreverDir = "testdata/opened-for-ever"

// maxForever bounds one of them, for they stay in the repository for ever, too.
const maxForever = 200 << 10

// TestOpenedForEver opens them all, as the program would.
func TestOpenedForEver(t *testing.T) {
	if os.Getenv("UPDATE") != "" {
		writeForever(t, filepath.Join(foreverDir, fmt.Sprintf("v%d", state.Format)))
	}
	folders, err := filepath.Glob(filepath.Join(foreverDir, "v*"))
	if err != nil || len(folders) != state.Format {
		t.Fatalf("%d folders, %v: want one of each format up to %d", len(folders), err, state.Format)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			f := newFleet(t, "ctl-1")
			copyFolder(t, filepath.Join(folder, "data"), f.dirs["ctl-1"])
			f.tune = func(o *Options) { o.Peers, o.BootstrapExpect = nil, 0 }
			f.start("ctl-1")
			if got := f.leader().Peers(); len(got) != 1 || got[0].Name != "ctl-1" || !got[0].Leader {
				t.Errorf("members %+v", got)
			}
			want := new(logpb.Snapshot)
			text, err := os.ReadFile(filepath.Join(folder, "state.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := protojson.Unmarshal(text, want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, stateOf(f.nodes["ctl-1"]), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			f.commit(pause("and-it-goes-on"))
		})
	}
}

func stateOf(n *Node) (s *logpb.Snapshot) {
	n.fsm.View(func(x *state.State) { s = x.Snapshot() })
	return s
}

// writeForever makes a data folder with something of each noun: half of it in a snapshot, half in the log.
func writeForever(t *testing.T, folder string) {
	t.Helper()
	f := newFleet(t, "ctl-1")
	f.tune = noTrail
	f.start("ctl-1")
	commands := foreverCommands()
	for i, c := range commands {
		if i == len(commands)/2 {
			snapshot(t, f.nodes["ctl-1"])
		}
		future := f.leader().Propose(entry(t, c))
		if err := future.Error(); err != nil {
			t.Fatal(err)
		}
		if refusal := future.Response().([]*logpb.Result)[0].GetRefusal(); refusal != nil {
			t.Fatalf("command %d: %v", i, refusal)
		}
	}
	text := foreverText(t, f.nodes["ctl-1"])
	f.close("ctl-1")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, f.dirs["ctl-1"], filepath.Join(folder, "data"))
	if err := os.WriteFile(filepath.Join(folder, "state.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// foreverText is a node's state as JSON whose spaces do not change from run to run.
func foreverText(t *testing.T, n *Node) []byte {
	t.Helper()
	text, err := protojson.Marshal(stateOf(n))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

// foreverCommands are in the words of the first format, which stays understood.
func foreverCommands() []*logpb.Command {
	one, host, stream := uint32(1), "0123456789abcdef0123456789abcdef", "stream-1"
	serves := []*logpb.ServiceReport{{Service: "checkout", Serving: logpb.Serving_SERVING_YES, Tier: "web"}}
	labels := []*logpb.Label{{Name: "service", Value: "checkout"}}
	events := func(e *logpb.Event) *logpb.Command {
		return &logpb.Command{What: &logpb.Command_Events{Events: &logpb.Events{Host: host, Epoch: 1, Stream: stream,
			Event: []*logpb.Event{e}}}}
	}
	return []*logpb.Command{
		generation("11111111111111111111111111111111", true),
		{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: "ctl-1", Config: &logpb.Config{
			Digest: []byte("digest"), BreakerShare: 300_000, BreakerWindow: 300e9,
			Services: []*logpb.Service{{Name: "checkout", MaxUnavailable: &one, Autonomy: "full", Owners: "payments"}},
			Escalations: []*logpb.Escalation{{Name: "default", Steps: []*logpb.Step{{Notify: []string{"slack.ops"}},
				{After: 300e9, Notify: []string{"pagerduty.payments"}, Repeat: 3}}}},
			Windows: []*logpb.Window{{Name: "nightly", From: "02:00", To: "03:00", Zone: "Europe/Vienna", Reason: "backups"}},
		}}}},
		{What: &logpb.Command_Hello{Hello: &logpb.Hello{Host: host, Name: "web-1", Fingerprint: "print", BootId: "boot-1",
			Nonce: "nonce-1", Stream: stream, NewStream: "stream-2", NewGeneration: "22222222222222222222222222222222",
			Services: serves, Labels: []*logpb.Label{{Name: "rack", Value: "7"}}, Version: "0.3.0"}}},
		events(&logpb.Event{N: 1, What: &logpb.Event_Fired{Fired: &logpb.Alert{
			Key: &logpb.AlertKey{Host: host, Stream: stream, N: 1}, Rule: "slow", Service: "checkout", Severity: "critical",
			Condition: "p99 > 300ms", Values: []string{"p99 = 812ms"}, Local: "inc-1"}}}),
		{What: &logpb.Command_Request{Request: &logpb.Request{Host: host, Epoch: 1, N: 1, Incident: "inc-1", Service: "checkout",
			Rule: "slow", Remedy: "restart-app", Digest: []byte("remedy"), Claims: serves}}},
		{From: &logpb.Origin{Address: "192.0.2.7", Credential: "serial/5d2e41aa"}, What: &logpb.Command_Silence{Silence: &logpb.SilenceCommand{Match: labels, By: "kim", Reason: "known", For: 3600e9}}},
		{What: &logpb.Command_RecordChange{RecordChange: &logpb.RecordChange{Change: &logpb.Change{Service: "checkout",
			Host: host, Kind: "deployment", Text: "v2.1.0", By: "ci"}}}},
		pause("nginx.service"),
		events(&logpb.Event{N: 2, What: &logpb.Event_Story{Story: &logpb.Story{Local: "inc-1", Event: &logpb.TimelineEvent{
			Type: "act", Text: "restarted checkout.service", HostAt: 3600e9}}}}),
		events(&logpb.Event{N: 3, What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{Local: "inc-1", Reason: "out of ideas"}}}),
		{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}},
	}
}

// copyFolder copies all but the lock.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(to, lockFile))
	var size int64
	err := filepath.Walk(to, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			size += info.Size()
		}
		return err
	})
	if err != nil || size > maxForever {
		t.Fatalf("%s has %d bytes, %v", to, size, err)
	}
}
