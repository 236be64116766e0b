package act_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
)

// TestProgramIsSwapped: what somebody can swap between the look at a program and its start is refused however it looks.
// He points a link in a folder of his own to a sound program and to his own in turns, as fast as he can.
func TestProgramIsSwapped(t *testing.T) {
	good := acttest.Script(t, "#!/bin/sh\n")
	folder := filepath.Dir(good)
	his := filepath.Join(folder, "his")
	mark := filepath.Join(his, "mark")
	evil := filepath.Join(his, "evil")
	if err := errors.Join(os.Mkdir(his, 0o777), os.Chmod(his, 0o777),
		os.WriteFile(evil, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o755),
		os.Symlink(good, filepath.Join(his, "hop")), os.Symlink("his/hop", filepath.Join(folder, "hook"))); err != nil {
		t.Fatal(err)
	}
	r := acttest.Alone(t, folder, "exec")

	ctx, stop := context.WithCancel(t.Context())
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			next := filepath.Join(his, "next")
			_ = os.Symlink([]string{evil, good}[n%2], next)
			_ = os.Rename(next, filepath.Join(his, "hop"))
		}
	})
	for range 50 {
		var no *kind.Refusal
		_, err := r.Command(t.Context(), program.Cmd{Purpose: program.Remedy, Argv: []string{filepath.Join(folder, "hook")}})
		if !errors.As(err, &no) {
			t.Errorf("the program ran: %v", err)
			break
		}
	}
	stop()
	swapping.Wait()
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program that ran was his")
	}
}

func TestCommandNeedsPermission(t *testing.T) {
	mine := acttest.Script(t, "#!/bin/sh\n")
	r := acttest.Alone(t, filepath.Dir(mine), "probe")
	var refusal *kind.Refusal
	for _, c := range []program.Cmd{
		{},
		{Purpose: program.Probe},
		{Purpose: program.Probe, Argv: []string{"/bin/true"}},
		{Purpose: program.Notify, Argv: []string{mine}},
		{Purpose: "", Argv: []string{mine}},
		{Purpose: program.Diagnose, Argv: []string{mine}},
		{Purpose: program.Diagnose, Argv: []string{"rm"}},
		{Purpose: program.Diagnose, Argv: []string{"../bin/ps"}},
	} {
		if _, err := r.Command(t.Context(), c); !errors.As(err, &refusal) {
			t.Errorf("%+v: %v, want a refusal", c, err)
		}
	}
	if _, err := r.Command(t.Context(), program.Cmd{Purpose: program.Probe, Argv: []string{mine}}); err != nil {
		t.Error(err)
	}
	out, err := r.Command(t.Context(), program.Cmd{Purpose: program.Diagnose, Argv: []string{"df", "/"}})
	if err != nil || len(out.Stdout) == 0 {
		t.Errorf("df: %+v, %v", out, err)
	}
}

func TestCommandIsBounded(t *testing.T) {
	flood := acttest.Script(t, "#!/bin/sh\nyes | head -c 10000000; exit 4\n")
	r := acttest.Alone(t, filepath.Dir(flood), "probe")
	out, err := r.Command(t.Context(), program.Cmd{Purpose: program.Probe, Argv: []string{flood}})
	if err != nil || len(out.Stdout) != program.MaxOutput || !out.Truncated || out.Code != 4 {
		t.Errorf("10 MB of output: %d bytes, truncated %v, status %d, %v", len(out.Stdout), out.Truncated, out.Code, err)
	}

	children := filepath.Join(t.TempDir(), "children")
	hang := acttest.Script(t, "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $! $$ > "+children+
		"\nread word; echo $word; sleep 1000\n")
	r = acttest.Alone(t, filepath.Dir(hang), "probe")
	out, err = r.Command(t.Context(), program.Cmd{Purpose: program.Probe, Argv: []string{hang}, Stdin: []byte("heard\n"),
		Timeout: 4 * time.Second}) // enough to begin
	if !errors.Is(err, program.ErrTimeout) || string(out.Stdout) != "heard\n" || out.Took > acttest.Patience {
		t.Errorf("a program that hangs: %+v, %v", out, err)
	}
	nobodyLeft(t, children)

	left := acttest.Script(t, "#!/bin/sh\nsleep 1000 &\necho $! > "+children+"\n")
	r = acttest.Alone(t, filepath.Dir(left), "probe")
	out, err = r.Command(t.Context(), program.Cmd{Purpose: program.Probe, Argv: []string{left}})
	if err != nil || out.Code != 0 || out.Took > acttest.Patience {
		t.Errorf("a program that leaves a child: %+v, %v", out, err)
	}
	nobodyLeft(t, children)
}

func nobodyLeft(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		t.Fatalf("the program wrote no process IDs: %v", err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		agenttest.Eventually(t, func() bool { return dead(pid) }, "process "+word+" is gone")
	}
}

// dead reports whether the process is gone or only waits to be reaped.
func dead(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(text), ") Z ")
}
