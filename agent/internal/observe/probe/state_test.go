package probe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

// question is one attempt and its end: an answer that takes some time, good or not.
type question struct {
	At    time.Duration
	Fresh bool
}

// service plays a probed service: how long the n-th question takes, and whether the answer is good.
type service func(n int, at time.Duration) (takes time.Duration, good bool)

// play runs the state against a service until end, and returns the questions and when the verdict was
// told as what.
func play(s *state, answers service, end time.Duration) (asked []question, told []time.Duration, verdicts []verdict) {
	type flight struct {
		attempt
		lands time.Duration
		good  bool
	}
	var air []flight
	for {
		now, land := s.due, -1
		for i, f := range air {
			if f.lands < now || f.lands == now && land < 0 {
				now, land = f.lands, i
			}
		}
		if now > end {
			return asked, told, verdicts
		}
		if land >= 0 {
			f := air[land]
			air = append(air[:land:land], air[land+1:]...)
			before := s.verdict
			if _, settled := s.answer(f.attempt, now, f.good); settled && s.verdict != before {
				told, verdicts = append(told, now), append(verdicts, s.verdict)
			}
			continue
		}
		a := s.begin(now)
		takes, good := answers(len(asked), now)
		if takes > s.timeout {
			takes, good = s.timeout, false
		}
		asked = append(asked, question{now, a.fresh})
		air = append(air, flight{a, now + takes, good})
	}
}

func newState() *state {
	return &state{every: time.Second, timeout: 500 * ms, needed: 3, due: time.Second}
}

func TestHealthyProbeAsksOncePerPeriod(t *testing.T) {
	s := newState()
	asked, told, _ := play(s, func(int, time.Duration) (time.Duration, bool) { return 5 * ms, true }, 4500*ms)
	want := []question{{1000 * ms, false}, {2000 * ms, false}, {3000 * ms, false}, {4000 * ms, false}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(told) != 1 || told[0] != 1005*ms || s.usual != 5*ms {
		t.Errorf("told at %v, usual latency %v", told, s.usual)
	}
}

// A service that hangs is asked side by side, and known to be not ok 600 ms after the first question.
func TestHangIsConfirmedSideBySide(t *testing.T) {
	s := newState()
	asked, told, verdicts := play(s, func(n int, _ time.Duration) (time.Duration, bool) {
		if n == 0 {
			return 5 * ms, true
		}
		return time.Hour, false
	}, 4200*ms)
	want := []question{
		{1000 * ms, false}, {2000 * ms, false}, {2050 * ms, true}, {2100 * ms, true},
		{3000 * ms, false}, {4000 * ms, false}, // then once in a period, each with its full time-out
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]verdict{good, bad}, verdicts); diff != "" || told[1] != 2600*ms {
		t.Errorf("verdicts %v at %v, want not ok at 2.6s", verdicts, told)
	}
}

