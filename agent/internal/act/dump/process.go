package dump

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/remedy"
)

// tracee is the main process of a unit, by what no other one has.
type tracee struct {
	PID     int           `json:"pid,omitempty"`
	Started time.Duration `json:"started,omitempty"` // since boot, as systemd has it
}

// runs reports whether the unit's main process still is this one.
func (p tracee) runs(u systemd.Unit) bool { return u.MainPID == p.PID && u.ExecMainStart == p.Started }

// rights ends a refusal for want of rights.
const rights = ": examples/tracing.conf of the package gives it"

// readable refuses a process that could not be stopped, read and let go on, before anything of it is touched.
func readable(pid int) error {
	if errors.Is(unix.PtraceDetach(os.Getpid()), unix.EPERM) { // of this process, which nobody traces, it does nothing
		return kind.Refuse("this agent may not use the system call ptrace" + rights)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid)) // asks for the same right as a debugger
	switch {
	case errors.Is(err, fs.ErrPermission):
		scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
		if strings.TrimSpace(string(scope)) == "3" {
			return kind.Refuse("this host lets nobody read processes until it boots anew: kernel.yama.ptrace_scope is 3")
		}
		return kind.Refuse("process %d cannot be read without CAP_SYS_PTRACE"+rights, pid)
	case err != nil:
		return kind.Refuse("process %d cannot be read: %v", pid, err)
	}
	_ = memory.Close()
	if errors.Is(unix.Kill(pid, 0), unix.EPERM) {
		return kind.Refuse("process %d could not be let go on without CAP_KILL if its reader died"+rights, pid)
	}
	has, err := status(pid)
	switch {
	case err != nil:
		return kind.Refuse("the state of process %d cannot be told: %v", pid, err)
	case has["TracerPid"] != "0":
		return kind.Refuse("process %d is read by process %s already", pid, has["TracerPid"])
	case stopped(has):
		return kind.Refuse("process %d is stopped: somebody wants it to stand still", pid)
	}
	return nil
}

// status is what the kernel says of a process, by its own words.
func status(pid int) (map[string]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	has := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		has[name] = strings.TrimSpace(value)
	}
	return has, err
}

// stopped reports whether a signal has stopped the process. While it is traced its letter is a small one.
func stopped(status map[string]string) bool { return strings.HasPrefix(status["State"], "T") }

// fits refuses a core that would be larger than the bytes, and one for which memory came back out of the swap.
func fits(pid int, most uint64) error {
	has, err := status(pid)
	if err != nil {
		return kind.Refuse("the state of process %d cannot be told: %v", pid, err)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return kind.Refuse("how large process %d is cannot be told: %v", pid, err)
	}
	return spares(has["VmSwap"], writable(string(maps)), most)
}

// spares refuses what would cost the host memory that it has not, or more of the disk than it may.
func spares(swapped string, own, most uint64) error {
	if n, _, _ := strings.Cut(swapped, " "); n != "" && n != "0" {
		return kind.Refuse("%s of it are in swap, and a core would bring them back; \"stacks\" needs no memory", swapped)
	}
	if own > most {
		return kind.Refuse("a core of it may have %s, and max_mib is %d", size(own), most>>20)
	}
	return nil
}

// writable is how many bytes of the mappings are a process's own: what it can write, and what comes from no file.
func writable(maps string) (bytes uint64) {
	for line := range strings.Lines(maps) {
		f := strings.Fields(line) // address perms offset device inode path
		if len(f) < 5 || strings.HasPrefix(f[1], "---") || f[1][1] != 'w' && f[4] != "0" {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		first, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && end > first {
			bytes += end - first
		}
	}
	return bytes
}

// watchdog is how long the process may be silent before systemd ends it; 0: for ever.
func watchdog(pid int) time.Duration {
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	for v := range strings.SplitSeq(string(env), "\x00") {
		if text, ok := strings.CutPrefix(v, "WATCHDOG_USEC="); ok {
			us, _ := strconv.ParseInt(text, 10, 64)
			return time.Duration(us) * time.Microsecond
		}
	}
	return 0
}

// resume lets a process go on whose reader was killed. The kernel lets go of it by itself, but a stop that the reader had
// asked for and not yet seen would stay; SIGCONT also takes back one that is still to come.
func resume(handle int) error {
	if err := unix.PidfdSendSignal(handle, unix.SIGCONT, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("let the process go on: %w", err)
	}
	return nil
}

// release lets a process go on that the reader of an earlier agent may have left stopped, and says so. It does not look first:
// the stop may still be to come.
func (k Kind) release(ctx context.Context, target string, p tracee) string {
	if p.PID <= 1 {
		return ""
	}
	handle, err := unix.PidfdOpen(p.PID, 0) // before systemd is asked whose it is
	if err != nil {
		return ""
	}
	defer unix.Close(handle)
	u, err := k.Systemd.Read(ctx, target)
	if err != nil {
		return "; whether it was left stopped cannot be known: " + err.Error()
	}
	if !p.runs(u) {
		return ""
	}
	if err := resume(handle); err != nil {
		return "; " + err.Error()
	}
	return fmt.Sprintf("; process %d was let go on", p.PID)
}

// traceable finds the process that is to be read, or refuses.
func (k Kind) traceable(ctx context.Context, u systemd.Unit, a *remedy.DumpArgs) (tracee, error) {
	p := tracee{u.MainPID, u.ExecMainStart}
	if err := k.units.Unprotected(ctx, u); err != nil {
		return p, kind.Refuse("%v", err)
	}
	if p.PID <= 1 {
		return p, kind.Refuse("%s has no main process", u.Name)
	}
	if _, err := commandFor(a, p.PID, ""); err != nil {
		return p, kind.Refuse("%v", err)
	}
	if err := readable(p.PID); err != nil {
		return p, err
	}
	if a.How == remedy.HowCore {
		return p, fits(p.PID, uint64(a.Most)<<20)
	}
	return p, nil
}
