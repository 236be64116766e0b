package anomaly

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func learned() *Detector {
	d := New()
	run(d, 0, 600, busy)
	return d
}

// TestRestart: a detector that was bytes in between goes on as if nothing had happened.
func TestRestart(t *testing.T) {
	one := learned()
	b, err := one.AppendBinary(nil)
	if err != nil || len(b) != Size || Size > 2048 {
		t.Fatalf("%d bytes, want %d: %v", len(b), Size, err)
	}
	var two Detector
	if err := two.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	for i := 600; i < 1200; i++ {
		at, x := start.Add(time.Duration(i)*step), busy(i)*(1+float64(i%211/210))
		if v, w := one.Observe(at, x), two.Observe(at, x); v != w {
			t.Fatalf("sample %d: %+v, and after the restart %+v", i, v, w)
		}
	}
	b, _ = one.AppendBinary(b[:0])
	c, _ := two.AppendBinary(nil)
	if !bytes.Equal(b, c) {
		t.Error("their bytes differ")
	}
}

func TestDamaged(t *testing.T) {
	good, _ := learned().AppendBinary(nil)
	for _, c := range []struct {
		name, want string
		harm       func(*state)
	}{
		{"mean", "damaged", func(s *state) { s.Means[1] = math.NaN() }},
		{"season", "damaged", func(s *state) { s.Season.Week[3] = float32(math.Inf(1)) }},
		{"error", "damaged", func(s *state) { s.Season.Error[2] = -1 }},
		{"range", "damaged", func(s *state) { s.Views[Value].Lo = s.Views[Value].Hi + 1 }},
		{"place", "damaged", func(s *state) { s.Views[Change].Recent[0] = places }},
		{"ring", "damaged", func(s *state) { s.Views[Change].Next = late }},
		{"waiting", "damaged", func(s *state) { s.Views[Change].Waits = late + 1 }},
		{"eras", "damaged", func(s *state) { s.Views[Level].Left[9] = eras + 1 }},
		{"bits", "damaged", func(s *state) { s.Views[Level].Live = 0 }},
		{"age", "damaged", func(s *state) { s.Age = -1 }},
		{"time of no clock", "damaged", func(s *state) { s.Last = far }},
		{"peak", "damaged", func(s *state) { s.Held = math.Inf(1) }},
		{"reason", "damaged", func(s *state) { s.Why.Parts[0] = -1 }},
		{"expectation", "damaged", func(s *state) { s.Why.Low = math.NaN() }},
		{"count", "damaged", func(s *state) { s.N = 1 << 63 }},
		{"nothing", "", func(*state) {}},
	} {
		var d, into Detector
		if err := d.UnmarshalBinary(good); err != nil {
			t.Fatal(err)
		}
		c.harm(&d.s)
		b, _ := d.AppendBinary(nil)
		err := into.UnmarshalBinary(b)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || into != (Detector{})) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for name, b := range map[string][]byte{"empty": nil, "short": good[:Size-1], "long": append(good[:Size:Size], 0)} {
		if err := new(Detector).UnmarshalBinary(b); err == nil || !strings.Contains(err.Error(), "bytes, not") {
			t.Errorf("%s: %v", name, err)
		}
	}
	later := bytes.Clone(good)
	later[0]++
	if err := new(Detector).UnmarshalBinary(later); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("a later version: %v", err)
	}
}

// FuzzState: whatever is taken for a detector takes samples, and its scores are scores.
func FuzzState(f *testing.F) {
	good, _ := learned().AppendBinary(nil)
	f.Add(good, 1.0, int64(1))
	fresh, _ := New().AppendBinary(nil)
	f.Add(fresh, -1e300, int64(-1))
	f.Add([]byte{version}, 0.0, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, x float64, after int64) {
		var d Detector
		if d.UnmarshalBinary(b) != nil {
			return
		}
		var again Detector
		c, _ := d.AppendBinary(nil)
		if err := again.UnmarshalBinary(c); err != nil {
			t.Fatal(err)
		}
		if e, _ := again.AppendBinary(nil); !bytes.Equal(e, c) {
			t.Fatal("it is not what was written")
		}
		for i := range 300 {
			v := d.Observe(time.Unix(0, d.s.Last+after/1000).Add(time.Duration(i)), x*float64(i%3-1))
			if !(v.Score >= 0 && v.Score <= 1 && v.Onset >= 0 && v.Onset <= 1) {
				t.Fatalf("sample %d: %+v", i, v)
			}
		}
		for i := range d.s.Views {
			d.s.Views[i].age()
		}
		d.Why()
		next, _ := d.AppendBinary(nil)
		if err := new(Detector).UnmarshalBinary(next); err != nil {
			t.Fatalf("it cannot be read again: %v", err)
		}
	})
}
