package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

const day = 24 * time.Hour

func TestRetention(t *testing.T) {
	dir, hands := t.TempDir(), newHand()
	limits := Limits{Incidents: 3}
	j, _ := open(t, dir, Options{Clock: hands, Limits: limits})
	for i, c := range []struct {
		state incident.State
		ended time.Duration // before now
	}{
		{incident.Open, 0},               // 00: open for ever so long
		{incident.Resolved, 31 * day},    // 01: too old
		{incident.Resolved, 29 * day},    // 02: old enough to stay, but beyond the number
		{incident.Resolved, 4 * day},     // 03
		{incident.Acknowledged, 0},       // 04
		{incident.Resolved, 3 * day},     // 05
		{incident.Resolved, time.Minute}, // 06
	} {
		at := clock.At(hands, hands.Now().Add(-40*day+time.Duration(i)*time.Second))
		inc := story(fmt.Sprintf("%02d", i), at)
		inc.State = c.state
		if c.state == incident.Resolved {
			inc.Ended = clock.At(hands, hands.Now().Add(-c.ended))
		}
		must(t, j.PutIncident(inc))
		must(t, j.PutAttempt(judged(fmt.Sprintf("old-%02d", i), inc.ID, at)))
	}
	now := hands.Now()
	must(t, j.PutAttempt(judged("young", "gone", clock.At(hands, now.Add(-47*time.Hour)))))
	must(t, j.PutAttempt(judged("aged", "gone", clock.At(hands, now.Add(-49*time.Hour)))))
	must(t, j.PutAttempt(attempt("never-settled", "gone", clock.At(hands, now.Add(-90*day)))))
	mustClose(t, j)

	j, _ = open(t, dir, Options{Clock: hands, Limits: limits})
	incidents, err := j.Incidents(Filter{})
	must(t, err)
	var ids []string
	for _, inc := range incidents {
		ids = append(ids, inc.ID)
	}
	if got := strings.Join(ids, " "); got != "06 05 04 03 00" {
		t.Errorf("incidents %q", got)
	}
	attempts, err := j.AttemptsWithin(1000 * day)
	must(t, err)
	ids = nil
	for _, a := range attempts {
		ids = append(ids, a.ID)
	}
	if got := strings.Join(ids, " "); got != "never-settled old-00 old-03 old-04 old-05 old-06 young" {
		t.Errorf("attempts %q", got)
	}
}

func judged(id, inc string, at clock.Stamp) *incident.Attempt {
	a := attempt(id, inc, at)
	a.Phase = incident.Judged
	return a
}

// Whatever is put in, the file stays bounded, and most of it is given back at the next start.
func TestFileStaysBounded(t *testing.T) {
	dir, hands := t.TempDir(), newHand()
	limits := Limits{Bytes: 1 << 20, CompactFrom: 64 << 10, PruneEvery: 10 * time.Millisecond}
	j, _ := open(t, dir, Options{Clock: hands, Limits: limits})
	text := strings.Repeat("0123456789abcdef", 64<<6)
	for i := range 200 {
		inc := story(fmt.Sprintf("%04d", i), clock.Now(hands))
		inc.State, inc.Ended = incident.Resolved, clock.Now(hands)
		inc.Evidence = []incident.Evidence{{Title: "big", Text: text}}
		must(t, j.PutIncident(inc))
		mustFlush(t, j)
		hands.pass(time.Second)
	}
	mustClose(t, j)
	j, _ = open(t, dir, Options{Clock: hands, Limits: limits}) // prunes
	mustClose(t, j)
	j, r := open(t, dir, Options{Clock: hands, Limits: limits})
	info, err := os.Stat(filepath.Join(dir, fileName))
	must(t, err)
	if !r.Compacted && info.Size() > 2<<20 {
		t.Errorf("%d bytes and not compacted", info.Size())
	}
	if info.Size() > 4<<20 {
		t.Errorf("file has %d bytes", info.Size())
	}
	newest, err := j.Incidents(Filter{Limit: 1})
	if err != nil || len(newest) != 1 || newest[0].ID != "0199" {
		t.Errorf("the newest incident is gone: %v %v", newest, err)
	}
}

func TestCompactionKeepsEverything(t *testing.T) {
	dir, hands := t.TempDir(), newHand()
	j, _ := open(t, dir, Options{Clock: hands})
	space := j.Space("bulk")
	for i := range 100 {
		must(t, space.PutSoon(fmt.Sprint(i), strings.Repeat("x", 20<<10)))
	}
	mustFlush(t, j)
	for i := range 99 {
		must(t, space.DeleteSoon(fmt.Sprint(i)))
	}
	must(t, j.PutAttempt(attempt("a", "i", clock.Now(hands))))
	stream := j.Stream()
	mustClose(t, j)
	path := filepath.Join(dir, fileName)
	before, want := size(t, path), records(t, path)
	j, r := open(t, dir, Options{Clock: hands})
	mustClose(t, j)
	got := records(t, path)
	if !r.Compacted || size(t, path) > before/4 || j.Stream() != stream {
		t.Errorf("%+v, %d → %d bytes", r, before, size(t, path))
	}
	for k, v := range want {
		if k != "meta/events" && k != "meta/sum" && got[k] != v {
			t.Errorf("%s changed", k)
		}
	}
}

func size(t *testing.T, path string) int64 {
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}
