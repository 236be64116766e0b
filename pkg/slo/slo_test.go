package slo

import (
	"math"
	"testing"
	"time"
)

// boot is the time of the first observation.
const boot = 48 * time.Hour

// fresh is a tracker that was asked once, so that what comes at boot is of a second.
func fresh(objective float64, window time.Duration) *Tracker {
	t := New(objective, window)
	t.Observe(boot-time.Second, math.NaN(), 1)
	return t
}

// course observes a second for each of so long, and returns when that ends.
func course(t *Tracker, from, long time.Duration, bad, weight float64) time.Duration {
	for end := from + long; from < end; from += time.Second {
		t.Observe(from, bad, weight)
	}
	return from
}

func near(t *testing.T, what string, want, got float64, known bool) {
	t.Helper()
	if !known || math.Abs(want-got) > 1e-6 {
		t.Errorf("%s: %v (known: %t), want %v", what, got, known, want)
	}
}

func TestBurnIsTheLessOfTwoWindows(t *testing.T) {
	x := fresh(0.999, 30*24*time.Hour)
	now := course(x, boot, 6*time.Hour, 0, 1)
	got, known := x.Burn()
	near(t, "all is well", 0, got, known)

	now = course(x, now, 6*time.Minute, 1, 1) // a tenth of the hour is bad, and all of the five minutes
	got, known = x.Burn()
	near(t, "by the long window", 100, got, known)
	got, known = x.SlowBurn()
	near(t, "by the long window of the slow one", 1000./60, got, known)

	course(x, now, 6*time.Minute, 0, 1)
	got, known = x.Burn()
	near(t, "it is over: by the short window", 0, got, known)
	got, known = x.SlowBurn()
	near(t, "not long enough ago for the slow one", 1000./60, got, known)
}

func TestUnknownTimeCountsAsNeither(t *testing.T) {
	x := fresh(0.99, 24*time.Hour)
	now := course(x, boot, 40*time.Minute, 0.1, 1)
	want, _ := x.Burn()
	for _, unknown := range []float64{math.NaN(), -1, 2, math.Inf(1)} {
		now = course(x, now, time.Minute, unknown, 1)
		now = course(x, now, 10*time.Second, 0, unknown*math.Inf(-1)) // no weight either
	}
	course(x, now, 4*time.Minute, 0.1, 1)
	got, known := x.Burn()
	near(t, "a gap", want, got, known)
}

func TestUnknownUntilHalfIsKnown(t *testing.T) {
	x := fresh(0.99, 24*time.Hour)
	asks := []struct {
		what string
		at   time.Duration
		ask  func() (float64, bool)
	}{{"burn", time.Hour / 2, x.Burn}, {"slow burn", 3 * time.Hour, x.SlowBurn}, {"budget", 12 * time.Hour, x.Budget}}
	now := boot
	for _, a := range asks {
		now = course(x, now, boot+a.at-now-time.Second, 0, 1)
		if _, known := a.ask(); known {
			t.Errorf("%s is known after less than %s", a.what, a.at)
		}
		now = course(x, now, time.Second, 0, 1)
		if _, known := a.ask(); !known {
			t.Errorf("%s is not known after %s", a.what, a.at)
		}
	}
	x.Observe(now+7*time.Hour, 0, 1)
	if _, known := x.SlowBurn(); known {
		t.Error("hours that nobody saw are known")
	}
	if _, known := x.Budget(); !known {
		t.Error("the hours before are forgotten")
	}
}

func TestBudget(t *testing.T) {
	x := fresh(0.9, 24*time.Hour)
	now := course(x, boot, 22*time.Hour+48*time.Minute, 0, 1)
	now = course(x, now, 72*time.Minute, 1, 1) // half of the 2.4 hours that may be bad
	got, known := x.Budget()
	near(t, "half is left", 0.5, got, known)
	now = course(x, now, 216*time.Minute, 1, 1)
	got, known = x.Budget()
	near(t, "overspent", -1, got, known)
	course(x, now, 24*time.Hour, 0, 1)
	got, known = x.Budget()
	near(t, "what is older than the window is forgiven", 1, got, known)
}

