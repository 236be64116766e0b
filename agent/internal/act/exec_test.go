package act

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

func command(argv ...string) Request {
	return ask(remedy.Exec, "a.service", func(a *remedy.Args) { a.Command = argv })
}

// alone is a runner that needs no manager: for programs only.
func alone(t *testing.T, folder string, actions ...string) *Runner {
	t.Helper()
	w := newIdleWatcher(t)
	r, err := New(Options{Systemd: w, Journal: openJournal(t, t.TempDir()), Clock: systemClock(t),
		Allow: []config.Allow{{Exec: []string{folder + "/*"}, Actions: actions}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExec(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	program := script(t, "#!/bin/sh\necho \"$1 $SALVE_UNIT $SALVE_ATTEMPT $HOME\" > "+mark+
		"\necho said; echo meant >&2\nexit $2\n")
	back := script(t, "#!/bin/sh\necho back > "+mark+"\n")
	r := alone(t, filepath.Dir(program), "exec")
	r.SetAllow(append(r.blocks(), config.Allow{Exec: []string{back}, Actions: []string{"exec"}}))

	q := command(program, "word", "0")
	q.Remedy.Args.UndoExec = []string{back}
	p, err := r.Prepare(t.Context(), q)
	if err != nil || p.Target != program || !p.Disruptive {
		t.Fatalf("plan %+v, %v", p, err)
	}
	a, err := r.Run(t.Context(), p)
	if err != nil || a.Error != "" || !strings.Contains(string(a.After), `"stdout":"said\n"`) {
		t.Fatalf("run: %+v, %v", a, err)
	}
	want := "word a.service " + a.ID + " \n" // and no HOME: the environment is clean
	if got, _ := os.ReadFile(mark); string(got) != want {
		t.Errorf("the program saw %q, want %q", got, want)
	}
	if undone, err := r.Undo(t.Context(), a.ID); err != nil || undone.Phase != incident.Undone {
		t.Fatalf("undo: %+v, %v", undone, err)
	}
	if got, _ := os.ReadFile(mark); string(got) != "back\n" {
		t.Errorf("after the undo the mark says %q", got)
	}

	p, err = r.Prepare(t.Context(), command(program, "word", "3"))
	if err != nil {
		t.Fatal(err)
	}
	a, err = r.Run(t.Context(), p)
	if err != nil || !strings.Contains(a.Error, "ended with status 3: meant") {
		t.Errorf("a failing program: %+v, %v", a, err)
	}
	if _, err := r.Undo(t.Context(), a.ID); err == nil {
		t.Error("a program without an undo was taken back")
	}
}

func TestProgramsThatOthersCanChange(t *testing.T) {
	good := script(t, "#!/bin/sh\n")
	folder := filepath.Dir(good)
	make := func(name string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // past the umask
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(folder, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(open, "program"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	sticky := filepath.Join(folder, "sticky")
	if err := os.Mkdir(sticky, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sticky, "program"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(sticky, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Join(open, "program"), link); err != nil {
		t.Fatal(err)
	}
	fine := filepath.Join(folder, "fine")
	if err := os.Symlink(good, fine); err != nil {
		t.Fatal(err)
	}
	// A link whose end is sound, by way of one that anybody can point elsewhere.
	if err := os.Symlink(good, filepath.Join(open, "hop")); err != nil {
		t.Fatal(err)
	}
	hop := filepath.Join(folder, "hop")
	if err := os.Symlink("open/hop", hop); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(folder, "fifo")
	if err := syscall.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		good:                             "",
		filepath.Join(sticky, "program"): "",
		fine:                             "",
		make("group", 0o775):             "can be changed by others",
		make("world", 0o757):             "can be changed by others",
		make("plain", 0o644):             "not executable",
		filepath.Join(open, "program"):   "can be changed by others",
		link:                             "can be changed by others",
		hop:                              "can be changed by others",
		open:                             "no regular file",
		fifo:                             "no regular file",
		filepath.Join(folder, "none"):    "cannot be found",
		"program":                        "absolute path",
		folder + "/../x":                 "absolute path",
	} {
		err := checkProgram(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if os.Geteuid() == 0 {
		foreign := make("foreign", 0o755)
		if err := os.Chown(foreign, 65534, -1); err != nil {
			t.Fatal(err)
		}
		if err := checkProgram(foreign); err == nil || !strings.Contains(err.Error(), "belongs to user") {
			t.Errorf("a program of another user: %v", err)
		}
	}
}

// TestProgramIsLookedAtAgain: what was sound when it was prepared may have been changed since.
func TestProgramIsLookedAtAgain(t *testing.T) {
	program := script(t, "#!/bin/sh\n")
	r := alone(t, filepath.Dir(program), "exec")
	p, err := r.Prepare(t.Context(), command(program))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "can be changed by others") {
		t.Errorf("run: %v", err)
	}
}

// TestProgramIsSwapped: what somebody can swap between the look at a program and its start is refused however it looks.
// He points a link in a folder of his own to a sound program and to his own in turns, as fast as he can.
func TestProgramIsSwapped(t *testing.T) {
	good := script(t, "#!/bin/sh\n")
	folder := filepath.Dir(good)
	his := filepath.Join(folder, "his")
	mark := filepath.Join(his, "mark")
	evil := filepath.Join(his, "evil")
	if err := errors.Join(os.Mkdir(his, 0o777), os.Chmod(his, 0o777),
		os.WriteFile(evil, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o755),
		os.Symlink(good, filepath.Join(his, "hop")), os.Symlink("his/hop", filepath.Join(folder, "hook"))); err != nil {
		t.Fatal(err)
	}
	r := alone(t, folder, "exec")

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
		var no *Refusal
		_, err := r.Command(t.Context(), Cmd{Purpose: perform, Argv: []string{filepath.Join(folder, "hook")}})
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
	program := script(t, "#!/bin/sh\n")
	r := alone(t, filepath.Dir(program), "probe")
	var refusal *Refusal
	for _, c := range []Cmd{
		{},
		{Purpose: Probe},
		{Purpose: Probe, Argv: []string{"/bin/true"}},
		{Purpose: Notify, Argv: []string{program}},
		{Purpose: "", Argv: []string{program}},
		{Purpose: Diagnose, Argv: []string{program}},
		{Purpose: Diagnose, Argv: []string{"rm"}},
		{Purpose: Diagnose, Argv: []string{"../bin/ps"}},
	} {
		if _, err := r.Command(t.Context(), c); !errors.As(err, &refusal) {
			t.Errorf("%+v: %v, want a refusal", c, err)
		}
	}
	if _, err := r.Command(t.Context(), Cmd{Purpose: Probe, Argv: []string{program}}); err != nil {
		t.Error(err)
	}
	out, err := r.Command(t.Context(), Cmd{Purpose: Diagnose, Argv: []string{"df", "/"}})
	if err != nil || len(out.Stdout) == 0 {
		t.Errorf("df: %+v, %v", out, err)
	}
}

func TestCommandIsBounded(t *testing.T) {
	flood := script(t, "#!/bin/sh\nyes | head -c 10000000; exit 4\n")
	r := alone(t, filepath.Dir(flood), "probe")
	out, err := r.Command(t.Context(), Cmd{Purpose: Probe, Argv: []string{flood}})
	if err != nil || len(out.Stdout) != MaxOutput || !out.Truncated || out.Code != 4 {
		t.Errorf("10 MB of output: %d bytes, truncated %v, status %d, %v", len(out.Stdout), out.Truncated, out.Code, err)
	}

	children := filepath.Join(t.TempDir(), "children")
	hang := script(t, "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $! $$ > "+children+
		"\nread word; echo $word; sleep 1000\n")
	r = alone(t, filepath.Dir(hang), "probe")
	out, err = r.Command(t.Context(), Cmd{Purpose: Probe, Argv: []string{hang}, Stdin: []byte("heard\n"),
		Timeout: 300 * time.Millisecond})
	if !errors.Is(err, errTimeout) || string(out.Stdout) != "heard\n" || out.Took > 5*time.Second {
		t.Errorf("a program that hangs: %+v, %v", out, err)
	}
	nobodyLeft(t, children)

	left := script(t, "#!/bin/sh\nsleep 1000 &\necho $! > "+children+"\n")
	r = alone(t, filepath.Dir(left), "probe")
	out, err = r.Command(t.Context(), Cmd{Purpose: Probe, Argv: []string{left}})
	if err != nil || out.Code != 0 || out.Took > 5*time.Second {
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
		agenttest.Eventually(t, 5*time.Second, func() bool { return dead(pid) }, "process "+word+" is gone")
	}
}

// dead reports whether the process is gone or only waits to be reaped.
func dead(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(text), ") Z ")
}
