package isolate_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/isolate"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/require"
)

// rig is a network with dependencies in it.
type rig struct {
	*act.Runner
	t       *testing.T
	systemd *systemd.Watcher
	journal *acttest.Journal
	kind    isolate.Kind
	circuit *config.Circuit
	length  time.Duration
	wait    time.Duration // for a connection
}

// payments is where the dependency of the tests is, in the two versions of IP.
var payments = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.5:8443"), netip.MustParseAddrPort("[2001:db8::5]:8443")}

func newRig(t *testing.T) *rig {
	t.Helper()
	require.That(t, "a network of its own", os.Getenv(inside) != "", "only root gets one, from a kernel with namespaces")
	r := &rig{t: t, length: time.Minute, wait: acttest.Patience}
	for _, need := range []string{"/sbin/ip", "/usr/sbin/nft"} {
		_, err := os.Stat(need)
		require.That(t, need, err == nil, "apt-get install iproute2 nftables")
	}
	r.command("ip", "link", "set", "lo", "up")
	r.command("ip", "-4", "route", "replace", "local", "192.0.2.0/24", "dev", "lo") // here, and yet no address of this host
	r.command("ip", "-6", "route", "replace", "local", "2001:db8::/64", "dev", "lo")
	r.command("nft", "flush", "ruleset")
	r.circuit = &config.Circuit{Name: "payments", Ports: []int{8443}}
	for _, at := range payments {
		r.circuit.Addresses = append(r.circuit.Addresses, at.Addr())
	}
	r.journal = acttest.OpenJournal(t, t.TempDir())
	r.on(acttest.IdleWatcher(t))
	return r
}

// on lets the rig's runner, and its kind without one, see these units.
func (r *rig) on(w *systemd.Watcher) {
	r.systemd = w
	r.Runner = r.runner()
	r.kind = isolate.New(&kind.Host{Clock: acttest.Clock(r.t), Systemd: w,
		Attempts: r.journal.AttemptsWithin})
}

// runner is an agent's, on the rig's journal.
func (r *rig) runner() *act.Runner {
	r.t.Helper()
	runner, err := act.New(act.Options{
		Systemd: r.systemd, Journal: r.journal, Clock: acttest.Clock(r.t),
		Allow: []config.Allow{{Circuits: []string{"pay*"}, Actions: []string{"isolate"}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return runner
}

func (r *rig) command(name string, args ...string) string {
	r.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (r *rig) request() kind.Request {
	q := acttest.Ask(remedy.Isolate, "", &remedy.IsolateArgs{Circuit: "payments", For: r.length})
	q.Remedy.Service = &config.Service{Unit: "shop.service", Circuits: []*config.Circuit{r.circuit}}
	return q
}

func (r *rig) run(q kind.Request) (incident.Attempt, error) {
	p, err := r.Prepare(r.t.Context(), q)
	if err != nil {
		return incident.Attempt{}, err
	}
	return r.Run(r.t.Context(), p)
}

func (r *rig) must(q kind.Request) incident.Attempt {
	r.t.Helper()
	a, err := r.run(q)
	if err != nil || a.Error != "" || a.Phase != incident.Acted {
		r.t.Fatalf("isolate is %s: %v %s", a.Phase, err, a.Error)
	}
	return a
}

func (r *rig) refused(q kind.Request, want string) *kind.Refusal {
	r.t.Helper()
	_, err := r.run(q)
	return r.refusal(err, want)
}

func (r *rig) refusal(err error, want string) *kind.Refusal {
	r.t.Helper()
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, want) {
		r.t.Fatalf("isolate: %v, want a refusal because %q", err, want)
	}
	return refusal
}

// as calls f on a thread whose sockets belong to the user.
func (r *rig) as(user int, f func()) {
	r.t.Helper()
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		unix.Syscall(unix.SYS_SETFSUID, uintptr(user), 0, 0)
		if now, _, _ := unix.Syscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); int(now) != user {
			done <- errors.New("the thread cannot be another user")
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		r.t.Fatal(err)
	}
}

// listen lets a server of that user accept connections, which come out of the channel.
func (r *rig) listen(user int, at netip.AddrPort) <-chan net.Conn {
	r.t.Helper()
	conns := make(chan net.Conn, 8)
	var l net.Listener
	var err error
	free := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { // the address is that of no interface
			_ = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
		})
	}}
	r.as(user, func() { l, err = free.Listen(r.t.Context(), "tcp", at.String()) })
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.as(user, func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				select {
				case conns <- c:
				default: // nobody wants it, and the end is not to wait for that
					c.Close()
				}
			}
		})
	}()
	r.t.Cleanup(func() {
		l.Close()
		<-ended
		close(conns)
		for c := range conns {
			c.Close()
		}
	})
	return conns
}

