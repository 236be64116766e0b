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

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// What is installed before and after.
var (
	before = []string{"shop 2.0", "common 2.0"}
	after  = []string{"hold shop 1.0", "hold common 1.0"}
)

// TestGoesBack: both packages go back together, are held, and what runs them is started anew; a look changes nothing, and taking
// it back leaves everything as before.
func TestGoesBack(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		other, _ := s.Property("b.service", "InvocationID")
		plan, err := s.Runner.Prepare(t.Context(), s.request("1"))
		s.must(err)
		want := []string{"install shop=V1 instead of V2, and hold it", "install common=V1 instead of V2, and hold it", "restart a.service"}
		for i := range want {
			want[i] = strings.NewReplacer("V1", s.version("1.0"), "V2", s.version("2.0")).Replace(want[i])
		}
		if diff := cmp.Diff(want, plan.Detail); diff != "" {
			t.Error(diff)
		}
		s.is("2.0", before...)

		a := s.Must(s.request("1"))
		s.is("2.0 1.0", after...)
		s.Refused(s.request("1"), "shop was rolled back in this incident already", false)
		s.Refused(s.request("2"), "no set of packages is known to have run well before "+s.set("1.0", "1.0"), false)
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
	})
}

// TestRefused: nothing of it is tried, and nothing changes.
func TestRefused(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		refused := func(change func(q *kind.Request, a *remedy.PackagesArgs), why string) {
			t.Helper()
			q := s.request("1")
			change(&q, q.Remedy.Args.(*remedy.PackagesArgs))
			s.Refused(q, why, false)
			s.is("2.0", before...)
		}
		same := func(*kind.Request, *remedy.PackagesArgs) {}
		refused(func(q *kind.Request, _ *remedy.PackagesArgs) { q.ByPerson = false },
			s.set("1.0", "1.0")+" could be installed in the place of "+s.set("2.0", "2.0")+
				", which takes a person: salve agent run shop/the-rollback_packages")
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
		refused(same, "no set of packages is known to have run well before "+s.set("2.0", "2.0"))
		s.good = []release.Good{s.known("--purge shop=1.0", -time.Hour)}
		refused(same, "are other packages")
		s.good = append(good, s.ran("2.0", "2.0", -2*time.Hour))
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

		unlock := s.lock()
		s.Refused(s.request("1"), s.lockFile()+" is locked", true)
		unlock()

		s.must(s.hold("common"))
		s.Refused(s.request("1"), "common is held, and is at "+s.version("2.0"), false)
		s.must(s.unhold("common"))

		q = s.request("1")
		q.Remedy.Args.(*remedy.PackagesArgs).Packages = []string{"core"}
		s.Refused(q, "core is not installed", false)
		s.is("2.0", before...)
	})
}

// TestScriptFails: what is half done is told, what runs goes on running, and taking it back repairs it.
func TestScriptFails(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		s.script("[ $PACKAGE != shop ] || exit 7")
		a, err := s.Run(s.request("1"))
		s.must(err)
		half, text := s.half()
		if a.Phase != incident.Acted || !strings.Contains(a.Error, "it is half done, "+text) ||
			!strings.Contains(a.Error, "journalctl -u salve-packages.service") {
			t.Errorf("it is %s: %s", a.Phase, a.Error)
		}
		s.is("2.0", half, "common 1.0")
		if phase, why := s.kind().Settle(t.Context(), &a); phase != incident.Unknown || !strings.Contains(why, text) {
			t.Errorf("it is settled as %s: %s", phase, why)
		}
		s.script("exit 7")
		if _, err := s.Runner.Undo(t.Context(), a.ID); err == nil || !strings.Contains(err.Error(), "common is ") {
			t.Errorf("an undo that fails: %v", err)
		}
		s.must(os.Remove("/opt/script"))
		if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		s.is("2.0", before...)
	})
}

// TestRepositoryGone: between the look and the deed the packages went away.
func TestRepositoryGone(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		file := s.file("common-1.0")
		s.must(os.Rename(file, "/opt/away"))
		t.Cleanup(func() { s.must(os.Rename("/opt/away", file)) })
		a, err := s.Run(s.request("1"))
		s.must(err)
		if !strings.Contains(a.Error, "nothing was changed") || a.Undo != nil {
			t.Errorf("it is %s: %s; to be taken back: %s", a.Phase, a.Error, a.Undo)
		}
		s.is("2.0", before...)
	})
}

