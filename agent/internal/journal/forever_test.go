package journal

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// foreverDir holds a state folder of each format, and what stands in it as JSON. A folder that was released is never
// changed again: what cannot open it is broken. UPDATE=1 writes the one of the newest format anew.
const foreverDir = "testdata/opened-for-ever"

// TestOpenedForEver opens them all, as the agent would, and then goes on.
func TestOpenedForEver(t *testing.T) {
	if os.Getenv("UPDATE") != "" {
		writeForever(t, filepath.Join(foreverDir, fmt.Sprintf("v%d", format)))
	}
	folders, err := filepath.Glob(filepath.Join(foreverDir, "v*"))
	if err != nil || len(folders) != format {
		t.Fatalf("%d folders, %v: want one of each format up to %d", len(folders), err, format)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			must(t, os.CopyFS(dir, os.DirFS(filepath.Join(folder, "data"))))
			j, r := open(t, dir, Options{})
			if diff := cmp.Diff(Report{}, r); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			want, err := os.ReadFile(filepath.Join(folder, "state.json"))
			must(t, err)
			o := outbox(t, j)
			if diff := cmp.Diff(string(want), all(t, j, o)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if n := o.Add(line("it goes on")); n != 4 {
				t.Errorf("the next event is number %d", n)
			}
			must(t, o.Commit())
		})
	}
}

// all is what stands in a journal.
func all(t *testing.T, j *Journal, o *box) string {
	t.Helper()
	incidents, err := j.Incidents(Filter{})
	must(t, err)
	for i := range incidents {
		incidents[i], err = j.Incident(incidents[i].ID)
		must(t, err)
	}
	attempts, err := j.AttemptsWithin(1000 * time.Hour)
	must(t, err)
	pauses, err := j.Pauses()
	must(t, err)
	learned := map[string]int{}
	must(t, space2(j).Each(func(k string, decode func(any) error) error {
		var n int
		err := decode(&n)
		learned[k] = n
		return err
	}))
	text, err := json.MarshalIndent(map[string]any{"host": j.Host(), "stream": j.Stream(), "incidents": incidents,
		"attempts": attempts, "pauses": pauses, "learned": learned, "told": told(t, o, 0)}, "", "  ")
	must(t, err)
	return string(text) + "\n"
}

// writeForever makes a state folder with something of each kind: a repair that is over, and one that was under way.
func writeForever(t *testing.T, folder string) {
	t.Helper()
	dir, hands := filepath.Join(t.TempDir(), "state"), newHand()
	j, _ := open(t, dir, Options{Clock: hands})
	now := clock.Now(hands)
	over, open := story("0123456789abcdef0123456789abcdef", now), story("fedcba9876543210fedcba9876543210", now)
	over.State, over.Ended, over.End = incident.Resolved, now, "restart-app healed it"
	over.Evidence = []incident.Evidence{{Title: "journal", At: now, Text: "line\nline"}}
	done, begun := attempt(over.ID+"-1", over.ID, now), attempt(open.ID+"-1", open.ID, now)
	done.Phase, done.Outcome = incident.Judged, incident.Verified
	begun.Permit = someHeld()
	over.Attempts, open.Attempts = []string{done.ID}, []string{begun.ID}
	for _, i := range []*incident.Incident{over, open} {
		must(t, j.PutIncident(i))
	}
	for _, a := range []*incident.Attempt{done, begun} {
		must(t, j.PutAttempt(a))
	}
	must(t, j.PutPause(&incident.Pause{ID: "p1", Scope: "unit:cache.service", By: "eva", Reason: "release", From: now}))
	must(t, j.Space("learned").Put("k", 7))
	o := outbox(t, j)
	n := o.Add(fires("down"))
	o.Add(line("restart-app"))
	o.Add(ends(o, n))
	must(t, o.Commit())
	text := all(t, j, o)
	mustClose(t, j)
	must(t, os.Remove(filepath.Join(dir, fileLock)))
	must(t, os.RemoveAll(folder))
	must(t, os.CopyFS(filepath.Join(folder, "data"), os.DirFS(dir)))
	must(t, os.WriteFile(filepath.Join(folder, "state.json"), []byte(text), 0o644))
}