// dial connects as that user; from may be the zero value.
func (r *rig) dial(user int, from, to netip.AddrPort) (net.Conn, error) {
	r.t.Helper()
	var c net.Conn
	var err error
	r.as(user, func() {
		d := net.Dialer{Timeout: r.wait}
		if from.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(from)
		}
		c, err = d.DialContext(context.Background(), "tcp", to.String())
	})
	if err == nil {
		_ = c.(*net.TCPConn).SetLinger(0) // whoever comes next may have the same port
		r.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// reaches checks whether the user's new connections get to the address: they do, or are rejected.
func (r *rig) reaches(user int, to netip.AddrPort, want bool) {
	r.t.Helper()
	switch _, err := r.dial(user, netip.AddrPort{}, to); {
	case want && err != nil:
		r.t.Errorf("user %d does not reach %s: %v", user, to, err)
	case !want && !errors.Is(err, syscall.ECONNREFUSED):
		r.t.Errorf("user %d at %s: %v, want it to be refused", user, to, err)
	}
}

func (r *rig) ruleset() string { return r.command("nft", "-s", "list", "ruleset") }

// others is the ruleset without Salve's table, handles and all.
func (r *rig) others() (list []map[string]map[string]any) {
	r.t.Helper()
	var all struct{ NFTables []map[string]map[string]any }
	if err := json.Unmarshal([]byte(r.command("nft", "-j", "list", "ruleset")), &all); err != nil {
		r.t.Fatal(err)
	}
	for _, object := range all.NFTables {
		for what, its := range object {
			table := its["table"]
			if what == "table" {
				table = its["name"]
			}
			if its["family"] != "inet" || table != "salve" {
				list = append(list, object)
			}
		}
	}
	return list
}

// beside is a request for another circuit.
func (r *rig) beside() kind.Request {
	q := r.request()
	q.Remedy.Args.(*remedy.IsolateArgs).Circuit = "pay-later"
	q.Remedy.Service = &config.Service{Circuits: []*config.Circuit{
		{Name: "pay-later", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.77")}, Ports: []int{8443}},
	}}
	return q
}

// outlives lets an agent die after its action, and the next one settle the attempt as that and take it back in time.
func (r *rig) outlives(want incident.Phase) {
	t := r.t
	t.Helper()
	s, a := acttest.Stage(t, r.kind, r.request())
	a.For = time.Millisecond
	if err := r.journal.PutAttempt(a); err != nil {
		t.Fatal(err)
	}
	if err := r.kind.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if settled := r.Settle(t.Context()); len(settled) != 1 || settled[0].Phase != want {
		t.Fatalf("settled as %+v", settled)
	}
	r.expires(a.ID)
}

// expires serves until an attempt is taken back whose time is over.
func (r *rig) expires(id string) {
	t := r.t
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- r.Serve(ctx) }()
	agenttest.Eventually(t, func() bool {
		now, err := r.journal.Attempt(id)
		return err == nil && now.Phase == incident.Undone
	}, "the attempt is taken back")
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
