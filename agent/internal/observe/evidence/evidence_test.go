package evidence

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
)

func TestTopOfThisHost(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	go func() { // make this process the busiest
		for {
			select {
			case <-stop:
				return
			default: // on and on: CPU is to be burnt
				continue
			}
		}
	}()
	const most = 30 // of a machine that may have other work, too
	var byCPU, byMemory []Process
	agenttest.Eventually(t, func() (seen bool) { // on a busy machine it may have no turn between two looks
		var err error
		if byCPU, byMemory, err = Top(t.Context(), "", most); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(byCPU, func(p Process) bool { return p.PID == os.Getpid() && p.CPU > 0 })
	}, "this busy process is seen")
	if len(byCPU) == 0 || len(byCPU) > most || len(byMemory) > most {
		t.Fatalf("%d and %d processes", len(byCPU), len(byMemory))
	}
	i := slices.IndexFunc(byCPU, func(p Process) bool { return p.PID == os.Getpid() })
	if byCPU[i].Memory == 0 || byCPU[i].Threads == 0 {
		t.Errorf("of this busy process too little is seen: %+v", byCPU)
	}
	if !slices.IsSortedFunc(byCPU, func(a, b Process) int { return int(1e6*b.CPU) - int(1e6*a.CPU) }) {
		t.Errorf("not by CPU: %+v", byCPU)
	}
	if !slices.IsSortedFunc(byMemory, func(a, b Process) int { return int(b.Memory>>12) - int(a.Memory>>12) }) {
		t.Errorf("not by memory: %+v", byMemory)
	}
}

func TestTopEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Top(ctx, "", 5); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, _, err := Top(t.Context(), t.TempDir(), 5); err == nil {
		t.Error("a host without /proc has processes")
	}
}

func TestSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got, err := Sockets(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(got, func(s States) bool { return s.State == "listen" && s.Count > 0 }) {
		t.Errorf("this listener is not seen: %+v", got)
	}

	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc/net"), 0o755); err != nil {
		t.Fatal(err)
	}
	const head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
	const line = "   0: 0100007F:1F90 00000000:0000 "
	text := head + line + "0A 0\n" + line + "06 0\n" + line + "06 0\n" + line + "FF 0\n" + "short\n"
	if err := os.WriteFile(filepath.Join(root, "proc/net/tcp"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err = Sockets(t.Context(), root)
	if diff := cmp.Diff([]States{{"time-wait", 2}, {"listen", 1}}, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
}

func TestOOMLines(t *testing.T) {
	records := []string{
		"6,1,1000000,-;booted\n",
		"4,2,2000000,-;app invoked oom-killer: gfp_mask=0x1\n SUBSYSTEM=x\n",
		"EPIPE",
		"3,3,3000000,-;Memory cgroup out of memory: Killed process 42 (app)\n",
		"nonsense",
		"3,4,4000000,-,more=fields;Out of memory: Killed process 43 (\xff)\n",
	}
	i := 0
	read := func(buf []byte) (int, error) {
		if i == len(records) {
			return 0, unix.EAGAIN
		}
		i++
		if records[i-1] == "EPIPE" {
			return 0, unix.EPIPE
		}
		return copy(buf, records[i-1]), nil
	}
	got, err := oomLines(t.Context(), 2, read)
	want := []Line{
		{3 * time.Second, "Memory cgroup out of memory: Killed process 42 (app)"},
		{4 * time.Second, "Out of memory: Killed process 43 (?)"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
}

func TestOOMOfThisHost(t *testing.T) {
	lines, err := OOM(t.Context(), 5)
	if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	if len(lines) > 5 {
		t.Errorf("%d lines", len(lines))
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("42 (a) b) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 3 0 99 1000 250 0"))
	f.Add([]byte("   0: 0100007F:1F90 00000000:0000 0A 00000000"))
	f.Add([]byte("6,1,1000000,-;booted\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseProcess(b)
		if i, ok := parseState(b); ok && (i < 0 || i >= len(states)) {
			t.Errorf("state %d", i)
		}
		if l, ok := parseRecord(b); ok && l.At < 0 {
			t.Errorf("at %v", l.At)
		}
	})
}

func TestParseProcess(t *testing.T) {
	p, ok := parseProcess([]byte("42 (a) b) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 3 0 99 1000 250 0"))
	want := Process{Name: "a) b", Threads: 3, Memory: 250 * uint64(os.Getpagesize()), ticks: 150}
	if !ok || p != want {
		t.Errorf("%+v, %v; want %+v", p, ok, want)
	}
}
