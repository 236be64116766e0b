package controller

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchdog: systemd hears nothing while the state cannot be read, and is told again once it can.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stuck, told, looks := make(chan struct{}), 0, 0
		look := func() {
			if looks++; looks == 4 {
				<-stuck
			}
		}
		done := make(chan struct{})
		go func() {
			watch(ctx, time.Second, look, func() { told++ })
			close(done)
		}()
		for _, step := range []struct{ told, looks int }{{3, 4}, {9, 9}} {
			time.Sleep(5*time.Second + time.Millisecond)
			synctest.Wait()
			if told != step.told || looks != step.looks {
				t.Errorf("told %d times after %d looks, want %d, %d", told, looks, step.told, step.looks)
			}
			if looks == 4 {
				close(stuck)
			}
		}
		cancel()
		<-done
	})
}
