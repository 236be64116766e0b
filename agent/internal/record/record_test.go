package record

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
)

var begin = clock.Instant{Boot: time.Hour, Wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}

func newRecorder(t *testing.T, dir string, limit int64) *Recorder {
	t.Helper()
	r, err := New(Options{Dir: dir, Limit: limit, Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seconds records so many, from a moment on, of one series that counts them.
func seconds(r *Recorder, from time.Duration, n int) {
	st := series.New()
	s := st.Open(series.Key{Signal: "x"}, series.Options{Every: time.Second})
	for i := range n {
		now := begin.Add(from + time.Duration(i)*time.Second)
		s.Set(now.Boot, float64(i))
		r.Second(now, st, map[string]bool{"": true, "web": false})
		for len(r.out) > 0 {
			r.write(<-r.out)
		}
	}
}

// recorded are the names of all files and the seconds in them, since begin.
func recorded(t *testing.T, dir string) (names []string, at []int64, size int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+recording.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		size += int64(len(data))
		if damaged := recording.Read(data, func(s recording.Span) bool {
			for _, a := range s.At {
				at = append(at, a-begin.Wall.Unix())
			}
			return true
		}); damaged > 0 {
			t.Errorf("%s: %d bytes are damaged", name, damaged)
		}
	}
	return names, at, size
}

func TestEverySecondOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r := newRecorder(t, dir, 1<<20)
	seconds(r, 0, 700)
	seconds(r, 699*time.Second, 1) // the same second again
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = newRecorder(t, dir, 1<<20) // the next process
	seconds(r, time.Hour, 10)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	names, at, _ := recorded(t, dir)
	if len(names) != 2 || len(at) != 710 || at[0] != 0 || at[699] != 699 || at[700] != 3600 {
		t.Errorf("%d files, %d seconds", len(names), len(at))
	}
}

// TestBounded: the ring never takes more than it may, and keeps the newest.
func TestBounded(t *testing.T) {
	dir := t.TempDir()
	const limit = 8 << 10
	r := newRecorder(t, dir, limit)
	for hour := range 40 {
		seconds(r, time.Duration(hour)*time.Hour, 601)
		if _, _, size := recorded(t, dir); size > limit {
			t.Fatalf("hour %d: %d bytes, limit %d", hour, size, limit)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	names, at, _ := recorded(t, dir)
	if last := int64(39*3600 + 600); len(at) == 0 || at[len(at)-1] != last || len(names) < 4 {
		t.Errorf("%d files up to second %v, want %d", len(names), at[len(at)-1:], last)
	}
	if !slices.IsSorted(at) {
		t.Error("the names of the files are not in the order of time")
	}
}

// TestClockSetBack: what follows is a block of its own, and the ring goes on in its order: the oldest goes, not what has
// the earliest time.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(t, dir, 1<<20)
	seconds(r, time.Hour, 5)
	seconds(r, 0, 5)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, at, _ := recorded(t, dir); !slices.Equal(at, []int64{3600, 3601, 3602, 3603, 3604, 0, 1, 2, 3, 4}) {
		t.Errorf("seconds %v", at)
	}
	r = newRecorder(t, dir, 1<<20)
	seconds(r, -48*time.Hour, 5)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	names, at, size := recorded(t, dir)
	if len(names) != 2 || at[0] != 3600 || at[len(at)-1] != 4-48*3600 {
		t.Errorf("%d files, seconds %v", len(names), at)
	}
	if r.o.Limit = size - 1; r.makeRoom(0) != nil {
		t.Error("there is no room")
	}
	if names, at, _ = recorded(t, dir); len(names) != 1 || at[0] != -48*3600 {
		t.Errorf("%d files, seconds %v: want the newest", len(names), at)
	}
}

// TestDiskTakesNothing: nobody waits and nothing fails, and it goes on once the disk does.
func TestDiskTakesNothing(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(t, dir, 64) // less than one block
	seconds(r, 0, 650)
	if names, _, _ := recorded(t, dir); len(names) != 0 || !r.failed {
		t.Errorf("%v although nothing fits; failed %t", names, r.failed)
	}
	r.o.Limit = 1 << 20
	seconds(r, time.Hour, 400)
	if err := r.Close(); err != nil || r.failed {
		t.Errorf("failed %t, %v", r.failed, err)
	}
	if _, at, _ := recorded(t, dir); len(at) < 400 {
		t.Errorf("%d seconds after the disk came back", len(at))
	}
}

// TestTooLargeBlock: what can never fit costs nothing that was recorded.
func TestTooLargeBlock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ring[1]") // which is no pattern
	r := newRecorder(t, dir, 8<<10)
	seconds(r, 0, 310)
	r.write(make([]byte, 9<<10))
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || !r.failed {
		t.Errorf("%d files, failed %t, %v", len(left), r.failed, err)
	}
	r.o.Limit = 1 // so that the file has to go
	if err := r.makeRoom(1); err != nil {
		t.Error(err)
	}
	if left, err = os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

// TestNobodyWaits: with a disk that never answers, the engine's second ends nevertheless.
func TestNobodyWaits(t *testing.T) {
	r := newRecorder(t, t.TempDir(), 1<<20)
	st := series.New()
	for i := range 10 * recording.MaxTicks { // nobody takes blocks
		r.Second(begin.Add(time.Duration(i)*time.Second), st, nil)
	}
	if len(r.out) != queue {
		t.Errorf("%d blocks wait, want %d", len(r.out), queue)
	}
}
