package care

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// TestWorseByProbe: a probe that was well before an action and is not afterwards makes it worse, and it does not by what
// it told before it was asked afresh, nor if it was ill before.
func TestWorseByProbe(t *testing.T) {
	const acted, afresh = 10 * time.Second, 10*time.Second + 50*time.Millisecond
	for name, tt := range map[string]struct {
		before float64
		at     time.Duration
		worse  bool
	}{
		"told before":      {1, afresh - time.Millisecond, false},
		"told after":       {1, afresh + time.Millisecond, true},
		"not well before":  {0, afresh + time.Millisecond, false},
		"never asked once": {-1, afresh + time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			st := series.New()
			s := st.Open(series.Key{Signal: "probe.health.ok", Of: "shop"}, series.Options{Dim: signal.Bool, Window: time.Minute})
			if tt.before >= 0 {
				s.Set(9*time.Second, tt.before)
			}
			shop := &config.Service{Name: "shop", Probes: []*config.Probe{{Name: "health"}, {Name: "unseen"}}}
			var trial Trial
			trial.Remember(shop, st)
			begun := clock.Instant{Boot: acted}
			trial.Begin(Course{Remedy: &config.Remedy{Service: shop}, Intended: acted - time.Second, Afresh: afresh}, begun,
				func(clock.Instant) expr.Truth { return expr.Unknown }, time.Minute, time.Second)
			s.Set(tt.at, 0)
			outcome, done, reason := trial.Step(clock.Instant{Boot: afresh + time.Second}, nil, nil, nil)
			if done != tt.worse || done && outcome != incident.Worse {
				t.Errorf("%s, %v: %s", outcome, done, reason)
			}
		})
	}
}
