//go:build lab

package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/packaging/lab/rig"
)

// fleet is everything that runs. One fleet serves all tests as long as they leave it whole.
type fleet struct {
	t    testing.TB // the test that has it now
	lab  *booted.Lab
	ctl  []*booted.Host // the controller's nodes
	web  []*booted.Host // with an agent and the shop; the last one has control groups v1
	desk *booted.Host   // where a person sits, with nothing but salve
	more []string       // packages of Debian's that its hosts have and others don't

	pager *rig.Pager
	shops map[*booted.Host]*rig.Patient
	watch *watcher
	audit *auditor

	offset atomic.Int64 // of all wall clocks, nanoseconds

	start time.Time
	mu    sync.Mutex
	story []string // what was done to it, and when
}

const (
	shop     = "shop.service"
	shopPort = "8080"
)

// dataDisk is how many MiB of a second disk the hosts with a shop have: on one of them is a database.
var dataDisk = [4]int{2: 192}

// scratch is for what all tests share.
var scratch string

// shared is the fleet, nil while there is none.
var shared *fleet

// seed decides whatever is decided by chance.
var seed = rand.Uint64N(1e9)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if text := os.Getenv("SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, "SEED:", err)
			return 2
		}
		seed = n
	}
	fmt.Printf("seed %d (SEED=%[1]d repeats it)\n", seed)
	dir, err := os.MkdirTemp("", "salve-scenario-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	scratch = dir
	go interrupted()
	code := m.Run()
	if shared != nil {
		err = shared.close()
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// running are the hosts that run, nil while there are none.
var running atomic.Pointer[booted.Lab]

// interrupted takes the hosts down when a person ends the tests.
func interrupted() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	fmt.Fprintln(os.Stderr, <-signals, "- the hosts are taken down")
	if lab := running.Load(); lab != nil {
		_ = lab.Close() // what is left then, the next lab sweeps up
	}
	_ = os.RemoveAll(scratch)
	os.Exit(1)
}

// open gives the fleet to a test, and makes one where there is none, or where one is worn, or has other packages of Debian's than
// every host's and more. When the test ends the fleet must be whole.
func open(t *testing.T, more ...string) *fleet {
	t.Helper()
	ask(t)
	if shared != nil && (!slices.Equal(shared.more, more) || shared.worn(t)) {
		discard(t)
	}
	if shared == nil {
		shared = newFleet(t, more...)
		shared.installAll(release)
		shared.enrolAll()
	}
	return lend(t)
}

// wear is how many repairs of one host a test may find there. The more there were lately, the longer the next one
// waits: the fifth for over a minute.
const wear = 3

// worn reports whether a host has been repaired too often for tests that await further repairs.
func (f *fleet) worn(t *testing.T) bool {
	f.t = t
	return slices.ContainsFunc(f.web, func(h *booted.Host) bool {
		acted := f.sh(h, "journalctl -q -u salve-agent -g 'salve-agent.act: acted: ' | wc -l")
		n, err := strconv.Atoi(strings.TrimSpace(acted))
		f.must(err)
		return n >= wear
	})
}

// fresh gives the test a fleet whose hosts have no past.
func fresh(t *testing.T) *fleet {
	t.Helper()
	discard(t)
	return open(t)
}

// discard ends the fleet, if there is one.
func discard(t *testing.T) {
	t.Helper()
	if shared != nil {
		f := shared
		shared = nil
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// bare gives a test a fleet of hosts on which nothing is installed yet.
func bare(t *testing.T) *fleet {
	t.Helper()
	ask(t)
	discard(t)
	shared = newFleet(t)
	return lend(t)
}

// inCI reports whether a choice of all cases must do.
func inCI() bool { return os.Getenv("SCENARIOS") == "ci" }

// ask says what this machine lacks, and sees to it that a fleet which is not whole at the end serves no other test.
func ask(t *testing.T) {
	t.Helper()
	missing := booted.Missing()
	agenttest.Require(t, "a machine that can boot hosts", len(missing) == 0, strings.Join(missing, "; "))
	t.Cleanup(func() {
		if shared != nil && t.Failed() {
			shared.report()
			if err := shared.close(); err != nil {
				t.Error(err)
			}
			shared = nil
		}
	})
}

func lend(t *testing.T) *fleet {
	shared.t, shared.start, shared.story = t, time.Now(), nil
	t.Cleanup(func() {
		if !t.Failed() {
			shared.whole()
		}
	})
	return shared
}

// newFleet boots hosts and installs the packages. Nothing is set up yet.
func newFleet(t testing.TB, more ...string) *fleet {
	t.Helper()
	base, err := booted.Base(t.Context(), more...)
	if err != nil {
		t.Fatal(err)
	}
	pack(t, release)
	lab, err := booted.New(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, lab: lab, more: more, start: time.Now(), shops: map[*booted.Host]*rig.Patient{}}
	shared = f // from here on it has to be closed
	running.Store(lab)
	l, err := lab.Listen(8000)
	if err != nil {
		t.Fatal(err)
	}
	f.pager = rig.NewPagerOn(l)
	f.pager.Now = func() time.Time { return time.Now().Add(time.Duration(f.offset.Load())) }
	for i := range 3 {
		f.ctl = append(f.ctl, f.boot(fmt.Sprintf("ctl-%d", i+1), booted.HostOptions{}))
	}
	for i := range 4 {
		f.web = append(f.web, f.boot(fmt.Sprintf("web-%d", i+1), booted.HostOptions{V1: i == 3, Data: dataDisk[i]}))
	}
	f.desk = f.boot("desk", booted.HostOptions{Disk: 8})
	f.name()
	return f
}

func (f *fleet) boot(name string, o booted.HostOptions) *booted.Host {
	f.t.Helper()
	h, err := f.lab.Host(f.ctx(), name, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}

// name makes all hosts known to each other by name.
func (f *fleet) name() {
	f.t.Helper()
	hosts := "127.0.0.1 localhost\n"
	for _, h := range f.lab.Hosts() {
		hosts += h.Address + " " + h.Name + "\n"
	}
	for _, h := range f.lab.Hosts() {
		f.write(h, "/etc/hosts", hosts, 0o644)
	}
}

// ctx is not the test's own, which ends before the fleet is looked at for the last time.
func (f *fleet) ctx() context.Context { return context.Background() }

func (f *fleet) write(h *booted.Host, path, text string, mode os.FileMode) {
	f.t.Helper()
	if err := h.Write(path, text, mode); err != nil {
		f.t.Fatal(err)
	}
}

// clock puts all wall clocks so far ahead of the real one.
func (f *fleet) clock(offset time.Duration) {
	f.t.Helper()
	f.tell("all clocks jump to %v from now", offset)
	f.offset.Store(int64(offset))
	for _, h := range f.lab.Hosts() {
		if err := h.Clock(offset); err != nil {
			f.t.Fatal(err)
		}
	}
}

// sh runs a shell's line on a host, as root.
func (f *fleet) sh(h *booted.Host, line string) string {
	f.t.Helper()
	out, err := h.Exec(f.ctx(), "sh", "-c", line)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// installAll installs the packages of a release, each where it belongs.
func (f *fleet) installAll(version string) {
	f.t.Helper()
	f.giveClocks()
	f.each(f.lab.Hosts(), func(ctx context.Context, h *booted.Host) error {
		switch {
		case h == f.desk:
			return f.tryInstall(h, version, "salve")
		case slices.Contains(f.ctl, h):
			return f.tryInstall(h, version, "salve-controller")
		default:
			return f.tryInstall(h, version, "salve-agent", "salve")
		}
	})
}

// enrolAll sets the controller up, lets every host in, and returns when all is well.
func (f *fleet) enrolAll() {
	f.t.Helper()
	f.startController()
	for _, h := range f.web {
		f.addShop(h)
		f.enrol(h)
	}
	f.startWatching()
	f.awaitWell()
}

// giveClocks makes the programs of all hosts take their wall clock from the lab.
func (f *fleet) giveClocks() {
	f.t.Helper()
	for _, h := range f.lab.Hosts() {
		for _, unit := range []string{"salve-agent", "salve-controller"} {
			f.write(h, "/etc/systemd/system/"+unit+".service.d/lab.conf",
				"[Service]\nEnvironment="+booted.ClockEnvironment+"\nBindReadOnlyPaths="+booted.BootBind+"\n", 0o644)
		}
	}
}

// startController makes the authority and the certificates of the three nodes, and starts them.
func (f *fleet) startController() {
	f.t.Helper()
	first := f.ctl[0]
	f.sh(first, fmt.Sprintf("salve-controller init --dir /etc/salve/tls --node %s --address %[1]s,%s", first.Name, first.Address))
	for _, h := range f.ctl[1:] {
		f.sh(first, fmt.Sprintf("salve-controller init --ca /etc/salve/tls --dir /root/%s --node %[1]s --address %[1]s,%s && "+
			"cp -p /etc/salve/tls/ca-key.pem /root/%[1]s", h.Name, h.Address))
		files := f.sh(first, "tar -C /root/"+h.Name+" -c . | base64")
		if _, err := h.Pipe(f.ctx(), files, "sh", "-c", "mkdir -p /etc/salve/tls && base64 -d | tar -C /etc/salve/tls -x"); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, h := range f.ctl {
		f.write(h, "/etc/salve/controller.hcl", f.controllerConfig(h), 0o644)
		f.write(h, "/etc/salve/pager.key", f.pager.Secret+"\n", 0o600)
		f.sh(h, "chown salve-controller: /etc/salve/pager.key && systemctl enable --quiet --now salve-controller")
	}
	f.share(first, "/etc/salve/tls/operator-admin.pem", f.desk, "/root/admin.pem", 0o600)
	f.sh(f.desk, "salve login --certificate /root/admin.pem --address "+f.addresses(":7600"))
	f.eventually(upTime, "the controller has a leader", func() string {
		_, err := f.salve("status")
		return text(err)
	})
}

func (f *fleet) share(from *booted.Host, path string, to *booted.Host, as string, mode os.FileMode) {
	f.t.Helper()
	if err := share(from, path, to, as, mode); err != nil {
		f.t.Fatal(err)
	}
}

// addresses are the nodes with a port, with commas between.
func (f *fleet) addresses(port string) string {
	var out []string
	for _, h := range f.ctl {
		out = append(out, h.Name+port)
	}
	return strings.Join(out, ",")
}

// addShop installs the service that is to be healed.
func (f *fleet) addShop(h *booted.Host) {
	f.t.Helper()
	if err := copyFile(h, labService(f.t), "/usr/local/bin/lab-service", 0o755); err != nil {
		f.t.Fatal(err)
	}
	f.write(h, "/etc/systemd/system/"+shop, shopUnit, 0o644)
	f.sh(h, "systemctl daemon-reload && systemctl enable --quiet --now "+shop)
	f.shops[h] = rig.NewPatient("shop", h.Address+":"+shopPort).Through(f.lab.Dial)
}

// labService builds the service once.
var labService = func() func(t testing.TB) string {
	var once sync.Once
	var path string
	return func(t testing.TB) string {
		t.Helper()
		once.Do(func() {
			path = filepath.Join(scratch, "lab-service")
			command(t, "go", "build", "-o", path, "./packaging/lab/service")
		})
		return path
	}
}()

// command runs a command of this machine in the checkout.
func command(t testing.TB, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// enrol lets a host in as a person does it: a token from the desk, which the host uses up.
func (f *fleet) enrol(h *booted.Host) {
	f.t.Helper()
	f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h), 0o644)
	f.write(h, "/etc/salve/rules.d/shop.hcl", shopRules, 0o644)
	f.write(h, "/etc/salve/pager.key", f.pager.Secret+"\n", 0o640)
	f.write(h, "/root/token", f.token("--labels", "role=web"), 0o600)
	f.sh(h, "chgrp salve /etc/salve/pager.key && salve-agent enroll --token-file /root/token && systemctl restart salve-agent")
}

// token makes an enrolment token.
func (f *fleet) token(args ...string) string {
	f.t.Helper()
	return f.ask(append([]string{"enroll", "token"}, args...)...)
}

// tell notes what happened, for whoever looks for the reason of a failure.
func (f *fleet) tell(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.story = append(f.story, fmt.Sprintf("%6.1f s  ", time.Since(f.start).Seconds())+fmt.Sprintf(format, args...))
}

// report prints what was done, and keeps what the programs logged.
func (f *fleet) report() {
	f.mu.Lock()
	f.t.Logf("seed %d; what was done:\n%s", seed, strings.Join(f.story, "\n"))
	f.mu.Unlock()
	dir := f.t.(*testing.T).ArtifactDir()
	for _, h := range f.lab.Hosts() {
		if h == f.desk {
			continue
		}
		_ = h.Thaw()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		log, err := h.Exec(ctx, "journalctl", "--no-pager", "-o", "short-precise", "-u", "salve-agent", "-u", "salve-controller",
			"-u", "salve-agent-polkit", "-u", shop)
		cancel()
		path := filepath.Join(dir, h.Name+".log")
		if err == nil {
			err = os.WriteFile(path, []byte(log), 0o600)
		}
		f.t.Logf("%s (%v):\n%s", h.Name, err, rig.LastLines(path, 12))
	}
}

func (f *fleet) close() error {
	if f.watch != nil {
		f.watch.close()
	}
	if f.audit != nil {
		f.audit.close()
	}
	var err error
	if f.pager != nil {
		err = f.pager.Close()
	}
	return errors.Join(err, f.lab.Close())
}

// upTime is how long things may take to come up on a busy machine.
const upTime = 2 * time.Minute

// eventually asks until nothing is missing any more.
func (f *fleet) eventually(limit time.Duration, what string, missing func() string) {
	f.t.Helper()
	if last := await(limit, missing); last != "" {
		f.t.Fatalf("not within %v: %s: %s", limit, what, last)
	}
}

// await asks until nothing is missing any more, and returns what still is at the end.
func await(limit time.Duration, missing func() string) (last string) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if last = missing(); last == "" {
			return ""
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return last
		}
	}
}

// pass lets time go by, for faults that have to last.
func (f *fleet) pass(d time.Duration) {
	f.t.Helper()
	select {
	case <-time.After(d):
	case <-f.t.Context().Done():
		f.t.Fatal("the test's time is over")
	}
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}
