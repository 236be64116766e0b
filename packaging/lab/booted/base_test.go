package booted

import (
	"os"
	"path/filepath"
	"testing"
)

// A limit that is high enough stays as it is.
func TestRaise(t *testing.T) {
	for before, after := range map[string]string{"128\n": "1024", "1024\n": "1024\n", "4096\n": "4096\n"} {
		limit := filepath.Join(t.TempDir(), "limit")
		if err := os.WriteFile(limit, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := raise(limit, 1024); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(limit); err != nil || string(text) != after {
			t.Errorf("%q became %q, %v, want %q", before, text, err, after)
		}
	}
}
