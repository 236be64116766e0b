package isolate_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/isolate"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

func TestCutAndLetThrough(t *testing.T) {
	r := newRig(t)
	r.command("nft", "add table inet other; add set inet other cut4 { type ipv4_addr; }; add element inet other cut4 { 192.0.2.9 };"+
		"add table ip salve; add chain ip salve output { type filter hook output priority 0; }; add rule ip salve output tcp dport 9 drop")
	other := netip.MustParseAddrPort("192.0.2.5:9443") // beside the dependency
	for _, at := range append(payments, other) {
		r.listen(service, at)
		r.reaches(service, at, true)
	}
	before := r.others()

	a := r.must(r.request())
	if diff := cmp.Diff(before, r.others()); diff != "" {
		t.Errorf("something else has changed: %s", diff)
	}
	for _, at := range payments {
		r.reaches(service, at, false)
		r.reaches(salve, at, true) // its probes and its own line, wherever that goes
	}
	r.reaches(service, other, true)
	if a.For != r.length || a.Target != "payments" {
		t.Errorf("the attempt is %+v", a)
	}
	if again := r.refused(r.request(), "cut off already"); !again.Needless {
		t.Error("what is cut off already is no needless attempt")
	}

	for range 2 {
		if u, err := r.Undo(t.Context(), a.ID); err != nil || u.Phase != incident.Undone {
			t.Fatalf("undo: %s, %v", u.Phase, err)
		}
	}
	for _, at := range payments {
		r.reaches(service, at, true)
	}
	if diff := cmp.Diff(before, r.others()); diff != "" {
		t.Errorf("something else has changed: %s", diff)
	}
	if own := r.command("nft", "list table inet salve"); strings.Contains(own, "elements") {
		t.Errorf("something is left:\n%s", own)
	}
}

// TestConnectionsFromBefore: requests that hang on a dependency fail when they send something, and so do those of pools.
func TestConnectionsFromBefore(t *testing.T) {
	r := newRig(t)
	conns := r.listen(service, payments[0])
	c, err := r.dial(service, netip.AddrPort{}, payments[0])
	if err != nil {
		t.Fatal(err)
	}
	defer (<-conns).Close()
	r.must(r.request())
	if _, err := c.Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection from before reads %v", err)
	}
}

// TestWayIn: the dependency's host may be the one from which a person comes, by a port that happens to be the dependency's.
func TestWayIn(t *testing.T) {
	r := newRig(t)
	another := netip.MustParseAddrPort("192.0.2.6:8443")
	r.circuit.Addresses = append(r.circuit.Addresses, another.Addr())
	r.must(r.request())
	sshd := netip.MustParseAddrPort("192.0.2.1:22")
	r.listen(service, sshd)
	if _, err := r.dial(salve, payments[0], sshd); err != nil {
		t.Errorf("a person cannot come in: %v", err)
	}
	high := netip.MustParseAddrPort("192.0.2.1:2222") // so the guard is the port, and nothing else
	r.listen(service, high)
	r.wait = 100 * time.Millisecond
	if _, err := r.dial(salve, another, high); !os.IsTimeout(err) {
		t.Errorf("an answer from a port above was not rejected, so this test proves nothing: %v", err)
	}
}

// TestKernelEndsIt: nobody takes anything back here.
func TestKernelEndsIt(t *testing.T) {
	r := newRig(t)
	r.listen(service, payments[0])
	s, a := acttest.Stage(t, r.kind, r.request())
	s.For, a.For = length, length
	begun := time.Now()
	if err := r.kind.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	r.reaches(service, payments[0], false)
	agenttest.Eventually(t, func() bool {
		_, err := r.dial(service, netip.AddrPort{}, payments[0])
		return err == nil
	}, "the dependency is let through")
	if took := time.Since(begun); took < s.For-10*time.Millisecond { // a tick of the kernel
		t.Errorf("it ended after %s", took)
	}
	agenttest.Eventually(t, func() bool { // the kernel lists for a moment what counts no more
		phase, _ := r.kind.Settle(t.Context(), a)
		return phase == incident.Unknown
	}, "it is not known any more what it was")
	if err := r.kind.Undo(t.Context(), a); err != nil {
		t.Errorf("undo of what has ended: %v", err)
	}
}