// TestLocked: somebody else takes the lock right before the installer does, which waits for it, longer than anybody waits for that.
func TestLocked(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		step, _ := s.stage()
		unlock := s.lock()
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
	})
}

// TestAgentDies before, during and after: what is installed tells the next one, and the installer needs none.
func TestAgentDies(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		settled := func(ctx context.Context, a *incident.Attempt, want incident.Phase, why string) {
			t.Helper()
			if phase, reason := s.kind().Settle(ctx, a); phase != want || !strings.Contains(reason, why) {
				t.Errorf("it is settled as %s: %s", phase, reason)
			}
		}
		step, a := s.stage()
		settled(t.Context(), a, incident.NotDone, "shop is installed at "+s.version("2.0"))

		finish := s.slow()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.kind().Act(ctx, step) }()
		s.there("/opt/began")
		cancel()
		if err := <-done; !errors.Is(err, kind.ErrLost) || step.Undo == nil {
			t.Errorf("who waits no longer is told %v, and can take back %v", err, step.Undo)
		}
		short, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		settled(short, a, incident.Unknown, "salve-packages.service is still at work")
		if s.kind().Quiet(a) {
			t.Error("it is called quiet")
		}
		if err := s.kind().Undo(t.Context(), a); err == nil || !strings.Contains(err.Error(), "still being changed") {
			t.Errorf("it is taken back meanwhile: %v", err)
		}
		finish()
		s.idle()
		settled(t.Context(), a, incident.Acted, "shop is installed at "+s.version("1.0")+", common is installed at "+s.version("1.0"))
		agenttest.Eventually(t, func() bool { return s.kind().Quiet(a) }, "it is quiet")
		s.is("2.0", after...)

		s.must(s.unhold("shop"))
		settled(t.Context(), a, incident.Acted, "not held")
		s.must(s.kind().Undo(t.Context(), a))
		s.is("2.0", before...) // what runs was never started anew
		s.must(s.hold("shop"))
		s.must(s.kind().Undo(t.Context(), a)) // as one that died between the two
		s.is("2.0", before...)
		settled(t.Context(), a, incident.NotDone, "")

		if phase, _ := s.kind().Settle(t.Context(), &incident.Attempt{Undo: json.RawMessage("{")}); phase != incident.Unknown {
			t.Errorf("a broken record is settled as %s", phase)
		}
	})
}

// TestOthersStay: what somebody has installed meanwhile is not taken back.
func TestOthersStay(t *testing.T) {
	s := newShop(t, debs{})
	a := s.Must(s.request("1"))
	s.must(s.install("shop-3.0"))
	_, err := s.Runner.Undo(t.Context(), a.ID)
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "shop is installed at "+s.version("3.0")+": somebody has changed that") {
		t.Errorf("undo: %v", err)
	}
	s.is("2.0 1.0", "shop 3.0", after[1]) // a hold of another version is none
}

// TestOneDiffers: where the older version of one of them is in place already, only that of the other is changed.
func TestOneDiffers(t *testing.T) {
	s := newShop(t, debs{})
	s.must(s.install("common-1.0"))
	s.Must(s.request("1"))
	s.is("2.0 1.0", "common 1.0", after[0])
}

// TestNotHeld: the versions are in place, and cannot be held.
func TestNotHeld(t *testing.T) {
	for _, p := range packagers {
		t.Run(p.name(), func(t *testing.T) {
			if os.Getenv(insideEnv) != "" && p.missing() == "" {
				p.cannotHold(t) // before there is a manager, which has mounts of its own
			}
			s := newShop(t, p)
			a, err := s.Run(s.request("1"))
			s.must(err)
			if !strings.Contains(a.Error, s.set("1.0", "1.0")+" is in place, but not held") || a.Undo == nil {
				t.Errorf("it is %s: %s", a.Phase, a.Error)
			}
			s.is("2.0 1.0", "shop 1.0", "common 1.0")
		})
	}
}
