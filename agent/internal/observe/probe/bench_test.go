package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/internal/observe/schedule"
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

// serve is an HTTP server in a process of its own, so that its CPU time is not the probes'.
func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(os.Stdout, l.Addr().String()+"\n")
	_ = http.Serve(l, http.HandlerFunc(fine))
}

func startServer(b *testing.B) string {
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
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(address)
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
	url := startServer(b)
	h := newAsked(b, Target{HTTP: url})
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
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			start := cpuTime(b)
			for b.Loop() {
				if err := asks[name](); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/1e3, "µs-cpu/op")
		})
	}
}

// BenchmarkProbeSchedule runs a hundred probes at one a second, as an agent at rest does, and tells what
// one of them costs with its share of the wake-ups. An operation is a second.
func BenchmarkProbeSchedule100(b *testing.B) {
	url := startServer(b)
	answers := make(chan int, 1024)
	s := New(Options{
		Clock: testClock{time.Now()}, Log: hclog.NewNullLogger(), Book: source.NewBook(), Grid: schedule.Grid{},
		Deliver: func(batch *source.Batch) {
			answers <- len(batch.Samples) / 3
			batch.Release()
		},
	})
	var targets []Target
	for i := range 100 {
		targets = append(targets, Target{Service: strconv.Itoa(i), Name: "health", HTTP: url})
	}
	s.SetTargets(targets)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()
	second := func() {
		for n := 0; n < 100; {
			n += <-answers
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
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/100/1e3, "µs-cpu/probe")
	cancel()
	<-done
}
