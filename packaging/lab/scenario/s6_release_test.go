//go:build lab

package scenario

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// TestBadRelease: a release that no restart mends is on all hosts at once. The breaker opens before the wrong remedy
// has gone round, people are told once, the one host that they let through acts, a dead shop starts all the same, and
// with the release taken back everything ends.
func TestBadRelease(t *testing.T) {
	f := open(t)
	since, told := time.Now(), len(f.pager.Pages())
	triggers := func() []rig.Page {
		return slices.DeleteFunc(f.pager.Pages()[told:], func(p rig.Page) bool { return p.Kind != notify.Trigger })
	}
	all := func() (n int) {
		for _, h := range f.web {
			n += f.jobs(h, since)
		}
		return n
	}
	f.tell("a bad release comes to all hosts")
	f.each(f.web, func(_ context.Context, h *booted.Host) error { return h.Write(cacheFile, "corrupt", 0o644) })
	f.eventually(upTime, "the breaker opens", func() string {
		if !f.breakerOpen() {
			return "it is closed"
		}
		return ""
	})
	f.eventually(upTime, "people are told", func() string {
		if len(triggers()) == 0 {
			return "nobody is"
		}
		return ""
	})
	f.eventually(upTime, "nothing is on its way", func() string {
		permits, err := f.permits()
		if len(permits) > 0 {
			return "a permit is open"
		}
		return text(err)
	})
	first := all()
	if first > 1 {
		t.Errorf("%d hosts were repaired before the breaker opened, and one may go first", first)
	}
	f.pass(5 * time.Second)
	if n := all(); n != first {
		t.Errorf("%d jobs while the breaker was open", n-first)
	}

	f.tell("a person lets one host through")
	h := f.web[1]
	before := f.jobs(h, since)
	f.ask("breaker", "approve", "shop", "shop-fails", h.Name)
	f.eventually(upTime, h.Name+" acts", func() string {
		if f.jobs(h, since) == before {
			return "it does not"
		}
		return ""
	})

	f.crash(f.web[2])
	f.eventually(upTime, "what is dead starts although the breaker is open", func() string {
		if state := f.state(f.web[2]); state != "active" {
			return state
		}
		return ""
	})
	if !f.breakerOpen() {
		t.Error("the breaker closed before anything was mended")
	}
	if n := all(); n != first+2 {
		t.Errorf("one was let through and one was dead, and there were %d jobs", n-first)
	}
	if n := len(triggers()); n != 1 {
		t.Errorf("people were told %d times", n)
	}

	f.tell("the release is taken back")
	f.each(f.web, func(ctx context.Context, h *booted.Host) error {
		_, err := h.Exec(ctx, "rm", cacheFile)
		return err
	})
	f.eventually(upTime, "the breaker closes", func() string {
		if f.breakerOpen() {
			return "it is open"
		}
		return ""
	})
	f.awaitWell()
	if n := all(); n != first+2 {
		t.Errorf("all was mended, and there were %d more jobs", n-first-2)
	}
}

// breakerOpen reports whether a breaker of the shop is open.
func (f *fleet) breakerOpen() bool {
	f.t.Helper()
	var r adminpb.ListServicesResponse
	if err := f.read(f.desk, &r, "services"); err != nil {
		f.t.Fatal(err)
	}
	return slices.ContainsFunc(r.GetServices(), func(s *adminpb.ServiceStatus) bool {
		return slices.ContainsFunc(s.GetBreakers(), func(b *logpb.Breaker) bool { return b.GetOpen() })
	})
}
