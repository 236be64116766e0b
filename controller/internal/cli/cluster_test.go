package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// How long the real cluster may take for what it does by itself, on a busy machine.
const clusterPatience = time.Minute

// TestCluster runs the transcripts of testdata/cluster against real controllers: three processes with the
// built program, each on a loopback address of its own.
func TestCluster(t *testing.T) {
	p := onCluster(t)
	p.Dir = "testdata/cluster"
	testscript.Run(t, p)
}

// onCluster is what scripts with real controllers need.
func onCluster(t *testing.T) testscript.Params {
	bin := buildController(t)
	return testscript.Params{
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Setenv("SUDO_USER", "ann")
			c := &cluster{bin: bin, dir: e.WorkDir, nodes: map[string]*controllerProcess{},
				agents: map[string]*fakeAgent{}}
			e.Values[theCluster] = c
			e.Defer(c.stop)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster": newCluster, "start": startNode, "crash": crashNode, "term": termNode, "wipe": wipeNode,
			"await": await, "get": get, "exits": exits, "agent": joinAgent, "alarm": falseAlarm,
		},
	}
}

// buildController builds the program that is shipped.
func buildController(t *testing.T) string {
	bin := filepath.Join(t.TempDir(), "salve-controller")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "github.com/salveops/salve/controller/cmd/salve-controller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build controller: %v\n%s", err, out)
	}
	return bin
}

// theCluster is where a script keeps its cluster.
const theCluster = "cluster"

// cluster are the controllers of one script.
type cluster struct {
	bin, dir string
	net      string // the first three numbers of the nodes' addresses
	lost     string // the node that ended last
	tls      string // block of every node's file, "": plain text
	nodes    map[string]*controllerProcess
	agents   map[string]*fakeAgent
}

// controllerProcess is one running controller.
type controllerProcess struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

// lockedBuffer keeps what a process says until somebody wants to know.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func theClusterOf(ts *testscript.TestScript) *cluster { return ts.Value(theCluster).(*cluster) }

// newCluster is `cluster N`: it starts the nodes c1 to cN, which form a cluster, in place of the nodes
// before, and sets $SALVE_ADDRESS to all of them.
func newCluster(ts *testscript.TestScript, _ bool, args []string) {
	c := theClusterOf(ts)
	c.stop()
	n := len("123"[:int(args[0][0]-'0')])
	c.net = fmt.Sprintf("127.%d.%d", 1+rand.IntN(250), rand.IntN(250))
	c.dir = filepath.Join(ts.Getenv("WORK"), c.net)
	var addresses []string
	for i := 1; i <= n; i++ {
		ts.Check(c.start(fmt.Sprintf("c%d", i), n, n))
		addresses = append(addresses, fmt.Sprintf("%s.%d:7600", c.net, i))
	}
	ts.Setenv("NET", c.net)
	ts.Setenv("SALVE_ADDRESS", strings.Join(addresses, ","))
	awaitOutput(ts, `^configuration  [0-9a-f]{12}$`, "salve", "status") // the leader has taken its office
}

// startNode is `start NODE [joins]`: it starts a node again with the data that it has, or one that waits to
// be taken in. "lost" is the one that ended last.
func startNode(ts *testscript.TestScript, _ bool, args []string) {
	expect := 3
	if len(args) == 2 {
		expect = 0
	}
	c := theClusterOf(ts)
	name := args[0]
	if name == "lost" {
		name = c.lost
	}
	ts.Check(c.start(name, expect, 3))
}

// start starts a node. Its number is the last of its address.
func (c *cluster) start(name string, expect, peers int) error {
	dir := filepath.Join(c.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var list []string
	for i := 1; i <= peers; i++ {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("c%d=%s.%d:7601", i, c.net, i)))
	}
	ip := c.net + "." + strings.TrimPrefix(name, "c")
	if expect == 0 {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("%s=%s:7601", name, ip)))
	}
	file := filepath.Join(dir, "controller.hcl")
	text := fmt.Sprintf(`node = %q
data = %q
listen {
  grpc = "%s:7600"
  raft = "%s:7601"
  http = "%s:7602"
}
raft {
  bootstrap_expect = %d
  peers            = [%s]
}
notifier "journald" "log" {}
escalation "default" {
  step {
    notify = ["journald.log"]
  }
}
service "checkout" {
  max_unavailable = 1
}
%s`, name, filepath.Join(dir, "data"), ip, ip, ip, expect, strings.Join(list, ", "), c.tls)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	p := &controllerProcess{cmd: exec.Command(c.bin, "--config", file), log: &lockedBuffer{}}
	p.cmd.Stderr, p.cmd.Stdout = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves none behind
	c.nodes[name] = p
	return p.cmd.Start()
}

