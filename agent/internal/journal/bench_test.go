package journal

import (
	"fmt"
	"testing"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// BenchmarkPutAttempt is the latency of an intent: encode, commit, two fdatasync.
func BenchmarkPutAttempt(b *testing.B) {
	hands := newHand()
	j, _ := open(b, b.TempDir(), Options{Clock: hands})
	now := clock.Now(hands)
	n := 0
	for b.Loop() {
		n++
		must(b, j.PutAttempt(attempt(fmt.Sprint("a", n%5000), "0a", now)))
	}
}

// BenchmarkPutIncident is what the engine's goroutine pays for one more event in a timeline of fifty.
func BenchmarkPutIncident(b *testing.B) {
	hands := newHand()
	j, _ := open(b, b.TempDir(), Options{Clock: hands})
	inc := story("0a", clock.Now(hands))
	for i := range 50 {
		inc.Append(incident.Event{At: clock.Now(hands), Type: incident.EvAct, Text: fmt.Sprint("event ", i)})
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		inc.Timeline[50].Text = fmt.Sprint("event ", n)
		must(b, j.PutIncident(inc))
	}
}

// BenchmarkOpen is a start with a journal of 500 incidents and 1,000 attempts.
func BenchmarkOpen(b *testing.B) {
	dir, hands := b.TempDir(), newHand()
	j, _ := open(b, dir, Options{Clock: hands})
	for i := range 500 {
		inc := story(fmt.Sprintf("%04d", i), clock.Now(hands))
		for k := range 20 {
			inc.Append(incident.Event{At: clock.Now(hands), Type: incident.EvAct, Text: fmt.Sprint("event ", k)})
		}
		must(b, j.PutIncident(inc))
		if i%50 == 0 {
			mustFlush(b, j)
		}
	}
	mustClose(b, j)
	for b.Loop() {
		j, _, err := Open(dir, Options{Clock: hands})
		must(b, err)
		must(b, j.Close())
	}
}
