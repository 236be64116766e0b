package scrape

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/require"
)

const serverVariable = "SALVE_SCRAPE_TEST_SERVER"

// serve shows a page of 5,000 series in a process of its own, and tells under /count how often.
func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(os.Stdout, l.Addr().String()+"\n")
	page, shown := large(), atomic.Int64{}
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		shown.Add(1)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, shown.Load()) })
	_ = http.Serve(l, mux)
}

func startServer(b *testing.B) (address string) {
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
	if address, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// shown is how often the server has shown its page.
func shown(b *testing.B, address string) int {
	res, err := http.Get("http://" + address + "/count")
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	n, err := strconv.Atoi(string(text))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuTime is what a process has used, user and system.
func cpuTime(b *testing.B, pid int) (total time.Duration) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		b.Fatalf("no threads: %v", err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		total += time.Duration(ns)
	}
	return total
}

// BenchmarkBesidePrometheus reads the same page of 5,000 series ten times a second: this package, which
// makes four figures of 400 of them, and Debian's Prometheus, which keeps all of them. An operation is a
// page.
func BenchmarkBesidePrometheus(b *testing.B) {
	const every = 100 * time.Millisecond
	address := startServer(b)
	pages := func(b *testing.B, pid int) {
		start := shown(b, address)
		agenttest.Eventually(b, func() bool { return shown(b, address) >= start+5 }, "it runs evenly")
		used, start := cpuTime(b, pid), shown(b, address)
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for b.Loop() {
			<-ticks.C
		}
		n := max(1, shown(b, address)-start)
		b.ReportMetric(float64(cpuTime(b, pid)-used)/float64(n)/1e3, "µs-cpu/page")
	}
	b.Run("salve", func(b *testing.B) {
		c, err := clock.System()
		if err != nil {
			b.Fatal(err)
		}
		w := New(source.Options{Clock: c, Log: hclog.NewNullLogger(), Book: source.NewBook(), Deliver: (*source.Batch).Release})
		w.SetTargets([]Target{{Service: "x", Name: "app", URL: "http://" + address + "/metrics", Every: every,
			Timeout: every, Metrics: golden(b, 10*time.Second)}})
		sourcetest.Run(b, w)
		pages(b, os.Getpid())
	})
	b.Run("prometheus", func(b *testing.B) {
		dir := b.TempDir()
		config := filepath.Join(dir, "prometheus.yml")
		text := fmt.Sprintf("scrape_configs:\n- job_name: x\n  scrape_interval: 100ms\n  scrape_timeout: 100ms\n"+
			"  static_configs: [{targets: [%q]}]\n", address)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		pages(b, start(b, "Prometheus", "/usr/bin/prometheus", "--config.file="+config, "--storage.tsdb.path="+dir,
			"--web.listen-address="+require.Port(b), "--log.level=error"))
	})
}