func TestRefusalIsConfirmedAtShortIntervals(t *testing.T) {
	s := newState()
	asked, told, verdicts := play(s, func(int, time.Duration) (time.Duration, bool) { return ms, false }, 2500*ms)
	want := []question{{1000 * ms, false}, {1200 * ms, true}, {1400 * ms, true}, {2000 * ms, false}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(verdicts) != 1 || verdicts[0] != bad || told[0] != 1401*ms {
		t.Errorf("verdicts %v at %v", verdicts, told)
	}
}

// One good answer among three keeps the probe ok, whichever it is, and also if it comes late.
func TestOneGoodAnswerOfThreeIsEnough(t *testing.T) {
	tests := []struct {
		name  string
		takes [3]time.Duration
		good  [3]bool
	}{
		{"the first, late", [3]time.Duration{450 * ms, time.Hour, time.Hour}, [3]bool{true, false, false}},
		{"the second", [3]time.Duration{time.Hour, 10 * ms, time.Hour}, [3]bool{false, true, false}},
		{"the third", [3]time.Duration{time.Hour, time.Hour, 400 * ms}, [3]bool{false, false, true}},
		{"after two refusals", [3]time.Duration{ms, ms, ms}, [3]bool{false, false, true}},
		{"a miss and a late one", [3]time.Duration{150 * ms, 300 * ms, time.Hour}, [3]bool{false, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newState()
			_, _, verdicts := play(s, func(n int, _ time.Duration) (time.Duration, bool) {
				if n < 3 {
					return tt.takes[n], tt.good[n]
				}
				return ms, true
			}, 5*time.Second)
			if diff := cmp.Diff([]verdict{good}, verdicts); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFirstSuccessMakesItOK(t *testing.T) {
	s := newState()
	comesBack := func(_ int, at time.Duration) (time.Duration, bool) { return ms, at >= 5*time.Second }
	_, told, verdicts := play(s, comesBack, 5500*ms)
	if diff := cmp.Diff([]verdict{bad, good}, verdicts); diff != "" || told[1] != 5001*ms {
		t.Errorf("%v at %v", verdicts, told)
	}
}

func TestSingleMiss(t *testing.T) {
	s := newState()
	s.needed = 1
	asked, told, _ := play(s, func(int, time.Duration) (time.Duration, bool) { return time.Hour, false }, 1900*ms)
	if len(asked) != 1 || len(told) != 1 || told[0] != 1500*ms {
		t.Errorf("asked %v, told at %v", asked, told)
	}
}

func TestLate(t *testing.T) {
	tests := []struct{ usual, timeout, want time.Duration }{
		{0, 500 * ms, 50 * ms}, {5 * ms, 500 * ms, 50 * ms},
		{40 * ms, 500 * ms, 160 * ms}, {100 * ms, 500 * ms, 250 * ms},
		{ms, 80 * ms, 40 * ms}, {300 * ms, 500 * ms, 450 * ms}, {450 * ms, 500 * ms, 500 * ms},
	}
	for _, tt := range tests {
		s := state{usual: tt.usual, timeout: tt.timeout}
		if got := s.late(); got != tt.want {
			t.Errorf("usual %v, time-out %v: late after %v, want %v", tt.usual, tt.timeout, got, tt.want)
		}
	}
}

// After a restart the probe asks every 50 ms until the first good answer, then goes on as usual.
func TestKick(t *testing.T) {
	s := newState()
	s.verdict = good
	s.kick(1100*ms, 31*time.Second)
	comesUp := func(_ int, at time.Duration) (time.Duration, bool) { return ms, at >= 1300*ms }
	asked, told, verdicts := play(s, comesUp, 3500*ms)
	want := []question{
		{1100 * ms, true}, {1150 * ms, true}, {1200 * ms, true}, {1250 * ms, true}, {1300 * ms, true},
		{2000 * ms, false}, {3000 * ms, false},
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// It missed three times in a row, so it was not ok in between.
	if diff := cmp.Diff([]verdict{bad, good}, verdicts); diff != "" || told[1] != 1301*ms {
		t.Errorf("%v at %v", verdicts, told)
	}
}

func TestKickEndsWithTheStartupTime(t *testing.T) {
	s := newState()
	s.kick(1100*ms, 1500*ms)
	asked, _, _ := play(s, func(int, time.Duration) (time.Duration, bool) { return ms, false }, 3500*ms)
	if got := asked[len(asked)-2:]; got[0].At != 2*time.Second || got[1].At != 3*time.Second {
		t.Errorf("after the startup time it asked at %v", got)
	}
}

// What was asked before the restart says nothing about the new process.
func TestAnswerFromBeforeTheKickDoesNotCount(t *testing.T) {
	s := newState()
	old := s.begin(time.Second)
	s.kick(1100*ms, 2*time.Second)
	if counts, _ := s.answer(old, 1200*ms, true); counts || s.verdict != unknown || s.due != 1100*ms {
		t.Errorf("it counts: %v, verdict %v, next at %v", counts, s.verdict, s.due)
	}
}

// Whatever the service does: it is never not ok without as many misses in a row as are needed, never
// asked by more than that many questions at a time, and never more often than the intervals allow.
func TestStateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newState()
		s.needed = rapid.IntRange(1, 4).Draw(t, "misses")
		type reply struct {
			takes time.Duration
			good  bool
		}
		var replies []reply
		for range 40 {
			replies = append(replies, reply{
				takes: time.Duration(rapid.IntRange(0, 700).Draw(t, "ms")) * ms, good: rapid.Bool().Draw(t, "good"),
			})
		}
		asked, _, verdicts := play(s, func(n int, _ time.Duration) (time.Duration, bool) {
			r := replies[n%len(replies)]
			return r.takes, r.good
		}, 20*time.Second)
		for i := 1; i < len(asked); i++ {
			if gap := asked[i].At - asked[i-1].At; gap < aside && asked[i].Fresh {
				t.Fatalf("two questions %v apart", gap)
			}
		}
		for i := s.needed; i < len(asked); i++ {
			first := asked[i-s.needed]
			answered := first.At + min(replies[(i-s.needed)%len(replies)].takes, s.timeout)
			if s.needed > 1 && answered > asked[i].At && asked[i].At-first.At < s.timeout/2 {
				t.Fatalf("more than %d questions at a time around %v", s.needed, asked[i].At)
			}
		}
		if len(verdicts) == 0 && len(asked) > 10 {
			t.Fatal("no verdict after ten questions")
		}
	})
}
