package unit

import (
	"strconv"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

func FuzzParsers(f *testing.F) {
	f.Add([]byte("usage_usec 1\nnr_periods 2\nnr_throttled 1\n"))
	f.Add([]byte("42 (a) b) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 1"))
	f.Add([]byte("4:memory:/a/b\n0::/x\n2:cpu,cpuacct:/\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := parseCPUStat(b)
		if share, known := s.held(cpuStat{}); known && (share < 0 || share > 1) {
			t.Errorf("held back for %v", share)
		}
		parseTicks(b)
		parseGroups(string(b))
		if n := entries(b); n < 0 || n > len(b)/19 {
			t.Errorf("%d entries in %d bytes", n, len(b))
		}
		l := Layout{root: "/", v1: map[string]tree{}}
		l.add(string(b))
	})
}

func TestWithin(t *testing.T) {
	tests := []struct {
		path, group string
		want        bool
	}{
		{"/a/b", "/a/b", true}, {"/a/b/c", "/a/b", true}, {"/a/bc", "/a/b", false}, {"/", "/a", false}, {"", "/a", false},
	}
	for _, tt := range tests {
		if got := within(tt.path, tt.group); got != tt.want {
			t.Errorf("within(%q, %q) = %v", tt.path, tt.group, got)
		}
	}
}
