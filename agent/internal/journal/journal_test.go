package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

func TestEverythingSurvivesReopening(t *testing.T) {
	dir, hands := filepath.Join(t.TempDir(), "state"), newHand()
	j, r := open(t, dir, Options{Clock: hands})
	if diff := cmp.Diff(Report{Created: true}, r); diff != "" {
		t.Errorf("first report (-want +got):\n%s", diff)
	}
	now := clock.Now(hands)
	inc := story("0a", now)
	inc.Evidence = []incident.Evidence{{Title: "journal", At: now, Text: "line\nline"}}
	must(t, j.PutIncident(inc))
	fields := map[string]string{"p": "0.8"}
	inc.Append(incident.Event{At: now, Type: incident.EvDecide, Text: "restart-app", Fields: fields})
	must(t, j.PutIncident(inc))
	a := attempt("a1", "0a", now)
	must(t, j.PutAttempt(a))
	p := &incident.Pause{ID: "p1", Scope: "all", By: "eva", Reason: "release", From: now, For: time.Minute}
	must(t, j.PutPause(p))
	must(t, j.PutPause(&incident.Pause{ID: "p2"}))
	must(t, j.DeletePause("p2"))
	space := j.Space("learned")
	must(t, space.Put("k", map[string]int{"n": 7}))
	must(t, space.PutSoon("gone", 1))
	must(t, space.DeleteSoon("gone"))
	host, stream, last := j.Host(), j.Stream(), j.NextEvent()
	mustClose(t, j)

	j, r = open(t, dir, Options{Clock: hands})
	if diff := cmp.Diff(Report{}, r); diff != "" {
		t.Errorf("second report (-want +got):\n%s", diff)
	}
	if j.Host() != host || j.Stream() != stream || !validID(host) || !validID(stream) || host == stream {
		t.Errorf("host %q, stream %q; before %q, %q", j.Host(), j.Stream(), host, stream)
	}
	if n := j.NextEvent(); n <= last {
		t.Errorf("NextEvent = %d after %d", n, last)
	}
	gotInc, err := j.Incident("0a")
	must(t, err)
	gotAttempt, err := j.Attempt("a1")
	must(t, err)
	gotPauses, err := j.Pauses()
	must(t, err)
	var n map[string]int
	if found, err := space2(j).Get("k", &n); err != nil || !found {
		t.Errorf("Get = %v, %v", found, err)
	}
	var keys []string
	must(t, space2(j).Each(func(k string, _ func(any) error) error { keys = append(keys, k); return nil }))
	for _, c := range []struct{ want, got any }{
		{inc, gotInc}, {a, gotAttempt}, {[]*incident.Pause{p}, gotPauses}, {map[string]int{"n": 7}, n}, {[]string{"k"}, keys},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func space2(j *Journal) *Space { return j.Space("learned") }

// Who judges an attempt and who takes it back write at once, each what it knew before: neither is lost.
func TestAttemptsAreMerged(t *testing.T) {
	j, _ := open(t, t.TempDir(), Options{Clock: newHand()})
	for n := range 50 {
		id := fmt.Sprint("a", n)
		must(t, j.PutAttempt(&incident.Attempt{ID: id, Phase: incident.Acted}))
		judged := &incident.Attempt{ID: id, Phase: incident.Judged, Outcome: incident.Verified}
		undone := &incident.Attempt{ID: id, Phase: incident.Undone}
		var writers errgroup.Group
		for _, a := range []*incident.Attempt{judged, undone} {
			writers.Go(func() error { return j.PutAttempt(a) })
		}
		must(t, writers.Wait())
		a, err := j.Attempt(id)
		must(t, err)
		if a.Phase != incident.Undone || a.Outcome != incident.Verified {
			t.Fatalf("on disk it is %s, %s", a.Phase, a.Outcome)
		}
		if (judged.Phase != incident.Undone) == (undone.Outcome != incident.Verified) {
			t.Fatalf("the second was not told what the first had written: %s, %s", judged.Phase, undone.Outcome)
		}
	}
}

func TestNotFound(t *testing.T) {
	j, _ := open(t, t.TempDir(), Options{})
	_, errI := j.Incident("x")
	_, errA := j.Attempt("x")
	found, errS := j.Space("none").Get("x", new(int))
	if !errors.Is(errI, ErrNotFound) || !errors.Is(errA, ErrNotFound) || found || errS != nil {
		t.Errorf("got %v, %v, %v %v", errI, errA, found, errS)
	}
}

func TestQueries(t *testing.T) {
	hands := newHand()
	j, _ := open(t, t.TempDir(), Options{Clock: hands})
	for i, c := range []struct {
		service string
		state   incident.State
		phase   incident.Phase
	}{
		{"a", incident.Resolved, incident.Judged}, {"b", incident.Open, incident.Acted},
		{"a", incident.Escalated, incident.Undoing}, {"a", incident.Resolved, incident.Unknown},
	} {
		inc := story(fmt.Sprintf("%02d", i), clock.Now(hands))
		inc.Service, inc.State = c.service, c.state
		must(t, j.PutIncident(inc))
		a := attempt(fmt.Sprintf("a%d", 9-i), inc.ID, clock.Now(hands))
		a.Phase = c.phase
		must(t, j.PutAttempt(a))
		hands.pass(10 * time.Minute)
	}
	incidents := []struct {
		f    Filter
		want string
	}{
		{Filter{}, "03 02 01 00"}, {Filter{Open: true}, "02 01"}, {Filter{Service: "a"}, "03 02 00"},
		{Filter{Limit: 2}, "03 02"}, {Filter{Service: "a", Open: true, Limit: 5}, "02"}, {Filter{Service: "none"}, ""},
	}
	for _, c := range incidents {
		list, err := j.Incidents(c.f)
		must(t, err)
		var ids []string
		for _, inc := range list {
			ids = append(ids, inc.ID)
			if len(inc.Timeline) != 1 {
				t.Errorf("%+v: incident %s came without its timeline", c.f, inc.ID)
			}
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("Incidents(%+v) = %q, want %q", c.f, got, c.want)
		}
	}
	names := func(list []*incident.Attempt, err error) string {
		must(t, err)
		var ids []string
		for _, a := range list {
			ids = append(ids, a.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := names(j.OpenAttempts()); got != "a8 a7" {
		t.Errorf("OpenAttempts = %q", got)
	}
	if got := names(j.AttemptsWithin(30 * time.Minute)); got != "a8 a7 a6" {
		t.Errorf("AttemptsWithin = %q", got)
	}
}

// The timeline on disk equals the one in memory whatever was appended, dropped or cut between the writes.
func TestTimelineIsKeptAsItIs(t *testing.T) {
	dir, hands := t.TempDir(), newHand()
	rapid.Check(t, func(rt *rapid.T) {
		j, _, err := Open(dir, Options{Clock: hands})
		if err != nil {
			rt.Fatal(err)
		}
		defer j.Close()
		inc := story(rapid.StringMatching(`[0-9a-f]{8}`).Draw(rt, "id"), clock.Now(hands))
		n := 0
		for range rapid.IntRange(1, 6).Draw(rt, "writes") {
			for range rapid.IntRange(0, 5).Draw(rt, "events") {
				n++
				inc.Append(incident.Event{At: clock.Now(hands), Type: incident.EvAct, Text: fmt.Sprint("event ", n)})
			}
			if k := len(inc.Timeline); k > 1 && rapid.Bool().Draw(rt, "cut") {
				at := rapid.IntRange(0, k-2).Draw(rt, "at")
				inc.Timeline = append(inc.Timeline[:at:at], inc.Timeline[at+1:]...)
			}
			if rapid.Bool().Draw(rt, "forget") {
				j.incidents.mu.Lock()
				j.incidents.forget(inc.ID)
				j.incidents.mu.Unlock()
			}
			if err := j.PutIncident(inc); err != nil {
				rt.Fatal(err)
			}
		}
		got, err := j.Incident(inc.ID)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(inc, got); diff != "" {
			rt.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestTimelineIsBounded(t *testing.T) {
	hands := newHand()
	j, _ := open(t, t.TempDir(), Options{Clock: hands})
	inc := story("0a", clock.Now(hands))
	for i := range incident.MaxTimeline + 50 {
		inc.Timeline = append(inc.Timeline, incident.Event{At: clock.Now(hands), Text: fmt.Sprint(i)})
	}
	must(t, j.PutIncident(inc))
	got, err := j.Incident("0a")
	must(t, err)
	last := got.Timeline[len(got.Timeline)-1].Text
	if len(got.Timeline) != incident.MaxTimeline || got.Dropped != 51 || last != fmt.Sprint(incident.MaxTimeline+49) {
		t.Errorf("%d events, %d dropped, last %q", len(got.Timeline), got.Dropped, last)
	}
}

func TestEventNumbersAreNeverGivenTwice(t *testing.T) {
	dir := t.TempDir()
	seen := map[uint64]bool{}
	for range 3 {
		j, _ := open(t, dir, Options{Limits: Limits{EventBlock: 8}})
		for range 50 {
			n := j.NextEvent()
			if seen[n] {
				t.Fatalf("%d given twice", n)
			}
			seen[n] = true
			if n%16 == 0 {
				mustFlush(t, j)
			}
		}
		mustClose(t, j)
	}
}

func TestTwoAgents(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, Options{})
	_, _, err := Open(dir, Options{Clock: newHand(), Limits: Limits{LockWait: time.Millisecond}})
	want := fmt.Sprintf("by process %d", os.Getpid())
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("second agent: %v, want ErrLocked %s", err, want)
	}
	mustClose(t, j)
	if err := j.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	open(t, dir, Options{})
}

func TestFolder(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "a", "b")
	open(t, fresh, Options{})
	for name, want := range map[string]os.FileMode{"": 0o700, fileName: 0o600, fileHost: 0o600, fileLock: 0o600} {
		info, err := os.Stat(filepath.Join(fresh, name))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
	shared := t.TempDir()
	must(t, os.Chmod(shared, 0o777))
	_, _, err := Open(shared, Options{Clock: newHand()})
	if err == nil || !strings.Contains(err.Error(), "written by everybody") {
		t.Errorf("folder of everybody: %v", err)
	}
}

func TestBadRecordsDoNotSpoilTheCommitOfOthers(t *testing.T) {
	hands := newHand()
	j, _ := open(t, t.TempDir(), Options{Clock: hands, Limits: Limits{Record: 4096}})
	large := attempt("large", "i", clock.Now(hands))
	large.Error = strings.Repeat("x", 5000)
	for name, err := range map[string]error{
		"large":   j.PutAttempt(large),
		"no key":  j.PutAttempt(&incident.Attempt{}),
		"raw":     j.PutAttempt(&incident.Attempt{ID: "raw", Before: []byte("{")}),
		"long":    j.PutPause(&incident.Pause{ID: strings.Repeat("k", maxKey+1)}),
		"no json": j.Space("x").PutSoon("k", func() {}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	must(t, j.PutAttempt(attempt("good", "i", clock.Now(hands))))
	must(t, j.Healthy())
}
