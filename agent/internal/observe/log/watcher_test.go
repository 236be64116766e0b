package log

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest/journaltest"
)

// Lines that match are counted once, and for as long as the window is; nothing that matched before the first look
// is new.
func TestRateAndCount(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	r.entries(journaltest.Entry{Boot: earlier, At: r.now, Unit: "web.service", Text: "error of another boot"})
	r.writeAt(r.now-15*time.Second, "web.service", "error that is too old")
	r.writeAt(r.now-5*time.Second, "web.service", "error 1", "fine", "error 2")
	r.want(map[string]float64{rate: .2, count: 0})
	r.want(map[string]float64{rate: .2, count: 0})
	r.now += time.Second
	r.write("web.service", "error 3")
	r.want(map[string]float64{rate: .3, count: 1})
	r.entries(journaltest.Entry{Boot: earlier, At: r.now, Unit: "web.service", Text: "error out of order"})
	r.want(map[string]float64{rate: .3, count: 1})
	r.now += 4 * time.Second
	r.want(map[string]float64{rate: .1, count: 1})
	r.now += time.Hour
	r.want(map[string]float64{rate: 0, count: 1})
}

// Only the service's own units are read, and never the agent's, whatever the pattern says.
func TestWhoseLines(t *testing.T) {
	r := newRig(t, Target{Service: "web", Name: "errors", Unit: "*.service", Except: []string{"db*.service"},
		Match: regexp.MustCompile("error")})
	r.write("a.service", "begin")
	r.look()
	for _, unit := range []string{"a.service", "b.service", "db1.service", "own.service", "x.timer", ""} {
		r.write(unit, "error")
	}
	r.want(map[string]float64{count: 2})
	r.write("late.service", "error", "error")
	r.want(map[string]float64{count: 4})
}

// The kernel's lines are the host's, and nobody else's.
func TestKernel(t *testing.T) {
	r := newRig(t, Target{Name: "disk", Match: regexp.MustCompile(`I/O error, dev (?P<device>\w+)`)}, errorsOf("web.service"))
	r.write("web.service", "begin")
	r.look()
	r.entries(
		journaltest.Entry{Boot: boot, At: r.now, Text: "I/O error, dev sda, sector 5", Fields: []string{"_TRANSPORT=kernel"}},
		journaltest.Entry{Boot: boot, At: r.now, Text: "I/O error, dev fake", Unit: "web.service",
			Fields: []string{"_TRANSPORT=stdout"}},
	)
	r.want(map[string]float64{`host.log["disk"].rate`: .1, `host.log["disk"].count`: 1, count: 1})
	want := []Match{{Log: "disk", At: r.now, Text: "I/O error, dev sda, sector 5", Fields: []Field{{"device", "sda"}}}}
	if diff := cmp.Diff(want, r.Matches("")); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
}

