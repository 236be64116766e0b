package agenttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const folderPrefix = "salve-manager-"

// managers tells the private managers of this process apart; their cgroups are named by it.
var managers atomic.Int64

// newFolder makes the folder of a private manager. As long as its owner lives, it holds a lock on
// the file "lock", by which later runs tell living folders from left ones.
func newFolder() (*Systemd, error) {
	base := os.TempDir()
	if len(base) > 40 {
		base = "/tmp" // a socket's path has at most 108 bytes
	}
	for try := 0; ; try++ {
		dir, err := os.MkdirTemp(base, folderPrefix)
		if err != nil {
			return nil, err
		}
		lock, err := takeLock(dir)
		if err != nil && try < 10 {
			continue // another run's sweep came between the folder and its lock, and took it for left
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		run := filepath.Join(dir, "run")
		return &Systemd{
			Private: true,
			Address: "unix:path=" + filepath.Join(run, "systemd/private"),
			Units:   filepath.Join(dir, "units"),
			Runtime: run,
			folder:  dir,
			lock:    lock,
		}, nil
	}
}

func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// enter is what the child does before it becomes the manager. systemd refuses --user unless the
// machine looks booted with it, so on one that is not, the child's own mount namespace gets the sign.
// Only the child needs the namespace: its socket lies in a folder that everyone sees.
const enter = `set -e
for c in $CGROUPS; do echo $$ > $c/cgroup.procs; done
mount --make-rprivate /
if [ -n "$UNIFIED" ]; then mount --bind "$UNIFIED" /sys/fs/cgroup; fi
if [ ! -d /run/systemd/system ]; then
	[ -d /run/systemd ] || mkdir /run/systemd
	mount -t tmpfs -o mode=755 tmpfs /run/systemd
	mkdir /run/systemd/system
fi
unset CGROUPS UNIFIED
exec "$0" --user --unit=base.target`

func (s *Systemd) start(ctx context.Context, unified bool) error {
	program, err := managerProgram()
	if err != nil {
		return err
	}
	for dir, mode := range map[string]fs.FileMode{s.Runtime: 0o700, s.Units: 0o755} {
		if err := os.Mkdir(dir, mode); err != nil {
			return err
		}
	}
	base := filepath.Join(s.Units, "base.target")
	if err := os.WriteFile(base, []byte("[Unit]\nDescription=Private manager is up\n"), 0o644); err != nil {
		return err
	}
	name := fmt.Sprintf("salve-%d-%d", os.Getpid(), managers.Add(1))
	if s.cgroups, err = makeCgroups(name); err != nil {
		return err
	}
	list := strings.Join(s.cgroups, "\n")
	if err := os.WriteFile(filepath.Join(s.folder, "cgroups"), []byte(list), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", enter, program)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder, "LC_ALL=C",
		"XDG_RUNTIME_DIR=" + s.Runtime,
		"SYSTEMD_UNIT_PATH=" + strings.Join(s.searchPath(), ":"),
		"CGROUPS=" + strings.Join(s.cgroups, " "),
	}
	if unified {
		over, err := unifiedRoot()
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, "UNIFIED="+over)
	}
	cmd.SysProcAttr = namespaces()
	if s.process, err = spawn(cmd, syscall.SIGTERM); err != nil {
		s.process = nil
		return fmt.Errorf("start private user manager: %w", err)
	}
	return s.await(ctx)
}

// searchPath is a user manager's own, with the folder of units in the place of the administrator's:
// masks and drop-ins made through D-Bus come before it. What the machine has installed for its users'
// sessions stays out.
func (s *Systemd) searchPath() []string {
	config, run := filepath.Join(s.folder, ".config/systemd"), filepath.Join(s.Runtime, "systemd")
	return []string{
		config + "/user.control", run + "/user.control", run + "/transient",
		config + "/user", run + "/user", s.Units, "/usr/lib/systemd/user",
	}
}

func managerProgram() (string, error) {
	for _, p := range []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"} {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", errors.New("no /usr/lib/systemd/systemd: install the package systemd")
}

// namespaces gives the child a mount namespace; an ordinary user needs a user namespace for that, in
// which it stays itself but may mount.
func namespaces() *syscall.SysProcAttr {
	if os.Geteuid() == 0 {
		return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	}
	uid, gid := os.Geteuid(), os.Getegid()
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
}

// await waits until the manager has reached its target.
func (s *Systemd) await(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !s.up() {
		select {
		case <-tick.C:
		case <-s.process.done:
			return fmt.Errorf("private user manager ended at once: %q; %s", s.process.out.String(), delegationHint)
		case <-ctx.Done():
			return fmt.Errorf("wait for private user manager: %w: %q", ctx.Err(), s.process.out.String())
		}
	}
	return nil
}

// up reports whether the manager has started everything that it has to. "degraded" is up too: a unit
// that the distribution brings may have failed.
func (s *Systemd) up() bool {
	if _, err := os.Stat(strings.TrimPrefix(s.Address, "unix:path=")); err != nil {
		return false // ask only when somebody can answer: the question costs a process
	}
	// Not is-system-running: that looks first whether the machine itself runs systemd.
	state, _ := s.Systemctl("show", "--value", "--property=SystemState")
	return state == "running" || state == "degraded"
}

// sweep removes what private managers left whose owner was killed: a folder of this user whose lock is
// free has no owner any more, and what still sits in its cgroups is nobody's.
func sweep() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			text, _ := os.ReadFile(filepath.Join(dir, "cgroups"))
			removeCgroups(strings.Fields(string(text)))
			_ = os.RemoveAll(dir)
		}
		_ = lock.Close()
	}
}
