package etcd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/load"
	"github.com/salveops/salve/packaging/lab/rig"
)

const binary = "/usr/bin/etcd"

// member starts Debian's etcd, alone, and returns its address.
func member(t *testing.T) string {
	t.Helper()
	_, err := os.Stat(binary)
	agenttest.Require(t, "etcd", err == nil, "install the Debian package etcd-server")
	ports, err := rig.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	client, peer := "http://"+ports[0], "http://"+ports[1]
	p, err := rig.StartProgram([]string{binary, "--name", "m0", "--data-dir", filepath.Join(dir, "data"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "m0=" + peer,
	}, os.Environ(), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return ports[0]
}

// Against the real etcd: puts are taken, have the promised size, and a member says who leads.
func TestPutsToEtcd(t *testing.T) {
	c, err := Dial(t.Context(), member(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var st Status
	agenttest.Eventually(t, func() bool {
		st, err = c.Status(t.Context())
		return err == nil && st.Leader != 0
	}, "etcd leads")
	if st.Leader != st.Member || st.Term == 0 || st.Index == 0 {
		t.Errorf("a member alone says %+v", st)
	}
	callers, err := Callers([]*Client{c}, 8, 8, 200)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for puts := 0; puts == 0; { // a busy disk may take longer than one moment for the first
		f, err := load.Drive(ctx, callers, load.Plan{For: 200 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		puts = len(f.Took(load.Put))
	}
	if err := c.Put(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "key is not provided") {
		t.Errorf("a put without a key: %v", err)
	}
}

func TestPutFailsWithoutEtcd(t *testing.T) {
	c, err := Dial(t.Context(), "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.Put(ctx, []byte("k"), []byte("v")); err == nil {
		t.Error("nobody took the put, and it went well")
	}
}

func TestSizes(t *testing.T) {
	for _, size := range []int{40, 120, 140, 160, 200, 400} {
		callers, err := Callers([]*Client{nil}, 3, 3, size)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range callers {
			p := c.(*puts)
			if got := len((&putRequest{key: p.key, value: p.value}).encode()); got < size-1 || got > size {
				t.Errorf("a put of %d bytes, not %d", got, size)
			}
		}
	}
	if _, err := Callers([]*Client{nil}, 300, 256, 200); err == nil {
		t.Error("300 callers fit on one connection of 256")
	}
}

// Bytes as etcd 3.4 sent them.
func TestStatusDecodes(t *testing.T) {
	var r statusResponse
	err := r.decode([]byte("\n\b\b\x01\x10\x02\x18\a \x03\x12\x063.4.23\x18\x80\x01 \x02(\x09" + "0\x03"))
	if err != nil || r.header.member != 2 || r.header.revision != 7 || r.leader != 2 || r.index != 9 || r.term != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"\n\x08\x08", "\xff", "\x20", "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if err := r.decode([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("\n\b\b\x01\x10\x02\x18\a \x03"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = (&statusResponse{}).decode(b)
		_ = (&putResponse{}).decode(b)
	})
}
