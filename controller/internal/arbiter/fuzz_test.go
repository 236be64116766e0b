package arbiter

import (
	"testing"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// FuzzWindow: whatever window a node proposes, it is refused, or open for a time that can be told, at any moment.
func FuzzWindow(f *testing.F) {
	f.Add("02:00", "03:00", "Europe/Berlin", uint32(0), int64(1_795_768_275))
	f.Add("23:59", "00:00", "America/St_Johns", uint32(6), int64(-1))
	f.Add("02:30", "02:30", "Australia/Lord_Howe", uint32(7), int64(1_774_746_000))
	f.Add("24:00", "1:00", "../etc/passwd", uint32(1), int64(0))
	f.Fuzz(func(t *testing.T, from, to, zone string, day uint32, at int64) {
		w := &logpb.Window{Name: "w", From: from, To: to, Zone: zone, Days: []uint32{day}}
		if day == 7 {
			w.Days = nil
		}
		now := time.Unix(at, 0)
		for range 3 {
			// A day has up to 25 hours, and where clocks were put to another day up to 48.
			if d, open := left(w, now); open && (d <= 0 || d > 73*time.Hour) || !open && d != 0 {
				t.Errorf("%v at %v: %v, %t", w, now, d, open)
			}
			now = now.Add(12 * time.Hour)
		}
	})
}
