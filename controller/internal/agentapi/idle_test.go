package agentapi

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
)

// Environment of the process that plays the agents: where the node is, and how many they are.
const (
	idleAddress = "SALVE_TEST_IDLE_ADDRESS"
	idleCount   = "SALVE_TEST_IDLE_COUNT"
)

// beIdle is the other process: so many agents that are welcomed, each on a connection of its own, and then quiet
// until its standard input ends.
func beIdle(address string) error {
	n, err := strconv.Atoi(os.Getenv(idleCount))
	if err != nil {
		return err
	}
	lines, err := transport.New(transport.Options{})
	if err != nil {
		return err
	}
	for i := range n {
		conn, err := lines.Client(context.Background(), address)
		if err != nil {
			return err
		}
		st, err := agentpb.NewLineClient(conn).Connect(context.Background())
		if err != nil {
			return err
		}
		h := helloOf(fmt.Sprintf("%032d", i))
		h.Services[0].Service = fmt.Sprintf("service-%d", i/5)
		if err := st.Send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: h}}); err != nil {
			return err
		}
		for range 2 {
			m, err := st.Recv()
			if err != nil || m.GetWelcome() == nil && m.GetStanding() == nil {
				return fmt.Errorf("agent %d: %v, %w", i, m, err)
			}
		}
		go func() {
			for {
				if _, err := st.Recv(); err != nil {
					return
				}
			}
		}()
		if err := st.Send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Ping{Ping: &agentpb.Ping{N: 1}}}); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// BenchmarkIdleSessions measures what an idle session costs the controller: all of it, gRPC's part among it.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 500
	lines, err := transport.New(transport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		g, l, err := lines.GRPC(b.Context(), "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		r := build(b).lead()
		r.server.Register(g)
		go func() { _ = g.Serve(l) }()
		before := inUse()
		others := exec.Command(os.Args[0])
		others.Env = append(os.Environ(), idleAddress+"="+l.Addr().String(), idleCount+"="+strconv.Itoa(n))
		others.Stderr = os.Stderr
		in, err := others.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := others.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := others.Start(); err != nil {
			b.Fatal(err)
		}
		if text, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(text) != "ready" {
			b.Fatalf("the agents said %q, %v", text, err)
		}
		if got := len(r.server.sessions.all()); got != n {
			b.Fatalf("%d sessions", got)
		}
		after := inUse()
		b.ReportMetric(float64(after.memory-before.memory)/n, "B/session")
		b.ReportMetric(float64(after.goroutines-before.goroutines)/n, "goroutines/session")
		in.Close()
		_ = others.Wait()
		g.Stop()
		r.stop()
	}
}

type usage struct{ memory, goroutines int64 }

// inUse is the memory that is in use once garbage is collected.
func inUse() usage {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return usage{int64(m.HeapInuse + m.StackInuse), int64(runtime.NumGoroutine())}
}
