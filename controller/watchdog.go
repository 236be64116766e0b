package controller

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/salveops/salve/controller/internal/state"
)

// watchdog tells systemd that this node's state can still be read, three times in each period that systemd asks
// for. A node that waits for its peers or for its disk is well in this sense; one that hangs for good is not, and
// systemd starts it again.
func (c *controller) watchdog(ctx context.Context) error {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return err
	}
	watch(ctx, period/3, func() { c.fsm.View(func(*state.State) {}) }, func() { c.notify(daemon.SdNotifyWatchdog) })
	return nil
}

// watch calls look once in each period and tells when it came back; it is not called again before it did.
func watch(ctx context.Context, period time.Duration, look, tell func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	back := make(chan struct{}, 1)
	for under := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-back:
			under = false
			tell()
		case <-ticker.C:
			if !under {
				under = true
				go func() {
					look()
					back <- struct{}{}
				}()
			}
		}
	}
}
