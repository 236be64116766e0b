package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const benchOutput = `goos: linux
goarch: amd64
pkg: github.com/salveops/salve/pkg/rule
cpu: AMD EPYC
BenchmarkTick/rules=1000-2         	    9999	    112345 ns/op	       0 B/op	       0 allocs/op
BenchmarkLoad-2   	     100	   2500000 ns/op	 3.5 MB/s	  1024 B/op	      12 allocs/op
PASS
ok  	github.com/salveops/salve/pkg/rule	2.5s
?   	github.com/salveops/salve/pkg/none	[no test files]
`

func TestParseGoBench(t *testing.T) {
	got, err := parseGoBench(strings.NewReader(benchOutput))
	if err != nil {
		t.Fatal(err)
	}
	want := []GoBench{
		{Package: "pkg/rule", Name: "Tick/rules=1000", NS: 112345},
		{Package: "pkg/rule", Name: "Load", NS: 2.5e6, Bytes: 1024, Allocs: 12, Extra: "3.5 MB/s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("benchmarks (-want +got):\n%s", diff)
	}
}

func TestParseGoBenchRefuses(t *testing.T) {
	if _, err := parseGoBench(strings.NewReader("BenchmarkX-2 10 many ns/op\n")); err == nil {
		t.Error("a time that is no number was taken")
	}
}

func TestRounded(t *testing.T) {
	for ns, want := range map[float64]string{12.3456: "12.3 ns", 1234.5: "1.23 µs", 112345: "112 µs", 2.5e6: "2.5 ms"} {
		if got := rounded(ns); got != want {
			t.Errorf("rounded(%v) = %q, want %q", ns, got, want)
		}
	}
}
