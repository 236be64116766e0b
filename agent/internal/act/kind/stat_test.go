package kind_test

import (
	"testing"

	"github.com/salveops/salve/agent/internal/act/kind"
)

func TestStatField(t *testing.T) {
	for _, c := range []struct {
		stat string
		n    int
		want string
	}{
		{"7 (a) b) R 1 2", 3, "R"}, {"7 (a) b) R 1 2\n", 5, "2"}, {"7 (a) b) R 1 2", 6, ""}, {"7 (a) R", 2, ""}, {"", 3, ""},
	} {
		if got := kind.StatField([]byte(c.stat), c.n); got != c.want {
			t.Errorf("field %d of %q is %q, want %q", c.n, c.stat, got, c.want)
		}
	}
}
