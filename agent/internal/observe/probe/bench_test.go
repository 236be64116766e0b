package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
)

const serverVariable = "SALVE_PROBE_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

// serve is a server of everything in a process of its own, so that its CPU time is not the probes'.
func serve() {
	plain, secure := httptest.NewServer(http.HandlerFunc(fine)), httptest.NewTLSServer(http.HandlerFunc(fine))
	rpc := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(rpc, health.NewServer())
	grpcPort, err1 := net.Listen("tcp", "127.0.0.1:0")
	redis, err2 := net.Listen("tcp", "127.0.0.1:0")
	dns, err3 := net.ListenPacket("udp", "127.0.0.1:0")
	if err := errors.Join(err1, err2, err3); err != nil {
		panic(err)
	}
	go func() { _ = rpc.Serve(grpcPort) }()
	go serveRedis(redis)
	go serveDNS(dns)
	fmt.Println(plain.URL, secure.Listener.Addr(), grpcPort.Addr(), redis.Addr(), dns.LocalAddr())
	select {}
}

func serveRedis(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			in := bufio.NewReader(c)
			for line, err := in.ReadString('\n'); err == nil; line, err = in.ReadString('\n') {
				if line == "PING\r\n" {
					_, _ = io.WriteString(c, "+PONG\r\n")
				}
			}
		}()
	}
}

func serveDNS(l net.PacketConn) {
	b := make([]byte, 512)
	for {
		n, from, err := l.ReadFrom(b)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) == nil {
			m.Response = true
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{},
			}}
			raw, _ := m.Pack()
			_, _ = l.WriteTo(raw, from)
		}
	}
}

// startServer starts it, and returns a target for each kind of probe.
func startServer(b *testing.B) map[string]Target {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serverVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	text, err := bufio.NewReader(out).ReadString('\n')
	at := strings.Fields(text)
	if err != nil || len(at) != 5 {
		b.Fatal(text, err)
	}
	return map[string]Target{
		"http": {HTTP: at[0]}, "tcp": {TCP: at[1]}, "tls": {TLS: at[1]}, "grpc": {GRPC: at[2]}, "redis": {Redis: at[3]},
		"dns": {DNS: "shop.test", Server: at[4]},
	}
}

// cpuTime is what this process has used, user and system.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkProbeHTTP asks one after another without a pause: the bare cost of a question.
func BenchmarkProbeHTTP(b *testing.B) {
	target := startServer(b)["http"]
	h, url := newAsked(b, target), target.HTTP
	transport := &http.Transport{ReadBufferSize: 1024, WriteBufferSize: 512, DisableCompression: true}
	asks := map[string]func() error{
		"salve": func() error { return h.ask(false).err },
		"transport": func() error { // what net/http itself would take
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			res, err := transport.RoundTrip(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			_, err = io.Copy(io.Discard, res.Body)
			return err
		},
	}
	for _, name := range []string{"salve", "transport"} {
		b.Run(name, func(b *testing.B) { askAgain(b, asks[name]) })
	}
}

func askAgain(b *testing.B, ask func() error) {
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		if err := ask(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/1e3, "µs-cpu/op")
}

// BenchmarkProbeKind is the same for the other protocols. That of TLS is a handshake each time, and of a certificate
// that nobody trusts.
func BenchmarkProbeKind(b *testing.B) {
	targets := startServer(b)
	p := agenttest.PgBouncer(b)
	targets["postgres"] = Target{Postgres: p.Postgres, Database: p.Database, User: p.User}
	for _, kind := range []string{"tcp", "grpc", "dns", "redis", "postgres", "tls"} {
		b.Run(kind, func(b *testing.B) {
			a, err := newAsker(targets[kind].normal(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer a.close()
			askAgain(b, func() error {
				if got := a.ask(false); !got.answered {
					return got.err
				}
				return nil
			})
		})
	}
}

// BenchmarkProbeSchedule runs probes at one a second, as an agent at rest does, and tells what one of them costs with
// its share of the wake-ups. An operation is a second.
func BenchmarkProbeSchedule100(b *testing.B) {
	runSchedule(b, 100, startServer(b)["http"])
}

// BenchmarkProbeSchedule200 is 200 a second, of five protocols.
func BenchmarkProbeSchedule200(b *testing.B) {
	t := startServer(b)
	runSchedule(b, 200, t["http"], t["tcp"], t["grpc"], t["dns"], t["redis"])
}

func runSchedule(b *testing.B, n int, kinds ...Target) {
	answers := make(chan int, 1024)
	s := New(Options{Options: source.Options{
		Clock: testClock{time.Now()}, Log: hclog.NewNullLogger(), Book: source.NewBook(),
		Deliver: func(batch *source.Batch) {
			told := 0
			for _, s := range batch.Samples {
				if strings.HasPrefix(s.Handle.Key.Signal, "probe.p.ok") && s.Value == 1 {
					told++
				}
			}
			answers <- told
			batch.Release()
		},
	}})
	var targets []Target
	for i := range n {
		t := kinds[i%len(kinds)]
		t.Service, t.Name = strconv.Itoa(i), "p"
		targets = append(targets, t)
	}
	s.SetTargets(targets)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()
	second := func() {
		for told := 0; told < n; {
			told += <-answers
		}
	}
	second() // connect
	second()
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuTime(b)
	for range b.N {
		second()
	}
	used := float64(cpuTime(b) - start)
	b.ReportMetric(used/float64(b.N*n)/1e3, "µs-cpu/probe")
	b.ReportMetric(100*used/float64(b.Elapsed()), "%-of-a-core")
	cancel()
	<-done
}
