package sim

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// setting is a number from outside.
func setting(t *testing.T, name string, otherwise int) int {
	if os.Getenv(name) == "" {
		return otherwise
	}
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestSchedules runs random schedules. FAULT_SEED= is the first seed, FAULT_RUNS= how many there are, and
// FAULT_STEPS= how long each one is.
func TestSchedules(t *testing.T) {
	t.Parallel()
	first, runs, steps := setting(t, "FAULT_SEED", 1), setting(t, "FAULT_RUNS", 30), setting(t, "FAULT_STEPS", 3000)
	begun, counts := time.Now(), map[string]int{}
	for seed := first; seed < first+runs; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := New(uint64(seed))
			w.Audit.Blind = os.Getenv("FAULT_JUDGE") == "witness"
			for range steps {
				w.Step()
				if wrong := w.Wrong(); len(wrong) > 0 {
					t.Fatalf("seed %d, step %d of %d:\n%s\n\nWRONG: %s", seed, w.steps, steps, w.Story(), wrong[0])
				}
			}
			if err := w.Calm(); err != nil && !w.Audit.Blind {
				t.Fatalf("seed %d, step %d, at rest:\n%s\n\nWRONG: %v %v", seed, w.steps, w.Story(), err, w.Wrong())
			}
			for what, n := range w.Counts() {
				counts[what] += n
			}
		})
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%7d %s", counts[what], what)
	}
	t.Logf("seeds %d to %d, %d steps each, %v", first, first+runs-1, steps, time.Since(begun).Round(time.Millisecond))
}
