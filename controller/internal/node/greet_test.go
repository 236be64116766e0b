package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

func someGreeting() *greeting {
	return &greeting{Kind: kindRaft, Name: "ctl-1", Identity: strings.Repeat("a", 32), Cluster: "c", State: true,
		Format: 1, Level: 1, Wants: "ctl-2/b", Seen: []raft.ServerID{"ctl-1/a", "ctl-2/b"}}
}

// TestGreeting: what is written is read, and not a byte of what follows.
func TestGreeting(t *testing.T) {
	var b bytes.Buffer
	if err := someGreeting().write(&b); err != nil {
		t.Fatal(err)
	}
	b.WriteString("and then Raft")
	got, err := readGreeting(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someGreeting(), got); diff != "" {
		t.Error(diff)
	}
	if b.String() != "and then Raft" {
		t.Errorf("left %q", b.String())
	}
	long := someGreeting()
	long.No = strings.Repeat("x", maxGreeting)
	if err := long.write(io.Discard); err == nil {
		t.Error("wrote one that nobody reads")
	}
}

// TestOddGreetings: strangers, other versions, and ends in the middle.
func TestOddGreetings(t *testing.T) {
	for text, want := range map[string]error{
		"GET / HTTP/1.1\r\n\r\n":                errGreeting,
		"SALVEHI\n\x02\x00\x02{}":               errVersion,
		"SALVEHI\n\x01\xff\xff{}":               errGreeting,
		"SALVEHI\n\x01\x00\x02{}":               errGreeting, // nobody's
		"SALVEHI\n\x01\x00\x02[]":               errGreeting,
		"SALVEHI\n\x01\x00\x09{}":               io.ErrUnexpectedEOF,
		"SALV":                                  io.ErrUnexpectedEOF,
		"":                                      io.EOF,
		"SALVEHI\n\x01\x00\x0c{\"name\":\"@\"}": errGreeting,
	} {
		if _, err := readGreeting(strings.NewReader(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestOtherVersionIsTold: a program of another version learns why, and strangers learn nothing.
func TestOtherVersionIsTold(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.start("ctl-1")
	say := func(text string) string {
		conn, err := net.Dial("tcp", f.lines["ctl-1"].address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(conn) // ended by a reset if not all was read
		return string(b)
	}
	if got := say("SALVEHI\n\x02\x00\x00"); !strings.Contains(got, "upgrade the older one") {
		t.Errorf("another version hears %q", got)
	}
	if got := say("GET / HTTP/1.1\r\n\r\n"); got != "" {
		t.Errorf("a stranger hears %q", got)
	}
	f.fill(1)
}

// TestWhoIsLetIn: Raft speaks only with members of the cluster that mean this node.
func TestWhoIsLetIn(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.start("ctl-1")
	f.fill(1)
	n := f.nodes["ctl-1"]
	ours := n.self.belongs()
	member := func(change func(*greeting)) *greeting {
		g := &greeting{Kind: kindRaft, Name: "ctl-2", Identity: strings.Repeat("b", 32), Cluster: ours, Format: 1, Level: 1, Wants: n.id()}
		change(g)
		return g
	}
	tests := []struct {
		name, want string
		change     func(*greeting)
	}{
		{"a member", "", func(*greeting) {}},
		{"one of another cluster", "another cluster", func(g *greeting) { g.Cluster = "other" }},
		{"one of no cluster", "another cluster", func(g *greeting) { g.Cluster = "" }},
		{"one who means the node that was here", "salve raft remove ctl-1", func(g *greeting) { g.Wants = idOf("ctl-1", "lost") }},
		{"one who means somebody else", "this is ctl-1", func(g *greeting) { g.Wants = idOf("ctl-9", "x") }},
		{"one with this node's name", "two nodes are named ctl-1", func(g *greeting) { g.Name = "ctl-1" }},
		{"one with a newer log", "upgrade it", func(g *greeting) { g.Level = 99 }},
		{"one with other wishes", "does not know", func(g *greeting) { g.Kind = "poem" }},
		{"a claim by another cluster", "another cluster", func(g *greeting) { g.Kind, g.Cluster = kindClaim, "other" }},
		{"a claim by its own", "", func(g *greeting) { g.Kind = kindClaim }},
		{"a look", "", func(g *greeting) { g.Kind, g.Wants = kindLook, "" }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := n.answer(member(tc.change)).No
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("the answer is %q, want %q in it", got, tc.want)
			}
		})
	}
}

// TestDialMeansSomebody: Raft reaches whom it means, or nobody.
func TestDialMeansSomebody(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2")
	f.start("ctl-1", "ctl-2")
	f.agree(f.fill(1))
	one, two := f.nodes["ctl-1"], f.nodes["ctl-2"]
	for target, want := range map[raft.ServerAddress]string{
		meant(two.id(), raft.ServerAddress(two.Address())):              "",
		meant(two.id(), raft.ServerAddress(one.Address())):              "this is ctl-1",
		meant(idOf("ctl-2", "lost"), raft.ServerAddress(two.Address())): "the old data are lost",
		raft.ServerAddress(two.Address()):                               "no ID",
	} {
		conn, err := one.line.Dial(target, patience)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", target, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := one.line.ask(ctx, two.Address(), kindLook, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("asked though nobody waits: %v", err)
	}
}

// FuzzGreeting: no bytes make it panic, and what it reads it can write.
func FuzzGreeting(f *testing.F) {
	var b bytes.Buffer
	if err := someGreeting().write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := readGreeting(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := g.write(&again); err != nil && len(b) < maxGreeting/8 { // escapes make it longer
			t.Fatal(err)
		}
	})
}
