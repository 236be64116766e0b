package shed

import (
	"math"
	"os"
	"testing"

	"github.com/salveops/salve/pkg/remedy"
)

// Equals suffer in the order in which they were declared, and what is not known never does.
func TestRank(t *testing.T) {
	uses := []use{{"a", math.NaN()}, {"b", 1 << 20}, {"c", 3 << 30}, {"d", 3 << 30}, {"e", 0}, {"f", 2 << 20}}
	rank(uses)
	var order string
	for _, u := range uses {
		order += u.unit
	}
	if order != "cdfbea" {
		t.Errorf("the order is %s", order)
	}
	if got, want := reason(remedy.ByMemory, uses, 1), "d holds 3 GiB, c 3 GiB, f 2 MiB, b 1 MiB"; got != want {
		t.Errorf("the reason is %q, want %q", got, want)
	}
	if got, want := reason(remedy.ByCPU, []use{{"a", 1.5}, {"b", math.NaN()}}, 0), "a takes 150 % of a CPU, b unknown"; got != want {
		t.Errorf("the reason is %q, want %q", got, want)
	}
}

func TestFigures(t *testing.T) {
	if bytes, err := memory(os.Getpid()); err != nil || bytes < 1<<20 || bytes > 1<<30 {
		t.Errorf("this process holds %v, %v", bytes, err)
	}
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for now := before; now == before; { // ends with the first tick
		if now, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := memory(0); err == nil {
		t.Error("there is a process 0")
	}
}
