package anomaly

import "math"

const (
	second = int64(1e9)
	// The slots of a day and of a week, and how many visits to a slot count: what is older fades.
	daySlots, dayWidth, dayVisits    = 48, 1800, 4
	weekSlots, weekWidth, weekVisits = 168, 3600, 4
)

// season predicts a sample by the long run, by the time of day, or by the hour of the week: whichever has been nearest
// of late.
type season struct {
	Day   [daySlots]float32  // usual value of each half hour; NaN: never seen
	Week  [weekSlots]float32 // of each hour
	Error [3]float64         // mean absolute error of late of the long run, Day and Week
}

// slot is one prediction, and what it takes to move it.
type slot struct {
	usual  *float32
	width  float64 // seconds
	visits float64
	cycle  float64 // seconds
}

func (s *season) forget() {
	nan := float32(math.NaN())
	for i := range s.Day {
		s.Day[i] = nan
	}
	for i := range s.Week {
		s.Week[i] = nan
	}
}

func (s *season) slots(now int64) (day, week slot) {
	at := func(width, n int64) int64 { // Where a week begins does not matter.
		i := now / (width * second) % n
		return (i + n) % n
	}
	return slot{&s.Day[at(dayWidth, daySlots)], dayWidth, dayVisits, dayWidth * daySlots},
		slot{&s.Week[at(weekWidth, weekSlots)], weekWidth, weekVisits, weekWidth * weekSlots}
}

// residual takes in a sample and gives its distance from the prediction. since is how many seconds have passed from the
// sample before, age how many since the first one; rate is how fast the errors are averaged.
func (s *season) residual(now int64, x, long, since, age, rate float64) float64 {
	day, week := s.slots(now)
	day.begin(long)
	week.begin(float64(*day.usual))
	errs := [...]float64{x - long, x - float64(*day.usual), x - float64(*week.usual)}
	best := s.best()
	for i, e := range errs {
		s.Error[i] += rate * (math.Abs(e) - s.Error[i])
	}
	day.learn(x, since, age)
	week.learn(x, since, age)
	return errs[best]
}

// best is which of the predictions has been nearest of late.
func (s *season) best() (best int) {
	for i, e := range s.Error {
		if e < s.Error[best] {
			best = i
		}
	}
	return best
}

// predict is the prediction for a moment.
func (s *season) predict(now int64, long float64) float64 {
	day, week := s.slots(now)
	guess := [...]float64{long, float64(*day.usual), float64(*week.usual)}[s.best()]
	if guess != guess { // a slot that was never seen
		return long
	}
	return guess
}

// begin is the guess for a slot that has never been seen.
func (p slot) begin(guess float64) {
	if *p.usual != *p.usual {
		*p.usual = float32(guess)
	}
}

// learn moves the slot towards a sample by its share of the time spent in the slot so far, however often samples come.
func (p slot) learn(x, since, age float64) {
	visits := min(p.visits, math.Floor(age/p.cycle)+1)
	*p.usual += float32(min(1, since/p.width/visits) * (x - float64(*p.usual)))
}
