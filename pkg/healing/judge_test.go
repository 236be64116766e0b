package healing

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
)

// play feeds one sample a second, a letter each: t, f, u, (w)orse, (d)ead. It returns the outcome and
// after how many samples it came.
func play(j *Judge, letters string) (outcome incident.Outcome, after int, reason string) {
	for i, c := range letters {
		s := Sample{Truth: map[rune]expr.Truth{'t': expr.True, 'f': expr.False}[c]}
		switch c {
		case 'w':
			s.Worse = "error rate rose"
		case 'd':
			s.Dead = "checkout.service failed again"
		}
		now := clock.Instant{Boot: time.Hour + time.Duration(i+1)*time.Second}
		if outcome, done, reason := j.Step(now, s); done {
			return outcome, i + 1, reason
		}
	}
	return "", 0, ""
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name    string
		samples string
		outcome incident.Outcome
		after   int
		reason  string
	}{
		{"held", "fftttttt", incident.Verified, 6, "recovered, and held for 3s; 6s after the action"},
		{"at once", "tttt", incident.Verified, 4, ""},
		{"broken hold", "ttftttt", incident.Verified, 7, ""},
		{"never recovered", "ffffffffff", incident.Ineffective, 10, "not recovered 10s after the action"},
		{"recovered too late", "ffffffffttt", incident.Ineffective, 10, "it had recovered for 1s only, of 3s"},
		{"worse", "tw", incident.Worse, 2, "2s after the action, error rate rose"},
		{"dead", "uud", incident.Ineffective, 3, "checkout.service failed again"},
		{"silence", "uuuuuuuuuu", incident.Inconclusive, 10, "too few fresh samples to tell"},
		{"silence after a good sample", "tuuuuuuuuu", incident.Inconclusive, 10, "too few fresh samples"},
		{"silence at the end", "ffftttuuuu", incident.Inconclusive, 10, "too few"},
		{"too few samples", "uuuuuuuutt", incident.Inconclusive, 10, "enough fresh samples for 1s only, of 3s"},
		{"unknown stands still", "ttutut", "", 0, ""},
		{"and counts nothing", "ttututtt", incident.Verified, 8, ""},
		{"not yet", "fff", "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := NewJudge(clock.Instant{Boot: time.Hour}, 10*time.Second, 3*time.Second)
			outcome, after, reason := play(j, tt.samples)
			if outcome != tt.outcome || after != tt.after || !strings.Contains(reason, tt.reason) {
				t.Errorf("got %q after %d: %q\nwant %q after %d: %q", outcome, after, reason, tt.outcome, tt.after, tt.reason)
			}
		})
	}
}

// Whatever comes: success needs as many true samples in a row, none of them false, as the hold asks
// for; the judge always ends by the deadline; and it always gives a reason.
func TestJudgeProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hold := rapid.IntRange(0, 5).Draw(rt, "hold")
		samples := string(rapid.SliceOfN(rapid.SampledFrom([]byte("tttffu")), 12, 12).Draw(rt, "samples"))
		j := NewJudge(clock.Instant{Boot: time.Hour}, 10*time.Second, time.Duration(hold)*time.Second)
		outcome, after, reason := play(j, samples)
		if outcome == "" || after > 10 || reason == "" {
			rt.Fatalf("%s: no end by the deadline: %q after %d, %q", samples, outcome, after, reason)
		}
		seen := samples[:after]
		if outcome != incident.Verified {
			return
		}
		good := seen[strings.LastIndexByte(seen, 'f')+1:]
		if strings.Count(good, "t") < hold+1 || good[len(good)-1] != 't' {
			rt.Fatalf("%s counted as recovery held for %d s", seen, hold)
		}
	})
}

func TestConfidence(t *testing.T) {
	tests := []struct {
		prior            float64
		verified, failed int
		want             float64
	}{
		{0.8, 0, 0, 0.8}, {0.8, 10, 0, 0.9}, {0.8, 0, 10, 0.4}, {0.75, 9, 1, 0.825}, {0, 0, 0, 0}, {1, 1000, 0, 1},
	}
	for _, tt := range tests {
		if got := Confidence(tt.prior, tt.verified, tt.failed); got != tt.want {
			t.Errorf("Confidence(%v, %d, %d) = %v, want %v", tt.prior, tt.verified, tt.failed, got, tt.want)
		}
	}
}
