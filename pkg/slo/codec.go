package slo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// version is the first byte of a tracker's bytes. Those of another one are counted anew.
const version = 1

// most is beyond the time of any observation, so that no sum of a few times overflows.
const most = time.Duration(1 << 60)

// image is a tracker as bytes.
type image struct {
	Allowed      float64
	Window, Last time.Duration
	Spent        uint8 // 1: it is
	Recent       [Slow / time.Minute]saved
	Whole        [parts]saved
}

// saved is a bucket, counted back from the newest.
type saved struct {
	Bad, All float64
	Known    time.Duration
}

// Size is how many bytes a tracker has.
var Size = 1 + binary.Size(image{})

// AppendBinary appends the tracker's bytes, Size of them. The error is always nil.
func (t *Tracker) AppendBinary(b []byte) ([]byte, error) {
	i := image{Allowed: t.allowed, Window: t.window, Last: t.last}
	if t.spent {
		i.Spent = 1
	}
	t.recent.save(i.Recent[:])
	t.whole.save(i.Whole[:])
	return binary.Append(append(b, version), binary.LittleEndian, &i)
}

// UnmarshalBinary makes the tracker the one whose bytes these are; call Resume before it observes. What is not whole, or
// cannot be, is an error, and changes nothing.
func (t *Tracker) UnmarshalBinary(b []byte) error {
	if len(b) != Size {
		return fmt.Errorf("a tracker has %d bytes, not %d", Size, len(b))
	}
	if b[0] != version {
		return fmt.Errorf("version %d of a tracker is not known", b[0])
	}
	var i image
	if _, err := binary.Decode(b[1:], binary.LittleEndian, &i); err != nil {
		return err
	}
	if !(i.Allowed > 0 && i.Allowed < 1) || i.Window < parts || i.Window > most || i.Last < 0 || i.Last > most ||
		i.Spent > 1 {
		return errDamaged
	}
	n := New(1-i.Allowed, i.Window)
	n.allowed, n.last, n.spent = i.Allowed, i.Last, i.Spent == 1
	if !n.recent.load(i.Recent[:], i.Last) || !n.whole.load(i.Whole[:], i.Last) {
		return errDamaged
	}
	*t = *n
	return nil
}

var errDamaged = errors.New("the bytes are damaged: no tracker is like this")

// Resume goes on with a tracker of which now is so long after its last observation: of the time between nothing is known.
// Clocks differ from boot to boot, so it also says what now is; less than no time is none.
func (t *Tracker) Resume(now, away time.Duration) {
	t.shift = t.last + min(max(0, away), most) - now
}

// Clone is a copy that goes its own way.
func (t *Tracker) Clone() *Tracker {
	c := *t
	c.recent.buckets, c.whole.buckets = slices.Clone(t.recent.buckets), slices.Clone(t.whole.buckets)
	return &c
}

// save copies the buckets, the newest first.
func (r *ring) save(to []saved) {
	n := int64(len(r.buckets))
	for i := range to {
		b := r.buckets[((r.at-int64(i))%n+n)%n]
		to[i] = saved{b.bad, b.all, b.known}
	}
}

// load is the way back, for a newest bucket of that time. It is false for what cannot have been counted.
func (r *ring) load(from []saved, at time.Duration) bool {
	n := int64(len(r.buckets))
	r.at = int64(at / r.step)
	for i, s := range from {
		full := s.Known <= r.step+longest
		if !full || s.Known < 0 || !(s.All >= 0 && s.All <= heaviest*s.Known.Seconds()) || !(s.Bad >= 0 && s.Bad <= s.All) {
			return false
		}
		r.buckets[((r.at-int64(i))%n+n)%n] = bucket{s.Bad, s.All, s.Known}
	}
	return true
}