func TestSettledByWhatIsThere(t *testing.T) {
	r := newRig(t)
	s, a := acttest.Stage(t, r.kind, r.request())
	want := func(want incident.Phase) {
		t.Helper()
		if phase, why := r.kind.Settle(t.Context(), a); phase != want {
			t.Errorf("settled as %s, %s; want %s", phase, why, want)
		}
	}
	want(incident.NotDone)
	if err := r.kind.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	want(incident.Acted)
	_, other := acttest.Stage(t, r.kind, r.beside())
	if phase, why := r.kind.Settle(t.Context(), other); phase != incident.NotDone {
		t.Errorf("another attempt is %s: %s", phase, why)
	}
	if err := r.kind.Undo(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	want(incident.Acted)
	r.command("nft", "delete table inet salve")
	want(incident.NotDone)
}

// TestTwoCircuits: one is cut and let through while the other stays as it is, for its own time.
func TestTwoCircuits(t *testing.T) {
	r := newRig(t)
	for _, at := range payments {
		r.listen(service, at)
	}
	first := r.must(r.request())
	second := r.beside()
	b := r.must(second)
	if rules := strings.Count(r.ruleset(), "reject with tcp reset"); rules != 2 {
		t.Errorf("the table has %d rules:\n%s", rules, r.ruleset())
	}
	if _, err := r.Undo(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	r.reaches(service, payments[0], false)
	second = r.beside()
	c := second.Remedy.Service.Circuits[0]
	c.Addresses = append(c.Addresses, payments[0].Addr())
	if r.refused(second, "1 of 2 addresses").Needless {
		t.Error("half of it is cut off, and that is called needless")
	}
	if _, err := r.Undo(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	r.reaches(service, payments[0], true)
}

// TestOverlapsInTheMiddle: of two circuits that were both found to be free, one is cut, for its own time.
func TestOverlapsInTheMiddle(t *testing.T) {
	r := newRig(t)
	one, a := acttest.Stage(t, r.kind, r.request())
	q := r.request()
	q.Remedy.Args.(*remedy.IsolateArgs).For = time.Hour
	other, _ := acttest.Stage(t, r.kind, q)
	if err := r.kind.Act(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	before := r.ruleset()
	if err := r.kind.Act(t.Context(), other); err == nil || !strings.Contains(err.Error(), "come first") || other.Undo != nil {
		t.Errorf("the second: %v, with %v to be taken back", err, other.Undo)
	}
	if after := r.ruleset(); after != before || strings.Contains(after, "1h") {
		t.Errorf("it was\n%s\nand has become\n%s", before, after)
	}
	if phase, why := r.kind.Settle(t.Context(), a); phase != incident.Acted {
		t.Errorf("the first is %s: %s", phase, why)
	}
}

// TestTableIsRepaired: whatever somebody did to the rules, they are right when they are needed.
func TestTableIsRepaired(t *testing.T) {
	r := newRig(t)
	r.listen(service, payments[0])
	a := r.must(r.request())
	if _, err := r.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	r.command("nft", "flush chain inet salve output; add rule inet salve output tcp dport 9999 drop")
	r.must(r.request())
	r.reaches(service, payments[0], false)
	if strings.Contains(r.ruleset(), "9999") {
		t.Error("a rule of somebody else's is still in the table")
	}
}

// TestTableOfAnother: nothing is half done when the kernel refuses a part.
func TestTableOfAnother(t *testing.T) {
	r := newRig(t)
	r.listen(service, payments[0])
	r.command("nft", "add table inet salve; add chain inet salve output { type filter hook input priority 0; }")
	before := r.ruleset()
	a, err := r.run(r.request())
	if err != nil || a.Error == "" || a.Phase != incident.Acted {
		t.Errorf("it is %s: %s, %v", a.Phase, a.Error, err)
	}
	if after := r.ruleset(); after != before {
		t.Errorf("a part was done:\n%s", after)
	}
	r.reaches(service, payments[0], true)
}

func TestMustNotBeCut(t *testing.T) {
	r := newRig(t)
	r.command("ip", "address", "add", "198.51.100.7/32", "dev", "lo")
	defer r.command("ip", "address", "del", "198.51.100.7/32", "dev", "lo")
	for want, at := range map[string]string{"is this host itself": "127.0.0.9", "is an address of this host": "198.51.100.7"} {
		r.circuit.Addresses = []netip.Addr{payments[0].Addr(), netip.MustParseAddr(at)}
		r.refused(r.request(), want)
	}
	r.circuit.Addresses = nil
	r.refused(r.request(), "names nothing to cut off")
	r.circuit.Addresses, r.circuit.Ports = []netip.Addr{payments[0].Addr()}, nil
	r.refused(r.request(), "names nothing to cut off")
	r.circuit.Ports = []int{8443}
	for _, r.length = range []time.Duration{0, time.Second, 2 * time.Hour} {
		r.refused(r.request(), "a circuit is cut for")
	}
	r.length = time.Minute
	r.circuit.Name = "other"
	r.refused(r.request(), `has no circuit "payments"`)
	r.circuit.Name = "payments"
	r.SetAllow(nil)
	r.refused(r.request(), "no allow block of this host permits isolate on payments")
	if after := r.ruleset(); after != "" {
		t.Errorf("something was done:\n%s", after)
	}
}

// TestRights: what cannot be done safely, or at all, is refused before anything is tried.
func TestRights(t *testing.T) {
	r := newRig(t)
	root := r.kind.ForUser(0)
	q := r.request()
	if err := root.Precheck(t.Context(), &kind.Step{Request: q, Target: "payments"}); err == nil || !strings.Contains(err.Error(), "runs as root") {
		t.Errorf("as root: %v", err)
	}
	r.as(salve, func() {
		none, header := [2]unix.CapUserData{}, unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Error(err)
			return
		}
		_, err := r.Prepare(t.Context(), q)
		var refusal *kind.Refusal
		if !errors.As(err, &refusal) || refusal.Temporary || !strings.Contains(refusal.Reason, "CAP_NET_ADMIN") {
			t.Errorf("without the right: %v", err)
		}
	})
}

// TestGoneInTheMiddle: what was flushed away by somebody else is no reason to fail.
func TestGoneInTheMiddle(t *testing.T) {
	r := newRig(t)
	a := r.must(r.request())
	r.command("nft", "delete element inet salve cut4 { 192.0.2.5 . 8443 }")
	if _, err := r.Undo(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
	a = r.must(r.request())
	r.command("nft", "flush ruleset")
	if _, err := r.Undo(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
}

// TestEndsWhileItIsTakenBack: the kernel may let go what is just being removed, and the rest has to go all the same.
func TestEndsWhileItIsTakenBack(t *testing.T) {
	r := newRig(t)
	r.must(r.request())
	r.command("nft", "delete element inet salve cut4 { 192.0.2.5 . 8443 }")
	if err := isolate.Remove(t.Context(), payments); err != nil {
		t.Error(err)
	}
	if strings.Contains(r.ruleset(), "elements") {
		t.Errorf("something is left:\n%s", r.ruleset())
	}
}