// The last lines are kept, each with its groups, and no more of each than is of use.
func TestMatches(t *testing.T) {
	r := newRig(t, errorsOf("*.service"))
	r.write("b.service", "error 9")
	r.look()
	r.write("a.service", "error 1", "error 2", "error", "error 4", "error 5", "error 6", "error 7", "error 8", "error 9")
	r.look()
	var got []string
	for _, m := range r.Matches("a.service") {
		got = append(got, m.Text)
		if m.Log != "errors" || m.At != r.now || (len(m.Fields) == 1) == (m.Text == "error") {
			t.Errorf("%+v", m)
		}
	}
	if diff := cmp.Diff([]string{"error 7", "error 8", "error 9"}, got[max(0, len(got)-3):]); diff != "" || len(got) != 9 {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := r.Matches("b.service"); len(got) != 1 || got[0].Fields[0] != (Field{"code", "9"}) {
		t.Errorf("%+v", got)
	}
	r.write("a.service", "error, and more of it")
	r.look()
	if got := r.Matches("b.service"); len(got) != 0 {
		t.Errorf("%+v is kept among more than %d", got, mostKept)
	}
}

// A new process knows the same rate at once: nothing that was written meanwhile is lost, and nothing of before is
// new.
func TestRestart(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	r.write("web.service", "error 1")
	r.look()
	r.now += 2 * time.Second
	r.write("web.service", "error 2") // while no agent runs
	r.now += 2 * time.Second
	r.start(errorsOf("web.service"))
	r.want(map[string]float64{rate: .2, count: 0})
	r.write("web.service", "error 3")
	r.want(map[string]float64{rate: .3, count: 1})

	r.now += time.Hour
	r.start(errorsOf("web.service"))
	r.want(map[string]float64{rate: 0, count: 0})
}

// What journald puts aside is read to its end, once, also where it does so twice between two looks.
func TestRotation(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	r.write("web.service", "error 1")
	r.look()
	r.write("web.service", "error 2")
	r.rotate("system@1.journal")
	for _, name := range []string{"system@0.journal", "system@broken.journal~"} { // what cannot be read any more
		if err := os.WriteFile(filepath.Join(r.folder, name), []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.write("web.service", "error 3", "error 4")
	r.rotate("system@2.journal")
	r.write("web.service", "error 5")
	r.want(map[string]float64{count: 4, rate: .5})
	r.want(map[string]float64{count: 4, rate: .5})
	if n := len(r.journal.open); n != 1 {
		t.Errorf("%d files are open", n)
	}
	r.write("web.service", "error 6")
	r.want(map[string]float64{count: 5})

	// After a restart the files that were put aside count, but only while they are young.
	r.start(errorsOf("web.service"))
	r.want(map[string]float64{count: 0, rate: .6})
	r.now += time.Hour
	r.start(errorsOf("web.service"))
	r.look()
	if n := len(r.journal.open); n != 1 {
		t.Errorf("%d files are open an hour later", n)
	}
	if err := os.Remove(filepath.Join(r.folder, "system@1.journal")); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.look()
	if n := len(r.journal.done); n != 1 {
		t.Errorf("%d files are remembered after one of two was removed", n)
	}
}

// A journal that cannot be read is unknown, and zero is what can be read and has no match.
func TestUnknownIsNotZero(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	unknownBoth := map[string]float64{rate: unknown, count: unknown}
	r.want(unknownBoth) // there is none
	r.write("db.service", "error")
	r.want(map[string]float64{rate: 0, count: 0})

	path := filepath.Join(r.folder, system)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r.write("web.service", "error 1")
	r.want(map[string]float64{rate: .1, count: 1})
	for name, bad := range map[string][]byte{"cut": good[:200], "no journal": []byte("nothing of the kind"), "empty": nil} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r.want(unknownBoth)
		if s := r.Stats(); len(s) != 1 || s[0].Err == "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.write("web.service", "error 2", "error 3")
	r.want(map[string]float64{rate: .2, count: 1}) // the first look again
	want := []string{cannot, again, cannot, again}
	if !slices.Equal(r.story.lines, want) {
		t.Errorf("told %q", r.story.lines)
	}
}

// While journald rotates, a file is missing or blank for a moment. One that stays so is no journal.
func TestGap(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	r.write("web.service", "error 1")
	r.look()
	r.rotate("system@1.journal")
	r.want(map[string]float64{rate: .1})
	r.now += time.Second
	path := filepath.Join(r.folder, system)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.want(map[string]float64{rate: .1})
	r.now += 2 * time.Second
	r.want(map[string]float64{rate: unknown})
	r.now += time.Second
	r.want(map[string]float64{rate: unknown})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.write("web.service", "error 2")
	r.want(map[string]float64{rate: .2})
}

const (
	cannot = "journal cannot be read; the agent's user has to be in the group systemd-journal"
	again  = "journal can be read again"
)

// What is no target any more is unknown; what stays as it is goes on.
func TestTargetsChange(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	r.write("web.service", "error 1")
	r.look()
	r.write("web.service", "error 2")
	r.want(map[string]float64{count: 1})
	r.SetTargets([]Target{errorsOf("web.service")})
	r.want(map[string]float64{count: 1})
	other := errorsOf("web.service")
	other.Name = "others"
	r.SetTargets([]Target{other})
	r.want(map[string]float64{rate: unknown, "log.others.rate{web}": .2, "log.others.count{web}": 0})
	r.SetTargets(nil)
	r.want(map[string]float64{"log.others.rate{web}": unknown})
	if got := r.look(); got != nil {
		t.Errorf("%v of no targets", got)
	}
}

// Who asks for evidence while the journal is looked at disturbs nobody. The race detector judges.
func TestMatchesWhileLooking(t *testing.T) {
	quiet := errorsOf("db.service")
	quiet.Service = "db"
	r := newRig(t, errorsOf("web.service"), quiet)
	r.write("web.service", "error") // the busier service goes last
	var stop atomic.Bool
	asked, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		close(asked)
		for !stop.Load() {
			r.Matches("web.service")
		}
	}()
	<-asked
	r.look()
	stop.Store(true)
	<-done
	if m := r.Matches("web.service"); len(m) != 1 {
		t.Errorf("%+v", m)
	}
}
