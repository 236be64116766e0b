package rule

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
)

// TestSpentBudgetGates: a spent budget holds back and makes graver, a rule that is as grave stays what it is.
func TestSpentBudgetGates(t *testing.T) {
	r, s := burning(t, config.SLO{Probe: "health", Spent: config.Gate{Autonomy: config.Observe, Severity: config.Critical}})
	want := func(what, slo string) {
		t.Helper()
		if got := r.e.Restrains(s); got != slo {
			t.Errorf("%s: restrained by %q", what, got)
		}
		for severity, by := range map[config.Severity]string{config.Warning: slo, config.Critical: ""} {
			r.cfg.Rules[0].Severity = severity
			got, because := r.e.Every()[0].Severity()
			if because != by || by == "" && got != severity || by != "" && got != config.Critical {
				t.Errorf("%s: a rule that is %s is %s because of %q", what, severity, got, because)
			}
		}
	}
	r.set("probe.health.ok{checkout}", false)
	r.run(14 * time.Minute) // of the 14.4 that may be bad
	want("almost", "")
	r.run(time.Minute)
	want("spent", "checkout")
	if r.e.Restrains(nil) != "" {
		t.Error("the host is restrained")
	}

	other := *s.SLOs[0]
	other.Spent = config.Gate{}
	s.SLOs = []*config.SLO{&other}
	r.e.Reload(r.cfg)
	want("without the gate", "")
	other.Spent = config.Gate{Severity: config.Critical}
	r.e.Reload(r.cfg)
	if r.e.Restrains(s) != "" {
		t.Error("restrained by an objective that does not ask for it")
	}
	if v, known := r.cfg.Store.Lookup(r.key("slo.checkout.spent{checkout}")).Value(r.now.Boot); !known || v != 1 {
		t.Errorf("another gate began to count anew: spent is %v, known %t", v, known)
	}
}
