package series

import (
	"math"
	"testing"
	"time"
)

// unknown stands for an answer that is not known, in tables.
var unknown = math.NaN()

type windowFunc func(s *Series, now, window, since time.Duration) (float64, bool)

func quantile(p float64) windowFunc {
	return func(s *Series, now, window, since time.Duration) (float64, bool) {
		return s.Quantile(p, now, window, since)
	}
}

func predict(ahead time.Duration) windowFunc {
	return func(s *Series, now, window, since time.Duration) (float64, bool) {
		return s.Predict(ahead, now, window, since)
	}
}

func TestFunctions(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		f      windowFunc
		s      *Series
		now    time.Duration
		window time.Duration
		since  time.Duration
		want   float64
	}{
		{"avg", (*Series).Avg, fill(polled(9*sec), 9, 1, 2, 3), 4 * sec, 3 * sec, 0, 2},
		{"avg skips a gap", (*Series).Avg, fill(polled(9*sec), 9, 1, nan, 3), 4 * sec, 3 * sec, 0, 2},
		{"avg of a window that is not filled", (*Series).Avg, fill(polled(9*sec), 1, 2, 3), 3 * sec, 6 * sec, 0, unknown},
		{"avg two periods before it is filled", (*Series).Avg, fill(polled(9*sec), 1, 2, 3), 3 * sec, 4 * sec, 0, 2},
		{"avg of a dead source", (*Series).Avg, fill(polled(9*sec), 1, 2, 3), 7 * sec, 6 * sec, 0, unknown},
		{"avg of nothing", (*Series).Avg, fill(polled(9 * sec)), 7 * sec, 3 * sec, 0, unknown},
		{"avg since", (*Series).Avg, fill(polled(9*sec), 9, 9, 1, 2, 3), 5 * sec, 9 * sec, 2 * sec, 2},
		{"avg since, too few", (*Series).Avg, fill(polled(9*sec), 9, 9, 9, 2, 3), 5 * sec, 9 * sec, 3 * sec, unknown},
		{"avg since long ago", (*Series).Avg, fill(polled(9*sec), 9, 9, 9, 2, 4), 5 * sec, 2 * sec, 1 * sec, 3},
		{"avg of events weighs by time", (*Series).Avg, fill(event(9*sec), 1, 0), 11 * sec, 10 * sec, 0, 0.1},
		{"avg of events with a gap", (*Series).Avg, fill(event(9*sec), 1, nan, 4), 5 * sec, 4 * sec, 0, 3},
		{"avg of an event at this moment", (*Series).Avg, fill(event(9*sec), 7), 1 * sec, 0, 0, 7},
		{"avg of events, not watched long enough", (*Series).Avg, fill(event(9*sec), 1, 0), 11 * sec, 11 * sec, 0, unknown},
		{"avg of events, unknown now", (*Series).Avg, fill(event(9*sec), 1, nan), 11 * sec, 5 * sec, 0, unknown},
		{"min", (*Series).Min, fill(polled(9*sec), 0, 3, 1, 2), 4 * sec, 3 * sec, 0, 1},
		{"min counts the event in force", (*Series).Min, fill(event(9*sec), 0, 3), 9 * sec, 7*sec + 1, 0, 0},
		{"max", (*Series).Max, fill(polled(9*sec), 9, 3, 1, nan, 2), 5 * sec, 4 * sec, 0, 3},
		{"max unknown", (*Series).Max, fill(polled(9*sec), 9, 3), 20 * sec, 4 * sec, 0, unknown},
		{"sum", (*Series).Sum, fill(polled(9*sec), 9, 1, nan, 3), 4 * sec, 3 * sec, 0, 4},
		{"sum of events leaves out the one in force", (*Series).Sum, fill(event(9*sec), 9, 1, 3), 4 * sec, 2*sec + 1, 0, 4},
		{"sum of no events", (*Series).Sum, fill(event(9*sec), 9), 8 * sec, 3 * sec, 0, 0},
		{"sum of what overflows", (*Series).Sum, fill(polled(9*sec), 1e308, 1e308, 1e308), 3 * sec, 3 * sec, 0, unknown},
		{"count", (*Series).Count, fill(polled(9*sec), 9, 1, nan, 3), 4 * sec, 3 * sec, 0, 2},
		{"count of a dead source", (*Series).Count, fill(polled(9*sec), 9, 1), 40 * sec, 3 * sec, 0, 0},
		{"count of a window that is not filled", (*Series).Count, fill(polled(9*sec), 9, 1), 2 * sec, 9 * sec, 0, unknown},
		{"count of events", (*Series).Count, fill(event(9*sec), 9, 1, 1), 5 * sec, 3*sec + 1, 0, 2},
		{"last", (*Series).Newest, fill(polled(60*sec), 9, 1, nan), 20 * sec, 60 * sec, 0, 1},
		{"last, too long ago", (*Series).Newest, fill(polled(9*sec), 9, 1, nan), 20 * sec, 9 * sec, 0, unknown},
		{"last since", (*Series).Newest, fill(polled(9*sec), 9, 1, nan), 3 * sec, 9 * sec, 2 * sec, unknown},
		{"last of an event in force", (*Series).Newest, fill(event(9*sec), 9), 50 * sec, 9 * sec, 0, 9},
		{"stddev", (*Series).Stddev, fill(polled(9*sec), 2, 4, 4, 4, 5, 5, 7, 9), 8 * sec, 8 * sec, 0, 2},
		{"stddev of one", (*Series).Stddev, fill(polled(9*sec), 2, 4), 2 * sec, sec, 0, 0},
		{"change", (*Series).Change, fill(polled(9*sec), 9, 1, 8, 4), 4 * sec, 3 * sec, 0, 3},
		{"change of one sample", (*Series).Change, fill(polled(9*sec), 9), 1 * sec, 2 * sec, 0, unknown},
		{"change of events", (*Series).Change, fill(event(9*sec), 2, 5), 9 * sec, 8 * sec, 0, 3},
		{"change of no events", (*Series).Change, fill(event(9*sec), 2, 5), 9 * sec, 6 * sec, 0, 0},
		{"increase", (*Series).Increase, fill(polled(9*sec), 5, 7, 1, 4), 4 * sec, 4 * sec, 0, 6},
		{"increase of events", (*Series).Increase, fill(event(9*sec), 5, 7, 0, 1), 9 * sec, 8 * sec, 0, 3},
		{"rate", (*Series).Rate, fill(polled(9*sec), 10, 12, 16), 3 * sec, 3 * sec, 0, 3},
		{"rate over a reset", (*Series).Rate, fill(polled(9*sec), 10, 12, 4), 3 * sec, 3 * sec, 0, 3},
		{"rate of one sample", (*Series).Rate, fill(polled(9*sec), 10), 1 * sec, 2 * sec, 0, unknown},
		{"rate of events", (*Series).Rate, fill(event(9*sec), 0, 4), 9 * sec, 8 * sec, 0, 0.5},
		{"change ratio", (*Series).ChangeRatio, fill(polled(9*sec), 2, 3), 2 * sec, 2 * sec, 0, 0.5},
		{"change ratio of a negative", (*Series).ChangeRatio, fill(polled(9*sec), -2, -3), 2 * sec, 2 * sec, 0, -0.5},
		{"change ratio from zero", (*Series).ChangeRatio, fill(polled(9*sec), 0, 3), 2 * sec, 2 * sec, 0, unknown},
		{"median", quantile(0.5), fill(polled(9*sec), 3, 1, 2, 4), 4 * sec, 4 * sec, 0, 2.5},
		{"quantile 1", quantile(1), fill(polled(9*sec), 3, 1, 2, 4), 4 * sec, 4 * sec, 0, 4},
		{"quantile 0", quantile(0), fill(polled(9*sec), 3, 1, nan, 4), 4 * sec, 4 * sec, 0, 1},
		{"quantile of no share", quantile(2), fill(polled(9*sec), 3, 1, 2), 3 * sec, 3 * sec, 0, unknown},
		{"quantile unknown", quantile(0.5), fill(polled(9*sec), 3, 1, 2), 30 * sec, 3 * sec, 0, unknown},
		{"predict", predict(10 * sec), fill(polled(9*sec), 1, 2, 3, 4), 4 * sec, 4 * sec, 0, 14},
		{"predict from a later moment", predict(10 * sec), fill(polled(9*sec), 1, 2, 3, 4), 6 * sec, 6 * sec, 0, 16},
		{"predict from two samples", predict(10 * sec), fill(polled(9*sec), 1, 2), 2 * sec, 2 * sec, 0, unknown},
		{"predict unknown", predict(10 * sec), fill(polled(9*sec), 1, 2, 3), 20 * sec, 2 * sec, 0, unknown},
	} {
		got, known := c.f(c.s, c.now, c.window, c.since)
		if known == math.IsNaN(c.want) || known && math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, known %v, want %v", c.name, got, known, c.want)
		}
	}
}
