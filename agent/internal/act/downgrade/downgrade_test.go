package downgrade_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// What is installed before and after.
var (
	before = []string{"install ok installed shop 2.0", "install ok installed common 2.0"}
	after  = []string{"hold ok installed shop 1.0", "hold ok installed common 1.0"}
)

// TestGoesBack: both packages go back together, are held, and what runs them is started anew; a look changes nothing, and taking
// it back leaves everything as before.
func TestGoesBack(t *testing.T) {
	s := newShop(t)
	other, _ := s.Property("b.service", "InvocationID")
	plan, err := s.Runner.Prepare(t.Context(), s.request("1"))
	s.must(err)
	want := []string{"install shop=1.0 instead of 2.0, and hold it", "install common=1.0 instead of 2.0, and hold it", "restart a.service"}
	if diff := cmp.Diff(want, plan.Detail); diff != "" {
		t.Error(diff)
	}
	s.is("2.0", before...)

	a := s.Must(s.request("1"))
	s.is("2.0 1.0", after...)
	s.Refused(s.request("1"), "shop was rolled back in this incident already", false)
	s.Refused(s.request("2"), "no set of packages is known to have run well before shop=1.0 common=1.0", false)
	for range 2 {
		if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		s.is("2.0 1.0 2.0", before...)
	}
	s.Refused(s.request("1"), "shop was rolled back in this incident already", false)
	if same, _ := s.Property("b.service", "InvocationID"); same != other {
		t.Error("another service was started anew")
	}
	// One that has the older version of one of them in place already changes that of the other.
	s.run("dpkg", "--install", "--force-downgrade", repository+"/common_1.0.deb")
	s.Must(s.request("2"))
	s.is("2.0 1.0 2.0 1.0", "install ok installed common 1.0", after[0])
}

// TestRefused: nothing of it is tried, and nothing changes.
func TestRefused(t *testing.T) {
	s := newShop(t)
	refused := func(change func(q *kind.Request, a *remedy.PackagesArgs), why string) {
		t.Helper()
		q := s.request("1")
		change(&q, q.Remedy.Args.(*remedy.PackagesArgs))
		s.Refused(q, why, false)
		s.is("2.0", before...)
	}
	same := func(*kind.Request, *remedy.PackagesArgs) {}
	refused(func(q *kind.Request, _ *remedy.PackagesArgs) { q.ByPerson = false },
		"shop=1.0 common=1.0 could be installed in the place of shop=2.0 common=2.0, which takes a person: salve agent run shop/the-rollback_packages")
	refused(func(_ *kind.Request, a *remedy.PackagesArgs) { a.Packages = nil }, "it names no packages")
	refused(func(_ *kind.Request, a *remedy.PackagesArgs) { a.Units = nil }, "no unit that runs them")
	refused(func(q *kind.Request, _ *remedy.PackagesArgs) { q.Remedy.Service = nil }, "no unit that runs them")
	refused(func(_ *kind.Request, a *remedy.PackagesArgs) { a.Units = []string{"b.service"} }, "permits restart on b.service")
	refused(func(_ *kind.Request, a *remedy.PackagesArgs) { a.Packages = []string{"shop"} }, "are other packages")

	s.must(os.WriteFile("/opt/marker", nil, 0o644))
	refused(same, "there is a file /opt/marker")
	s.must(os.Remove("/opt/marker"))

	good := s.good
	s.good = nil
	refused(same, "no set of packages is known to have run well before shop=2.0 common=2.0")
	for versions, why := range map[string]string{
		"shop=1.5 common=1.0": "Version '1.5' for 'shop' was not found",
		"shop=0.9 common=1.0": "it would install glue 1.0",
		"--purge shop=1.0":    "are other packages",
	} {
		s.good = []release.Good{s.ran(versions, -time.Hour)}
		refused(same, why)
	}
	s.good = append(good, s.ran("shop=2.0 common=2.0", -2*time.Hour))
	q := s.request("1")
	q.ByPerson = false
	s.Refused(q, "has run well itself", false)
	s.good = good

	s.allow("shop")
	refused(same, "permits rollback_packages on common")
	socket := s.HelperSocket
	s.HelperSocket = ""
	s.allow("shop", "common")
	refused(same, "systemctl enable --now salve-agent-helper.socket")
	s.HelperSocket = socket
	s.allow("shop", "common", "core")

	unlock := lock(t)
	s.Refused(s.request("1"), "/var/lib/dpkg/lock-frontend is locked", true)
	unlock()

	s.run("apt-mark", "hold", "common")
	s.Refused(s.request("1"), "common is held at 2.0", false)
	s.run("apt-mark", "unhold", "common")

	s.run("dpkg", "--install", repository+"/till_1.0.deb")
	s.Refused(s.request("1"), "Packages need to be removed", false)
	s.run("dpkg", "--purge", "till")

	s.run("dpkg", "--install", repository+"/core_1.0.deb")
	q = s.request("1")
	q.Remedy.Args.(*remedy.PackagesArgs).Packages = []string{"core"}
	s.Refused(q, "core is a package that the system needs", false)
	s.run("dpkg", "--purge", "--force-remove-essential", "core")
	s.Refused(q, "core is not installed", false)

	s.run("dpkg", "--unpack", repository+"/common_2.0.deb")
	s.Refused(s.request("1"), "common is unpacked: a person has to repair that", false)
}

