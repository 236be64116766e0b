package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/salveops/salve/controller/internal/adminapi/admintest"
	"github.com/salveops/salve/controller/internal/cli"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/proto/logpb"
)

// TestMain makes the test binary answer as `salve` within scripts.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"salve": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(cli.Run(ctx, cli.Options{
			Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv,
		}))
	}})
}

// leakless are tests after which no goroutine may be left.
type leakless struct{ *testing.M }

// Run implements testscript.TestingM.
func (l leakless) Run() int {
	code := l.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	return code
}

// TestScripts runs the transcripts of testdata/script against the API that a real agent serves, with
// a made-up host behind it. The agent is a program of its own, because nothing here may link it.
func TestScripts(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	fake := buildAgent(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each of a hundred runs waits a second under -race
			e.Setenv("ME", me.Username)
			e.Setenv("SALVE_AGENT_SOCKET", filepath.Join(e.WorkDir, "agent.sock"))
			e.Values[theNode] = &admintest.Server{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"agent":      func(ts *testscript.TestScript, _ bool, args []string) { startAgent(ts, fake, args) },
			"controller": startController,
			"node":       node,
			"exits":      exits,
			"recording":  writeRecording,
			"damage":     damage,
		},
	})
}

// buildAgent builds the agent with the made-up host.
func buildAgent(t *testing.T) string {
	bin := filepath.Join(t.TempDir(), "fakeagent")
	const source = "github.com/salveops/salve/agent/internal/local/localtest/fakeagent"
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the product is built, also when this test looks for races
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build fake agent: %v\n%s", err, out)
	}
	return bin
}

// startAgent is `agent [FLAG…]`: it starts an agent on the script's socket and stops it at its end.
func startAgent(ts *testscript.TestScript, bin string, args []string) {
	cmd := exec.Command(bin, append([]string{"-socket", ts.Getenv("SALVE_AGENT_SOCKET")}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		// It may have ended; Wait says how.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "fake agent:", err)
		}
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		ts.Fatalf("agent does not get ready: %v", err)
	}
}

// writeRecording is `recording FILE SECOND`: it writes what an agent would record from that second since 1970 on. A
// probe of the service shop fails from the tenth minute to the fifteenth, and the agent had an incident then.
func writeRecording(ts *testscript.TestScript, _ bool, args []string) {
	start, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	var data []byte
	b := recording.NewBlock()
	store := series.New()
	unit := care.OpenVitals(store, "shop.service")
	for i := range int64(1800) {
		at, boot := time.Unix(start+i, 0), time.Hour+time.Duration(i)*time.Second
		if !b.Tick(at) {
			data, b = b.Append(data), recording.NewBlock()
			b.Tick(at)
		}
		ok, open := 1.0, 0.0
		if i >= 600 && i < 900 {
			ok = 0
		}
		if i >= 612 && i < 910 {
			open = 1
		}
		unit.Set(boot, care.Life{Name: "shop.service", Active: "active"})
		for _, s := range store.All() {
			b.AddSeries(s, boot)
		}
		b.Add(series.Key{Signal: "probe.health.ok", Of: "shop"}, ok)
		b.Add(series.Key{Signal: recording.IncidentOpen, Of: "shop"}, open)
		b.Add(series.Key{Signal: recording.IncidentOpen}, 0)
	}
	file := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
	ts.Check(os.WriteFile(file, b.Append(data), 0o600))
}

// damage is `damage FILE BYTE`: it changes that byte.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	data := []byte(ts.ReadFile(args[0]))
	data[at] ^= 0xff
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// theNode is where a script keeps its controller.
const theNode = "node"

// startController is `controller`: it starts a node with a made-up fleet, of which $SALVE_ADDRESS says where
// it is, and stops it at the script's end.
func startController(ts *testscript.TestScript, _ bool, _ []string) {
	w, err := admintest.NewWorld()
	ts.Check(err)
	s, err := admintest.Serve(w)
	ts.Check(err)
	ts.Defer(s.Stop)
	*ts.Value(theNode).(*admintest.Server) = *s
	ts.Setenv("SALVE_ADDRESS", s.Address)
}

// node is `node WHAT`: something happens to the controller or its fleet.
func node(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(theNode).(*admintest.Server)
	switch what := strings.Join(args, " "); what {
	case "follows nobody":
		s.Follow("", "", 42*time.Second)
	case "leads":
		s.Lead()
	case "is cut off":
		s.CutOff()
	case "loses the next answer":
		s.LoseNext()
	case "misses c2":
		s.Unheard("c2", time.Minute)
	case "stops":
		s.Stop()
	case "hosts confirm":
		for _, h := range []*admintest.Host{s.Web1, s.Web2, s.Web3, s.DB1} {
			ts.Check(h.Confirm())
		}
	case "repair fails":
		ts.Check(s.Web3.Settle(s.Open, logpb.Settlement_SETTLEMENT_UNKNOWN))
	case "another machine says that it is web-1":
		ts.Check(s.Stranger())
	case "checkout is slow everywhere":
		ts.Check(s.Outbreak())
	default:
		address, ok := strings.CutPrefix(what, "follows c2 at ")
		if !ok {
			ts.Fatalf("node cannot do this: %s", what)
		}
		s.Follow("c2", address, 30*time.Millisecond)
	}
}

// exits is `exits CODE PROGRAM [ARG…]`: it runs a program that has to end with that code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got := fmt.Sprint(code); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}
