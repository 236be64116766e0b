package journal

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
)

// TestMain lets the test binary play the agent that is killed (crash_test.go) or has no room (full_test.go).
func TestMain(m *testing.M) {
	if role := os.Getenv("JOURNAL_TEST_ROLE"); role != "" {
		os.Exit(playRole(role, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// hand is a clock that tests move.
type hand struct {
	mu   sync.Mutex
	at   clock.Instant
	boot string
}

func newHand() *hand {
	return &hand{
		at:   clock.Instant{Boot: time.Hour, Wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		boot: "boot-1",
	}
}

func (h *hand) Now() clock.Instant {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hand) BootID() string { return h.boot }

func (h *hand) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

// open opens dir and closes the journal at the end of the test.
func open(t testing.TB, dir string, o Options) (*Journal, Report) {
	t.Helper()
	if o.Clock == nil {
		o.Clock = newHand()
	}
	j, r, err := Open(dir, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { j.Close() })
	return j, r
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func mustFlush(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Flush(context.Background()); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func story(id string, at clock.Stamp) *incident.Incident {
	return &incident.Incident{
		ID: id, Service: "checkout", Title: "checkout is down", State: incident.Open, Severity: "critical", Opened: at,
		Alerts: []incident.Alert{{
			Key:  incident.AlertKey{Host: "h", Stream: "s", N: 1},
			Rule: "down", Service: "checkout", Instance: "checkout.service", Severity: "critical",
			Condition: "unit.failed", Values: []incident.Value{{Signal: "unit.failed", Value: 1, Known: true, Text: "true"}},
			Fired: at,
		}},
		Timeline: []incident.Event{{At: at, Type: incident.EvAlert, Text: "down fires for checkout.service"}},
		Attempts: []string{},
	}
}

func attempt(id, inc string, at clock.Stamp) *incident.Attempt {
	return &incident.Attempt{
		ID: id, Incident: inc, Rule: "down", Remedy: "restart-app", Kind: "restart", Service: "checkout",
		Instance: "checkout.service", Target: "checkout.service", By: incident.ByRule,
		Phase: incident.Intended, Before: []byte(`{"invocation":"4af0"}`), Intended: at,
	}
}

func someHeld() *permit.Held {
	return &permit.Held{Token: permit.Token{Generation: "g1", N: 1}, Epoch: 1,
		Targets: []permit.Target{{Service: "checkout", Host: "h"}}}
}

// rawKeys are all buckets with their keys.
func rawKeys(t testing.TB, j *Journal) []string {
	t.Helper()
	keys, err := read(j, func(tx *bbolt.Tx) (out []string, err error) {
		err = tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, _ []byte) error {
				out = append(out, string(bucket)+"/"+string(k))
				return nil
			})
		})
		return out, err
	})
	must(t, err)
	return keys
}
