package require

import (
	"fmt"
	"testing"
)

// witness is a test that notes what becomes of it.
type witness struct {
	testing.TB
	said string
}

func (*witness) Helper() {}

func (w *witness) Skipf(format string, args ...any) {
	w.said = "skipped: " + fmt.Sprintf(format, args...)
}

func (w *witness) Fatalf(format string, args ...any) {
	w.said = "failed: " + fmt.Sprintf(format, args...)
}

func TestThat(t *testing.T) {
	for _, c := range []struct {
		demand string
		ok     bool
		want   string
	}{
		{"", true, ""},
		{"all", true, ""},
		{"", false, "skipped: needs x: get it"},
		{"all", false, "failed: x is required (SALVE_TEST_REQUIRE=all): get it"},
	} {
		t.Setenv("SALVE_TEST_REQUIRE", c.demand)
		w := &witness{}
		if That(w, "x", c.ok, "get it"); w.said != c.want {
			t.Errorf("demand %q, there %t: %q, want %q", c.demand, c.ok, w.said, c.want)
		}
	}
}
