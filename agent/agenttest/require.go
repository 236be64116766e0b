// Package agenttest gives tests, the demo and the benchmarks the real parts that the agent works
// with: a private systemd user manager, PgBouncer with PostgreSQL, a socket proxy that can be cut.
// Everything it starts dies with the process that asked for it.
package agenttest

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/require"
)

// Require is require.That.
func Require(t testing.TB, what string, ok bool, why string) {
	t.Helper()
	require.That(t, what, ok, why)
}

// patience is how long real processes may take: on a busy machine any of them may stand still for seconds.
const patience = time.Minute

// Eventually polls cond until it holds, and fails the test after a minute; what says what was waited for. How fast
// something is does not show by it. It is for conditions of real processes only, which send no event to wait for.
func Eventually(t testing.TB, cond func() bool, what string) {
	t.Helper()
	if !Poll(patience, cond) {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// Poll reports whether cond came to hold within timeout.
func Poll(timeout time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			return cond()
		case <-tick.C:
		}
	}
	return true
}
