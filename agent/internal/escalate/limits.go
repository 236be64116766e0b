package escalate

import "time"

// Limits bound the courier. A zero field of Options.Limits means the default of DefaultLimits.
type Limits struct {
	Waiting int           // messages that wait, farewells exempt
	Jobs    int           // deliveries remembered of one incident
	First   time.Duration // wait after the first failure of a notifier; it doubles with each
	Most    time.Duration // longest such wait, unless the notifier itself asks for more
	Jitter  float64       // share by which waits vary, so that many agents do not come back at once
	GiveUp  time.Duration // how long a message is tried
	Keep    time.Duration // how long an ended incident is remembered, to drop what comes late
	Commit  time.Duration // how long a commit before sending may take; then it is sent uncommitted
}

// DefaultLimits are the limits of the product.
func DefaultLimits() Limits {
	return Limits{
		Waiting: 1000,
		Jobs:    200,
		First:   time.Second,
		Most:    5 * time.Minute,
		Jitter:  0.2,
		GiveUp:  24 * time.Hour,
		Keep:    24 * time.Hour,
		Commit:  5 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.Waiting, d.Waiting)
	fill(&l.Jobs, d.Jobs)
	fill(&l.First, d.First)
	fill(&l.Most, d.Most)
	fill(&l.Jitter, d.Jitter)
	fill(&l.GiveUp, d.GiveUp)
	fill(&l.Keep, d.Keep)
	fill(&l.Commit, d.Commit)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
