package anomaly

import (
	"math"
	"math/bits"
)

const (
	places = 64 // of one view: the bits of a word
	// eras is for how many of them a place is remembered after it was left (see state.age), and once for how many if it
	// has been visited in one era only: what happens once is not usual yet.
	eras = 16
	once = eras / 2
	// late is by how many samples the memory lags behind, so that a value that creeps away is compared with where it
	// came from and not with its own last step.
	late = 4
	// margin is by which share of the range it reaches beyond a value that lay outside.
	margin = 0.2
	// grain is the share of a value below which a difference is rounding.
	grain = 1e-9
)

// memory is where one view of a series has been of late: its range in equal places, and how long each of them is
// remembered. A value is as novel as it is far from the nearest place that is remembered, in shares of the range. So a
// value between two modes can be as novel as one above both, nothing is assumed of the distribution, and an outlier
// hides only what is near it.
type memory struct {
	Lo, Hi float64
	Left   [places]uint8 // for how many eras the place is remembered; 0: it is not
	Recent [late]uint8   // places of the last samples, which are not remembered yet: a ring
	Waits  uint8         // how many of Recent mean something
	Next   uint8         // where in Recent the next one goes
	Used   bool          // Lo and Hi mean something
	Live   uint64        // a bit for each place that is remembered
}

// novelty takes a value in and says how novel it was, from 0 to 1.
func (m *memory) novelty(y float64) float64 {
	switch {
	case !m.Used:
		m.Lo, m.Hi, m.Used = y, y, true
	case y < m.Lo || y > m.Hi:
		m.stretch(y)
	}
	p := m.place(y)
	away := m.distance(p)
	m.take(p)
	if away < 2 {
		return 0
	}
	return float64(away) / places
}

// place is the one that a value lies in; one outside lies in that of the nearer edge.
func (m *memory) place(y float64) int {
	if m.Hi <= m.Lo {
		return 0
	}
	return int(max(0, min(places-1, (y-m.Lo)/(m.Hi-m.Lo)*places)))
}

// distance is how many places the nearest one that is remembered is away; 0 while nothing is.
func (m *memory) distance(p int) int {
	if m.Live == 0 || m.Live&(1<<p) != 0 {
		return 0
	}
	below := bits.LeadingZeros64(m.Live << (places - 1 - p)) // places: none
	above := bits.TrailingZeros64(m.Live >> p)
	return min(below, above)
}

// take puts a place where it waits to be remembered, and remembers the one that has waited longest.
func (m *memory) take(p int) {
	if m.Waits == late {
		m.visit(int(m.Recent[m.Next]))
	} else {
		m.Waits++
	}
	m.Recent[m.Next] = uint8(p)
	m.Next = (m.Next + 1) % late
}

// visit remembers a place, and for long if that was so already in an earlier era.
func (m *memory) visit(p int) {
	if left := m.Left[p]; left == 0 || left == once {
		m.remember(p, once)
		return
	}
	m.remember(p, eras)
}

func (m *memory) remember(p int, left uint8) {
	m.Left[p] = max(m.Left[p], left)
	m.Live |= 1 << p
}

// stretch widens the range to a value outside it.
func (m *memory) stretch(y float64) {
	lo, hi := min(m.Lo, y), max(m.Hi, y)
	room := (hi - lo) * margin
	switch {
	case m.Hi > m.Lo && y > m.Hi:
		hi += room
	case m.Hi > m.Lo:
		lo -= room
	case hi-lo <= grain*math.Abs(y):
		return
	default: // it was constant
		lo, hi = lo-(hi-lo)/2, hi+(hi-lo)/2
	}
	m.fit(lo, hi)
}

// age forgets an era. Where the range has become wide for what is left, it narrows.
func (m *memory) age() {
	m.Live = 0
	for p, left := range m.Left {
		if left > 1 {
			m.Live |= 1 << p
		}
		m.Left[p] = max(1, left) - 1
	}
	if m.Live == 0 || m.Waits < late {
		return
	}
	first, last := bits.TrailingZeros64(m.Live), places-1-bits.LeadingZeros64(m.Live)
	for _, p := range m.Recent {
		first, last = min(first, int(p)), max(last, int(p))
	}
	if wide := float64(last + 1 - first); wide < places/4 && m.Hi > m.Lo {
		unit := (m.Hi - m.Lo) / places
		m.fit(m.Lo+unit*(float64(first)-margin*wide), m.Lo+unit*(float64(last+1)+margin*wide))
	}
}

// fit gives the memory another range; what is remembered keeps its values.
func (m *memory) fit(lo, hi float64) {
	old := *m
	m.Lo, m.Hi, m.Left, m.Live = lo, hi, [places]uint8{}, 0
	unit := (old.Hi - old.Lo) / places
	half := min(unit, (hi-lo)/places) / 2
	for p, left := range old.Left {
		if left == 0 {
			continue
		}
		at := old.Lo + unit*float64(p)
		for q := m.place(at + half); q <= m.place(at+unit-half); q++ {
			m.remember(q, left)
		}
	}
	for i, p := range old.Recent {
		m.Recent[i] = uint8(m.place(old.Lo + unit*(float64(p)+0.5)))
	}
}

// span is the range of what is remembered.
func (m *memory) span() band {
	if m.Live == 0 {
		return band{}
	}
	unit := (m.Hi - m.Lo) / places
	first, last := bits.TrailingZeros64(m.Live), places-bits.LeadingZeros64(m.Live)
	return band{m.Lo + unit*float64(first), m.Lo + unit*float64(last), true}
}
