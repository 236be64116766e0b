package anomaly

import "testing"

// full is a memory that has been shown each value so often that it is remembered.
func full(values ...float64) *memory {
	m := &memory{}
	for range late + 2 {
		for _, v := range values {
			m.novelty(v)
		}
	}
	return m
}

// A memory of 0 and 64 has the range -32 to 96, so a place is 2 wide.
func TestNovelty(t *testing.T) {
	for _, c := range []struct {
		name string
		m    *memory
		y    float64
		want float64 // in places
	}{
		{"the same", full(0, 64), 64, 0},
		{"the next place", full(0, 64), 2.5, 0},
		{"the next but one", full(0, 64), 4.5, 2},
		{"between two", full(0, 64), 32, 16},
		{"beyond, so that the range grows to -32 to 160", full(0, 64), 128, 21},
		{"below, so that the range grows to -122.4 to 96", full(0, 64), -86, 26},
		{"of a constant", full(5, 5), 5, 0},
		{"beside a constant, in the range 4.5 to 6.5", full(5, 5), 6, 32},
		{"rounding of a constant", full(5, 5), 5 * (1 + 1e-12), 0},
	} {
		if got := c.m.novelty(c.y) * places; got != c.want {
			t.Errorf("%s: %v is %v places away, want %v", c.name, c.y, got, c.want)
		}
	}
}

// TestLate: the newest samples are not remembered yet, so that creeping does not hide itself.
func TestLate(t *testing.T) {
	m := full(0, 100)
	first := m.novelty(50)
	for i := range late {
		if got := m.novelty(50); got != first {
			t.Fatalf("sample %d after it: %v, want %v", i+1, got, first)
		}
	}
	if got := m.novelty(50); got != 0 {
		t.Errorf("it is not remembered after %d samples: %v", late, got)
	}
}

// TestOnce: what was visited in one era is forgotten after half the time, what was again later, after all of it.
func TestOnce(t *testing.T) {
	for _, again := range []bool{false, true} {
		m := full(0, 100)
		show := func() {
			m.novelty(50)
			for range late { // and on to what is usual
				m.novelty(0)
			}
		}
		show()
		m.age()
		left := once - 1
		if again {
			show()
			left = eras
		}
		p := m.place(50)
		if got := int(m.Left[p]); got != left {
			t.Errorf("again %v: it is remembered for %d eras, want %d", again, got, left)
		}
		for range left {
			if m.Live&(1<<p) == 0 {
				t.Fatalf("again %v: it is forgotten too early", again)
			}
			m.age()
		}
		if m.Live&(1<<p) != 0 {
			t.Errorf("again %v: it is not forgotten", again)
		}
	}
}

// TestNarrows: when an outlier is forgotten, the range is that of the rest again, and what is remembered stays.
func TestNarrows(t *testing.T) {
	m := full(0, 1)
	m.novelty(1000)
	for range eras {
		for i := range 3 * late {
			m.novelty(float64(i % 2))
		}
		m.age()
	}
	if m.Hi-m.Lo > 100 {
		t.Errorf("the range is %v to %v", m.Lo, m.Hi)
	}
	if a, b, c := m.novelty(0), m.novelty(1), m.novelty(1000); a > 0 || b > 0 || c == 0 {
		t.Errorf("novelty of 0, 1 and 1000 is %v, %v and %v", a, b, c)
	}
}

// TestGapIsNoChange: after a gap the sample is not compared with the one before it.
func TestGapIsNoChange(t *testing.T) {
	for _, gap := range []bool{false, true} {
		d := New()
		run(d, 0, twoWeeks+10, busy)
		at := start.Add((twoWeeks + 10) * step)
		if gap {
			at = at.Add(gapAfter * step)
		}
		changes := d.s.Views[Change]
		d.Observe(at, busy(twoWeeks+10)+30)
		if same := d.s.Views[Change] == changes; same != gap {
			t.Errorf("gap %v: the change was looked at: %v", gap, !same)
		}
	}
}

func TestStillness(t *testing.T) {
	moving := func(longest int) *stillness {
		s := &stillness{}
		for i := range 2000 {
			s.novelty(i%100 < longest, float64(i+1))
		}
		return s
	}
	stands := func(s *stillness) int { // samples until it is novel; 0: never
		for i := range 300 {
			if s.novelty(true, 3000) > 0 {
				return i + 1
			}
		}
		return 0
	}
	if got := stands(moving(0)); got != 12 {
		t.Errorf("a series that never stands is noticed after %d samples, want 12", got)
	}
	if got := stands(moving(10)); got != 30 {
		t.Errorf("one that stands for ten at times is noticed after %d, want 30", got)
	}
	if got := stands(moving(90)); got != 0 {
		t.Errorf("one that mostly stands is noticed after %d, want never", got)
	}
}