// stop ends all nodes, and the agents.
func (c *cluster) stop() {
	for name, a := range c.agents {
		a.stop()
		delete(c.agents, name)
	}
	for name, p := range c.nodes {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()         // by that signal
		delete(c.nodes, name)
	}
}

// crashNode is `crash NODE…`: it ends them as a power cut would.
func crashNode(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		theClusterOf(ts).end(ts, leader(ts, name), syscall.SIGKILL)
	}
}

// termNode is `term NODE`: it ends a node as systemd would, which must go well.
func termNode(ts *testscript.TestScript, _ bool, args []string) {
	if err := theClusterOf(ts).end(ts, leader(ts, args[0]), syscall.SIGTERM); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

// end ends a node and says how that went.
func (c *cluster) end(ts *testscript.TestScript, name string, signal os.Signal) error {
	p := c.nodes[name]
	if p == nil {
		ts.Fatalf("node %s does not run", name)
	}
	delete(c.nodes, name)
	c.lost = name
	ts.Check(p.cmd.Process.Signal(signal))
	over := time.AfterFunc(clusterPatience, func() { _ = p.cmd.Process.Kill() })
	defer over.Stop()
	err := p.cmd.Wait()
	if err != nil && signal != syscall.SIGKILL {
		ts.Logf("%s", p.log)
	}
	return err
}

// leader gives a node its name: "leader" is who leads.
func leader(ts *testscript.TestScript, name string) string {
	if name != "leader" {
		return name
	}
	awaitOutput(ts, `node c\d leads`, "salve", "status")
	return leads.FindStringSubmatch(ts.ReadFile("stdout"))[1]
}

var leads = regexp.MustCompile(`node (c\d) leads`)

// wipeNode is `wipe NODE`: its disk is lost.
func wipeNode(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.RemoveAll(filepath.Join(theClusterOf(ts).dir, args[0], "data")))
}

// await is `await REGEXP PROGRAM [ARG…]`: it runs a program until its output matches.
func await(ts *testscript.TestScript, _ bool, args []string) {
	awaitOutput(ts, args[0], args[1], args[2:]...)
}

func awaitOutput(ts *testscript.TestScript, want, program string, args ...string) {
	pattern, err := regexp.Compile("(?m)" + want)
	ts.Check(err)
	for begun := time.Now(); ; {
		_ = ts.Exec(program, args...) // whatever it says of itself, its output counts
		if pattern.MatchString(ts.ReadFile("stdout") + ts.ReadFile("stderr")) {
			return
		}
		if time.Since(begun) > clusterPatience {
			for name, p := range theClusterOf(ts).nodes {
				ts.Logf("%s:\n%s", name, p.log)
			}
			ts.Fatalf("%s %s does not say %q", program, strings.Join(args, " "), want)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// get is `get CODE URL [TEXT]`: it asks until a node answers with that code, and text in it.
func get(ts *testscript.TestScript, _ bool, args []string) {
	want := strings.Join(args[2:], " ")
	var last string
	for begun := time.Now(); time.Since(begun) < clusterPatience; <-time.After(100 * time.Millisecond) {
		answer, err := http.Get(args[1])
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(answer.Body)
		err = errors.Join(err, answer.Body.Close())
		last = fmt.Sprint(answer.StatusCode, " ", string(body), err)
		if err == nil && fmt.Sprint(answer.StatusCode) == args[0] && strings.Contains(string(body), want) {
			return
		}
	}
	ts.Fatalf("%s does not answer %s with %q: %s", args[1], args[0], want, last)
}
