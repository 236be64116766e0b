//go:build lab

package scenario

import (
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestRollingSickness: a sickness rolls over all hosts, each onset further from the last than the breaker's window, and
// repairs take longer than that. Never are two out at once, and all are healed at the end.
func TestRollingSickness(t *testing.T) {
	f := open(t)
	f.slowStart(14 * time.Second)
	since := time.Now()
	for _, h := range f.web {
		f.fault(h, "errors?ratio=1")
		f.pass(11 * time.Second) // more than the breaker's window
	}
	f.eventually(2*time.Minute, "all are healed", f.unwell)
	f.neverTwoOut(since, len(f.web))
	for _, h := range f.web {
		if n := f.jobs(h, since); n != 1 {
			t.Errorf("%s was repaired %d times, and was ill once", h.Name, n)
		}
	}
	f.eventually(upTime, "Salve is at rest", f.restless)
	f.slowStart(0)
}

// slowStart makes the shops take longer to start; 0 takes that back.
func (f *fleet) slowStart(d time.Duration) {
	f.t.Helper()
	for _, h := range f.web {
		f.slowStartOf(h, d)
	}
}

func (f *fleet) slowStartOf(h *booted.Host, d time.Duration) {
	f.t.Helper()
	const dropIn = "/etc/systemd/system/" + shop + ".d/slow.conf"
	if d == 0 {
		f.sh(h, "rm -f "+dropIn+" && systemctl daemon-reload")
		return
	}
	f.write(h, dropIn, "[Service]\nTimeoutStartSec=60\nExecStartPre=/bin/sleep "+d.String()+"\n", 0o644)
	f.sh(h, "systemctl daemon-reload")
}
