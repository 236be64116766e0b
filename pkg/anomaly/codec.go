package anomaly

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// version is the first byte of a detector's bytes. Those of another one are learned anew.
const version = 2

// Size is how many bytes a detector has.
var Size = 1 + binary.Size(state{})

// AppendBinary appends the detector's bytes, Size of them. The error is always nil.
func (d *Detector) AppendBinary(b []byte) ([]byte, error) {
	return binary.Append(append(b, version), binary.LittleEndian, &d.s)
}

// UnmarshalBinary makes the detector the one whose bytes these are. What is not whole, or cannot be, is an error, and
// changes nothing.
func (d *Detector) UnmarshalBinary(b []byte) error {
	if len(b) != Size {
		return fmt.Errorf("a detector has %d bytes, not %d", Size, len(b))
	}
	if b[0] != version {
		return fmt.Errorf("version %d of a detector is not known", b[0])
	}
	var s state
	if _, err := binary.Decode(b[1:], binary.LittleEndian, &s); err != nil {
		return err
	}
	if !s.possible() {
		return errors.New("the bytes are damaged: no detector is like this")
	}
	d.s = s
	return nil
}

// possible reports whether samples can have led to the state. What it lets through may be wrong, but does no harm.
func (s *state) possible() bool {
	ok := -far < s.Last && s.Last < far && s.N < far && s.Episode.possible()
	for _, f := range s.Means {
		ok = ok && sound(f)
	}
	for _, f := range s.Season.Error {
		ok = ok && sound(f) && f >= 0
	}
	for _, f := range s.Season.Day {
		ok = ok && (f != f || sound(float64(f)))
	}
	for _, f := range s.Season.Week {
		ok = ok && (f != f || sound(float64(f)))
	}
	for _, f := range []float64{
		s.Age, s.EraAge, s.Period, s.Spread, s.Still.Same, s.Still.Run, s.Still.Longest, s.Peak, s.Held,
	} {
		ok = ok && sound(f) && f >= 0
	}
	for _, f := range s.Why.Parts {
		ok = ok && sound(f) && f >= 0
	}
	for _, f := range []float64{s.Prev, s.Why.Value, s.Why.Prev, s.Why.Season, s.Why.Low, s.Why.High} {
		ok = ok && sound(f)
	}
	for i := range s.Views {
		ok = ok && s.Views[i].possible()
	}
	return ok
}

func (m *memory) possible() bool {
	ok := sound(m.Lo) && sound(m.Hi) && m.Lo <= m.Hi && m.Waits <= late && m.Next < late
	live := uint64(0)
	for p, left := range m.Left {
		ok = ok && left <= eras
		if left > 0 {
			live |= 1 << p
		}
	}
	for _, p := range m.Recent {
		ok = ok && p < places
	}
	return ok && live == m.Live
}

// sound numbers are finite, and no sum of a few of them overflows, not even in 32 bits.
func sound(f float64) bool { return math.Abs(f) < 10*most }
