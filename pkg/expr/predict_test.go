package expr

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestShortestPrediction: the shortest window that is taken is known whenever one looks, and a shorter one is an error.
func TestShortestPrediction(t *testing.T) {
	for name, samples := range map[string]int{"predict": 3, "predict_low": 5, "predict_high": 5} {
		src := func(window int) string {
			return fmt.Sprintf(`%s(host.disk["/"].used_ratio, "1h", "%ds") > 0.5`, name, window)
		}
		window := samples * 10 // it is sampled every ten seconds
		if _, diags := Compile(parse(t, src(window-1)), scope()); !diags.HasErrors() ||
			!strings.Contains(diags.Error(), fmt.Sprintf("at least %s long", brief(time.Duration(window)*time.Second))) {
			t.Errorf("%s: %v", src(window-1), diags)
		}
		p := compile(t, src(window), scope())
		h := newHost(p)
		b := p.Bind(h)
		for i := range 120 {
			now := monday.Add(time.Duration(i) * time.Second)
			if i%10 == 0 {
				h.set(now.Boot, `host.disk["/"].used_ratio`, float64(i)/1000)
			}
			if got := b.Eval(now); i > window && got == Unknown {
				t.Fatalf("%s: unknown after %d s", src(window), i)
			}
		}
	}
}