// lock takes dpkg's lock as another package manager does.
func lock(t *testing.T) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(records+"/lock-frontend", os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// TestScriptFails: what is half done is told, what runs goes on running, and taking it back repairs it.
func TestScriptFails(t *testing.T) {
	s := newShop(t)
	s.script("[ $DPKG_MAINTSCRIPT_PACKAGE != shop ] || exit 7")
	a, err := s.Run(s.request("1"))
	s.must(err)
	if a.Phase != incident.Acted || !strings.Contains(a.Error, "it is half done, shop is half-configured at 1.0, common is installed at 1.0") ||
		!strings.Contains(a.Error, "journalctl -u salve-packages.service") {
		t.Errorf("it is %s: %s", a.Phase, a.Error)
	}
	half := []string{"install ok half-configured shop 1.0", "install ok installed common 1.0"}
	s.is("2.0", half...)
	if phase, why := s.kind().Settle(t.Context(), &a); phase != incident.Unknown || !strings.Contains(why, "half-configured") {
		t.Errorf("it is settled as %s: %s", phase, why)
	}
	if _, err := s.Runner.Undo(t.Context(), a.ID); err == nil || !strings.Contains(err.Error(), "shop is half-configured") {
		t.Errorf("an undo that fails: %v", err)
	}
	s.must(os.Remove("/opt/script"))
	if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	s.is("2.0", before...)
}

// TestRepositoryGone: between the look and the deed the packages went away.
func TestRepositoryGone(t *testing.T) {
	s := newShop(t)
	s.must(os.Rename(repository+"/common_1.0.deb", "/opt/away"))
	t.Cleanup(func() { s.must(os.Rename("/opt/away", repository+"/common_1.0.deb")) })
	a, err := s.Run(s.request("1"))
	s.must(err)
	if !strings.Contains(a.Error, "nothing was changed") || a.Undo != nil {
		t.Errorf("it is %s: %s; to be taken back: %s", a.Phase, a.Error, a.Undo)
	}
	s.is("2.0", before...)
}

// TestKept: no repository has the versions any more, and apt-get has kept one of them when it was installed.
func TestKept(t *testing.T) {
	s := newShop(t)
	const kept = "/var/cache/apt/archives/common_1.1_all.deb"
	t.Cleanup(func() { _ = os.Remove(kept) })
	s.good = []release.Good{s.ran("shop=1.0 common=1.1", -time.Hour)}
	s.Refused(s.request("1"), "Version '1.1' for 'common' was not found", false)
	s.must(build("Package: common\nVersion: 1.1\n", &strings.Builder{}))
	s.run("mv", repository+"/common_1.1.deb", kept)
	plan, err := s.Runner.Prepare(t.Context(), s.request("1"))
	s.must(err)
	if want := "install common=1.1 from " + kept + " instead of 2.0, and hold it"; plan.Detail[1] != want {
		t.Errorf("it would %q", plan.Detail)
	}
	a := s.Must(s.request("1"))
	s.is("2.0 1.0", after[0], "hold ok installed common 1.1")
	if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	s.is("2.0 1.0 2.0", before...)
}

// TestLocked: somebody else takes the lock right before apt-get does, which waits for it, longer than anybody waits for apt-get.
func TestLocked(t *testing.T) {
	s := newShop(t)
	step, _ := s.stage()
	unlock := lock(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.kind().Act(ctx, step) }()
	waits := func() bool {
		state, _ := s.Property("salve-packages.service", "ActiveState")
		return state == "activating"
	}
	if !kind.Eventually(t.Context(), time.Millisecond, waits) {
		t.Error("it does not begin")
	}
	cancel()
	if err := <-done; !errors.Is(err, kind.ErrLost) || step.Undo == nil {
		t.Errorf("who waits no longer is told %v, and can take back %v", err, step.Undo)
	}
	s.is("2.0", before...)
	unlock()
	s.idle()
	s.is("2.0", after...)
}

// TestNotHeld: the versions are in place, and apt-mark fails.
func TestNotHeld(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		if err := unix.Mount("/bin/false", "/usr/bin/apt-mark", "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount("/usr/bin/apt-mark", 0) })
	}
	s := newShop(t)
	a, err := s.Run(s.request("1"))
	s.must(err)
	if !strings.Contains(a.Error, "shop=1.0 common=1.0 is in place, but not held") || a.Undo == nil {
		t.Errorf("it is %s: %s", a.Phase, a.Error)
	}
	s.is("2.0 1.0", "install ok installed shop 1.0", "install ok installed common 1.0")
}

// TestAgentDies before, during and after: what is installed tells the next one, and the installer needs none.
func TestAgentDies(t *testing.T) {
	s := newShop(t)
	settled := func(a *incident.Attempt, want incident.Phase, why string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if phase, reason := s.kind().Settle(ctx, a); phase != want || !strings.Contains(reason, why) {
			t.Errorf("it is settled as %s: %s", phase, reason)
		}
	}
	step, a := s.stage()
	settled(a, incident.NotDone, "shop is installed at 2.0")

	finish := s.slow()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.kind().Act(ctx, step) }()
	s.there("/opt/began")
	cancel()
	if err := <-done; !errors.Is(err, kind.ErrLost) || step.Undo == nil {
		t.Errorf("who waits no longer is told %v, and can take back %v", err, step.Undo)
	}
	settled(a, incident.Unknown, "salve-packages.service is still at work")
	if s.kind().Quiet(a) {
		t.Error("it is called quiet")
	}
	if err := s.kind().Undo(t.Context(), a); err == nil || !strings.Contains(err.Error(), "still being changed") {
		t.Errorf("it is taken back meanwhile: %v", err)
	}
	finish()
	s.idle()
	settled(a, incident.Acted, "shop is installed at 1.0, common is installed at 1.0")
	if !s.kind().Quiet(a) {
		t.Error("it is not quiet")
	}
	s.is("2.0", after...)

	s.run("apt-mark", "unhold", "shop")
	settled(a, incident.Acted, "not held")
	s.must(s.kind().Undo(t.Context(), a))
	s.is("2.0", before...) // what runs was never started anew
	s.run("apt-mark", "hold", "shop")
	s.must(s.kind().Undo(t.Context(), a)) // as one that died between the two
	s.is("2.0", before...)
	settled(a, incident.NotDone, "")

	if phase, _ := s.kind().Settle(t.Context(), &incident.Attempt{Undo: json.RawMessage("{")}); phase != incident.Unknown {
		t.Errorf("a broken record is settled as %s", phase)
	}
}

// TestOthersStay: what somebody has installed meanwhile is not taken back.
func TestOthersStay(t *testing.T) {
	s := newShop(t)
	a := s.Must(s.request("1"))
	s.run("dpkg", "--install", repository+"/shop_3.0.deb")
	_, err := s.Runner.Undo(t.Context(), a.ID)
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "shop is installed at 3.0: somebody has changed that") {
		t.Errorf("undo: %v", err)
	}
	s.is("2.0 1.0", "install ok installed shop 3.0", after[1]) // dpkg --install ends a hold
}
