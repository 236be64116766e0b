package journal

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/clock"
)

// playRole is the test binary as another process.
func playRole(role string, args []string) int {
	var err error
	switch role {
	case "append":
		err = appendForEver(args[0])
	case "rlimit":
		err = fullByLimit(args[0])
	case "tmpfs":
		err = fullByTmpfs(args[0])
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func role(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_ROLE="+name)
	return cmd
}

// appendForEver writes and prints what was acknowledged, until it is killed.
func appendForEver(dir string) error {
	c, err := clock.System()
	if err != nil {
		return err
	}
	j, r, err := Open(dir, Options{Clock: c})
	if err != nil {
		return err
	}
	if r.SetAside != "" {
		return fmt.Errorf("set aside: %s", r.Reason)
	}
	for {
		n := j.NextEvent()
		inc := story(fmt.Sprintf("%016x", n), clock.Now(c))
		if err := j.PutIncident(inc); err != nil {
			return err
		}
		if err := j.PutAttempt(attempt(fmt.Sprint("a", n), inc.ID, clock.Now(c))); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// An agent that is killed at any moment has, after its restart, everything that was acknowledged, and
// what was queued before it.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 12 {
		cmd := role("append", dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		left := 1 + rand.IntN(60)
		for lines := bufio.NewScanner(out); lines.Scan(); left-- {
			if n := strings.TrimSpace(lines.Text()); acked[n] {
				t.Errorf("round %d: event number %s given twice", round, n)
			} else {
				acked[n] = true
			}
			if left == 0 {
				must(t, cmd.Process.Kill()) // what is still in the pipe was acknowledged, too
			}
		}
		if err := cmd.Wait(); left > 0 {
			t.Fatalf("round %d: agent ended by itself: %v", round, err)
		}
	}
	j, r := open(t, dir, Options{})
	if r.Created || r.SetAside != "" || r.Older {
		t.Fatalf("report %+v", r)
	}
	for n := range acked {
		a, err := j.Attempt("a" + n)
		if err != nil {
			t.Errorf("acknowledged attempt: %v", err)
			continue
		}
		if _, err := j.Incident(a.Incident); err != nil {
			t.Errorf("queued before it: %v", err)
		}
	}
	t.Logf("%d acknowledged writes in 12 lives", len(acked))
}
