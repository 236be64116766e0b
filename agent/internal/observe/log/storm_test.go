package log

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest/journaltest"
)

// flood writes n lines of a unit, every tenth of them an error.
func (r *rig) flood(unit string, n int) {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("line %d", i)
		if i%10 == 0 {
			texts[i] = fmt.Sprintf("error %d", i)
		}
	}
	r.write(unit, texts...)
}

// Of a storm a sample is read, of which the rate is right; a service beside it is read whole.
func TestStorm(t *testing.T) {
	quiet := errorsOf("db.service")
	quiet.Service = "db"
	r := newRig(t, errorsOf("web.service"), quiet)
	var read int
	r.reader.pick = func(n uint64) uint64 {
		read++
		return uint64(read*7) % n
	}
	r.write("web.service", "begin")
	r.look()
	read = 0
	r.flood("web.service", 3*mostLines)
	r.flood("db.service", 100)
	got := r.look()
	if v := got["log.errors.count{db}"]; v != 10 {
		t.Errorf("%v of 10 lines of the quiet service", v)
	}
	if v, want := got[count], 3*mostLines/10.; math.Abs(v-want) > want/10 {
		t.Errorf("%v lines, want about %v", v, want)
	}
	if read > mostLines {
		t.Errorf("%d lines were read", read)
	}
	r.now += time.Second
	r.look()
	r.now += calm
	r.look()
	want := []string{"too many lines, looking at a sample of them", "looking at all lines again"}
	if !slices.Equal(r.story.lines, want) {
		t.Errorf("told %q", r.story.lines)
	}
}

// An expression that takes too long ends the look, and the next one reads fewer lines.
func TestSlowLook(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	var passed time.Duration
	r.reader.time = func() time.Duration { return passed }
	var read int
	r.reader.pick = func(n uint64) uint64 {
		read++
		passed += time.Millisecond
		return uint64(read*7) % n
	}
	r.write("web.service", "begin")
	r.look()
	total := 0.
	for _, want := range []int{40, 20} { // as many as the time allows; then half as many, which are in time
		read, r.now = 0, r.now+time.Second
		r.flood("web.service", 400)
		got := r.look()
		if read != want {
			t.Errorf("%d lines were read, want %d", read, want)
		}
		if n := got[count] - total; n != 40 { // every tenth, also of those that were not read
			t.Errorf("%v lines matched, want 40", n)
		}
		total = got[count]
	}
	if r.most != mostLines {
		t.Errorf("the next look may read %d lines, after one that was in time", r.most)
	}
}

// A line is only looked at as far as the limit.
func TestLongLine(t *testing.T) {
	r := newRig(t, errorsOf("web.service"))
	r.write("web.service", "begin")
	r.look()
	long := make([]byte, longestLine)
	for i := range long {
		long[i] = 'x'
	}
	r.write("web.service", string(long[:longestLine-5])+"error", string(long)+"error")
	r.want(map[string]float64{count: 1})
	if m := r.Matches("web.service"); len(m) != 1 || len(m[0].Text) != keptText {
		t.Errorf("%d matches are kept, or too much of one", len(m))
	}
}

// benchmarkJournal is a journal of 50,000 lines of a hundred services, each with the fields that journald adds.
func benchmarkJournal(b *testing.B) string {
	folder := b.TempDir()
	entries := make([]journaltest.Entry, 50_000)
	for i := range entries {
		s := i % 100
		entries[i] = journaltest.Entry{Boot: boot, At: time.Hour + time.Duration(i)*time.Microsecond,
			Unit: fmt.Sprintf("app%d.service", s),
			Text: fmt.Sprintf("request %d from 10.0.0.%d took %d ms status=%d path=/api/v1/items/%d", i, i%250, i%977, 200+300*(i%50/49), i),
			Fields: []string{"_TRANSPORT=stdout", "PRIORITY=6", "SYSLOG_FACILITY=3", fmt.Sprintf("SYSLOG_IDENTIFIER=app%d", s),
				fmt.Sprintf("_PID=%d", 1000+s), "_UID=0", "_GID=0", fmt.Sprintf("_COMM=app%d", s),
				fmt.Sprintf("_EXE=/usr/bin/app%d", s), "_CAP_EFFECTIVE=0", "_SYSTEMD_SLICE=system.slice", "_HOSTNAME=h",
				fmt.Sprintf("_SYSTEMD_CGROUP=/system.slice/app%d.service", s), fmt.Sprintf("_STREAM_ID=%032x", s)},
		}
	}
	journaltest.Remote(b, filepath.Join(folder, system), nil, entries...)
	return folder
}

// BenchmarkLine is what a line costs: to find its text, and to look for the expression in it.
func BenchmarkLine(b *testing.B) {
	w, now := newStill(benchmarkJournal(b), hclog.NewNullLogger()), 2*time.Hour
	w.SetTargets([]Target{{Service: "a", Name: "errors", Unit: "*.service", Window: time.Second,
		Match: regexp.MustCompile(`status=5\d\d path=(?P<path>\S+)`)}})
	w.tick(now).Release()
	f := w.journal.open[0]
	if len(f.chains) != 100 {
		b.Fatalf("%d chains", len(f.chains))
	}
	s, m := w.streams[0], moment{now: now, mono: now, boot: bootID(boot)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := s.line(&w.reader, m, f.chains[i%100], uint64(i/100)%500, 1); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if b.N >= 50_000 && s.logs[0].count == 0 {
		b.Error("nothing matched")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkLook is what a look costs at which 64 services with a log each have written nothing.
func BenchmarkLook(b *testing.B) {
	folder, now := benchmarkJournal(b), 2*time.Hour
	var targets []Target
	for i := range 64 {
		targets = append(targets, Target{Service: fmt.Sprint(i), Name: "errors", Unit: fmt.Sprintf("app%d.service", i),
			Match: regexp.MustCompile("error")})
	}
	w := newStill(folder, hclog.NewNullLogger())
	w.SetTargets(targets)
	w.tick(now).Release()
	b.ReportAllocs()
	for b.Loop() {
		now += time.Second
		w.tick(now).Release()
	}
}
