package transaction

import (
	"strings"
	"testing"
)

// FuzzMatch: whatever the table of locks says, a file is held only if its key is in it.
func FuzzMatch(f *testing.F) {
	f.Add([]byte("1: POSIX  ADVISORY  WRITE 711 08:01:1312 0 EOF\n1: -> POSIX  ADVISORY  WRITE 712 08:01:1312 0 EOF\n"))
	f.Add([]byte("2: FLOCK  ADVISORY  READ 1 08:01:9 0 EOF"))
	f.Fuzz(func(t *testing.T, table []byte) {
		if got := match(table, map[string]string{"08:01:1312": "/lock"}); got != "" &&
			(got != "/lock" || !strings.Contains(string(table), "08:01:1312")) {
			t.Errorf("%q holds %q", table, got)
		}
	})
}
