package care

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// TestOpenedCounter: a counter that was sampled before a rule asked for a detector shows it growth, not its value.
func TestOpenedCounter(t *testing.T) {
	st, p := series.New(), signal.Path{Family: "host.tcp", Field: "retransmits"}
	in, _ := signal.Lookup(p)
	s := Open(st, p, "", in)
	st.Open(s.Key(), series.Options{Dim: in.Dim, Every: in.Every, Anomaly: true, Counter: true}) // as a reload does
	for i, fed := range []bool{false, true} {
		now := time.Duration(i+1) * time.Second
		s.Set(now, 100)
		s.Anomaly(now, 0, time.Unix(int64(i), 0))
		if got := !st.Learned()[s.Key()].Detector.Last().IsZero(); got != fed {
			t.Errorf("after sample %d the detector was shown something: %v", i+1, got)
		}
	}
}
