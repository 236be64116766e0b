package evidence

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

// States is how many TCP sockets are in one state.
type States struct {
	State string
	Count int
}

// states are the kernel's numbers of TCP states, from 1.
var states = []string{
	"established", "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2", "time-wait", "close", "close-wait",
	"last-ack", "listen", "closing", "new-syn-received",
}

// Sockets counts the host's TCP sockets by state, most first. A host can have millions of them: when
// ctx ends before all are counted, it returns what was counted until then, with the error.
func Sockets(ctx context.Context, root string) ([]States, error) {
	counts := make([]int, len(states))
	var failed error
	for _, name := range []string{"tcp", "tcp6"} {
		err := countSockets(ctx, filepath.Join("/", root, "proc/net", name), counts)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // there may be no IPv6
			failed = err
		}
	}
	var list []States
	for i, n := range counts {
		if n > 0 {
			list = append(list, States{State: states[i], Count: n})
		}
	}
	slices.SortStableFunc(list, func(a, b States) int { return cmp.Compare(b.Count, a.Count) })
	return list, failed
}

func countSockets(ctx context.Context, path string, counts []int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if i, ok := parseState(lines.Bytes()); ok {
			counts[i]++
		}
	}
	return lines.Err()
}

// parseState reads the state of one line of /proc/net/tcp, as an index into states. It is false for
// the header.
func parseState(line []byte) (int, bool) {
	word, _ := procfile.Field(procfile.Skip(line, 3))
	if len(word) != 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(word), 16, 8)
	if err != nil || n == 0 || int(n) > len(states) {
		return 0, false
	}
	return int(n) - 1, true
}