// TestSpent: nothing is called spent of which that is not certain, and nothing recovers by not being known.
func TestSpent(t *testing.T) {
	want := func(x *Tracker, what string, spent bool) {
		t.Helper()
		if x.Spent() != spent {
			t.Errorf("%s: spent %t", what, x.Spent())
		}
	}
	x := fresh(0.9, 24*time.Hour) // 144 minutes may be bad
	want(x, "nothing is known", false)
	now := course(x, boot, 143*time.Minute, 1, 1)
	want(x, "all is bad, and the rest may be good", false)
	now = course(x, now, time.Minute, 1, 1)
	want(x, "whatever the rest is", true)
	now = course(x, now, 10*time.Hour, 0, 1)
	if left, known := x.Budget(); !known || left > 0 {
		t.Fatalf("budget %v, known %t", left, known)
	}
	want(x, "of what is known too much was bad", true)
	now = course(x, now, 13*time.Hour, math.NaN(), 1)
	if _, known := x.Budget(); known {
		t.Fatal("the budget is known")
	}
	want(x, "nobody knows any more", true)
	course(x, now, 13*time.Hour, 0, 1)
	want(x, "enough is known and was good", false)
}

// TestNotSpentByAFewRequests: what is asked while nothing is known may be as much as what was asked before.
func TestNotSpentByAFewRequests(t *testing.T) {
	x := fresh(0.9, 24*time.Hour)
	now := course(x, boot, 2*time.Hour, 1, 0.01)
	if x.Spent() {
		t.Error("spent by two hours of the 2.4 that may be bad")
	}
	course(x, now, time.Hour, 0, 100)
	if x.Spent() {
		t.Error("spent by a fraction of what was asked")
	}
}

func TestWeight(t *testing.T) {
	x := fresh(0.99, 24*time.Hour)
	now := course(x, boot, 45*time.Minute, 0.5, 1)
	course(x, now, 14*time.Minute, 0, 100)
	got, known := x.Burn()
	near(t, "by the short window", 0, got, known)
	b := x.recent.sum(&reach{over: Fast})
	near(t, "share of all requests", 45*60/2./(45*60+14*60*100), b.bad/b.all, true)

	x = fresh(0.99, 24*time.Hour)
	course(x, boot, time.Hour, 0, 0)
	got, known = x.Burn()
	near(t, "nothing was asked", 0, got, known)
}

func TestTimeAndBounds(t *testing.T) {
	x := New(0.99, 24*time.Hour)
	x.Observe(boot, 1, 1)
	if b := x.recent.sum(&reach{over: Slow}); b.known != 0 {
		t.Errorf("the first observation speaks for %s of which nobody knows", b.known)
	}
	x.Observe(boot+time.Hour, 1, heaviest)
	if b := x.recent.sum(&reach{over: Slow}); b.known != longest {
		t.Errorf("an observation after an hour speaks for %s", b.known)
	}
	before := x.recent.sum(&reach{over: Slow})
	x.Observe(boot, 0, 1)
	x.Observe(boot+time.Hour+time.Second, 1, math.Inf(1))
	if got := x.recent.sum(&reach{over: Slow}); got != before {
		t.Errorf("what came late, or weighs without bound, counts: %+v", got)
	}
	if n := testing.AllocsPerRun(100, func() { x.Observe(x.last+time.Second, 0, 1); x.Burn(); x.Budget() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTick is what one SLO costs a second.
func BenchmarkTick(b *testing.B) {
	x, now := New(0.999, 30*24*time.Hour), boot
	for b.Loop() {
		now += time.Second
		x.Observe(now, 0.001, 50)
		x.Burn()
		x.SlowBurn()
		x.Budget()
	}
}
