package shed

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

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

// What a process has of a file in memory is given back by nobody's end.
func TestMemoryOfFiles(t *testing.T) {
	const size = 64 << 20
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	text, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(text) }()
	if after, err := memory(os.Getpid()); err != nil || after-before > size/2 {
		t.Errorf("it holds %v more, %v", after-before, err)
	}
}
