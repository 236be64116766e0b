package host

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

// testClock counts from the start of the test.
type testClock struct{ start time.Time }

func (c testClock) BootID() string { return "test" }

func (c testClock) Now() clock.Instant {
	return clock.Instant{Boot: time.Since(c.start), Wall: time.Now()}
}

func half(_ string, st *unix.Statfs_t) error {
	*st = unix.Statfs_t{Blocks: 1000, Bfree: 550, Bavail: 450, Files: 100, Ffree: 25}
	return nil
}

func TestDisksAreThoseThatCanFillUp(t *testing.T) {
	book := source.NewBook()
	var keys []string
	d := NewDisks(Options{
		Root: fixture(t), Book: book, Keys: func(_ string, k []string) { keys = k },
	}, testClock{time.Now()})
	d.statfs = half
	b := book.Batch()
	if err := d.round(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{}
	for _, path := range []string{"/", "/var/lib/my data", "/run", "/mnt/share"} {
		want[`host.disk["`+path+`"].used_ratio`] = .5
		want[`host.disk["`+path+`"].inodes_ratio`] = .75
		want[`host.disk["`+path+`"].read_only`] = 0
	}
	want[`host.disk["/var/lib/my data"].read_only`] = 1 // the kernel gave up; the mount still says rw
	want[`host.disk["/run"].read_only`] = unknown       // not in this mount namespace
	if diff := cmp.Diff(want, values(b), approx); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/", "/mnt/share", "/run", "/var/lib/my data"}, keys); diff != "" {
		t.Errorf("instances -want +got:\n%s", diff)
	}
}

// A network file system whose server is gone does not answer: its figures are unknown, it is not
// asked again before it has answered, and the others are not held up for longer than the time-out.
func TestHangingDiskIsUnknownAndAskedOnce(t *testing.T) {
	root := fixture(t)
	synctest.Test(t, func(t *testing.T) {
		book := source.NewBook()
		var failing error
		changed := func(_ string, err error) { failing = err }
		d := NewDisks(Options{Root: root, Book: book, Changed: changed}, testClock{time.Now()})
		release, asked := make(chan struct{}), atomic.Int32{}
		d.statfs = func(path string, st *unix.Statfs_t) error {
			if strings.HasSuffix(path, "/mnt/share") {
				asked.Add(1)
				<-release
			}
			return half(path, st)
		}
		ctx, cancel := context.WithCancel(t.Context())
		rounds := make(chan map[string]float64)
		go d.Run(ctx, func(b *source.Batch) {
			v := values(b)
			b.Release()
			rounds <- v
		})
		start := time.Now()
		for range 3 {
			got := <-rounds
			if got[`host.disk["/mnt/share"].used_ratio`] != unknown || got[`host.disk["/"].used_ratio`] != .5 {
				t.Errorf("figures %v", got)
			}
		}
		if took := time.Since(start); took != 2*diskEvery+diskTimeout {
			t.Errorf("three rounds took %v", took)
		}
		if asked.Load() != 1 || !errors.Is(failing, context.DeadlineExceeded) {
			t.Errorf("asked %d times, error %v", asked.Load(), failing)
		}
		close(release)
		if got := <-rounds; got[`host.disk["/mnt/share"].used_ratio`] != .5 {
			t.Errorf("after the server came back: %v", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestDisksOfThisHost(t *testing.T) {
	book := source.NewBook()
	d := NewDisks(Options{Book: book}, testClock{time.Now()})
	b := book.Batch()
	if err := d.round(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	v, ok := values(b)[`host.disk["/"].used_ratio`]
	if !ok || v <= 0 || v > 1 {
		t.Errorf("the root file system is %v full (there: %v)", v, ok)
	}
}

func TestMeasure(t *testing.T) {
	if u := measure(&unix.Statfs_t{}); u.hasUsed || u.hasInodes {
		t.Errorf("a file system without blocks: %+v", u)
	}
	if u := measure(&unix.Statfs_t{Blocks: 10, Bfree: 20, Files: 1, Ffree: 2}); u.hasUsed || u.inodes != 0 {
		t.Errorf("a file system that lies: %+v", u)
	}
}
