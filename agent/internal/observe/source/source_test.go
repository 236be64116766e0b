package source

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/series"
)

func TestSameKeySameHandle(t *testing.T) {
	k := NewBook()
	a, b := k.Handle("unit.cpu", "x.service"), k.Handle("unit.cpu", "x.service")
	if a != b || a == k.Handle("unit.cpu", "y.service") {
		t.Error("handles and keys are not one to one")
	}
	k.Forget(func(key series.Key) bool { return key.Of == "x.service" })
	if k.Handle("unit.cpu", "x.service") == a {
		t.Error("a forgotten handle came back")
	}
}

func TestBatchesAreUsedAgain(t *testing.T) {
	k := NewBook()
	h := k.Handle("host.cpu.busy", "")
	b := k.Batch()
	for range 1000 {
		b.Set(h, time.Second, 1)
	}
	b.Release()
	if n := testing.AllocsPerRun(100, func() {
		b := k.Batch()
		for range 300 {
			b.Set(h, time.Second, .5)
			b.Unknown(h, time.Second)
			b.Maybe(h, time.Second, 0, true)
		}
		b.Release()
	}); n != 0 {
		t.Errorf("a batch costs %v allocations", n)
	}
	if b := k.Batch(); len(b.Samples) != 0 || b.Samples[:1][0].Handle != nil {
		t.Error("a released batch still has its samples")
	}
}

// A source that delivers much does not make all batches large.
func TestTheLastBatchIsTheNext(t *testing.T) {
	k := NewBook()
	small, large := k.Batch(), k.Batch()
	small.Release()
	large.Release()
	if k.Batch() != large || k.Batch() != small {
		t.Error("a batch that came back earlier went out again first")
	}
	for range 2 * spareBatches {
		(&Batch{home: k}).Release()
	}
	if n := len(k.spare); n != spareBatches {
		t.Errorf("%d batches are kept, want %d", n, spareBatches)
	}
}

func TestMeterTellsChangesOnly(t *testing.T) {
	m := Meter{Name: "x"}
	failure := errors.New("broken")
	steps := []struct {
		err     error
		changed bool
	}{{nil, false}, {failure, true}, {failure, false}, {errors.New("worse"), false}, {nil, true}, {nil, false}}
	for i, s := range steps {
		if got := m.Record(time.Duration(i+1)*time.Second, time.Millisecond, s.err); got != s.changed {
			t.Errorf("step %d: changed %v", i, got)
		}
		if got := m.Stats(); (got.Err != "") != (s.err != nil) || s.err != nil && got.Err != s.err.Error() {
			t.Errorf("step %d: %+v", i, got)
		}
	}
	m.Warn(2)
	m.Warn(1)
	want := Stats{Name: "x", Warnings: 3, Runs: 6, Failures: 3, Last: time.Millisecond, Busy: 6 * time.Millisecond,
		Success: 6 * time.Second}
	if got := m.Stats(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { m.Record(1, 1, nil) }); n != 0 {
		t.Errorf("a run without a failure allocates %v times", n)
	}
}

// What a server wrote into its error may be long, and end in the middle of a letter.
func TestLongErrors(t *testing.T) {
	var m Meter
	m.Record(1, 1, errors.New(strings.Repeat("x", longest-1)+strings.Repeat("é", longest)))
	if got, want := m.Stats().Err, strings.Repeat("x", longest-1)+"…"; got != want {
		t.Errorf("%d bytes, %q", len(got), got[len(got)-10:])
	}
}
