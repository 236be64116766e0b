package journal

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/clock"
)

// A full disk fails durable writes with its reason, keeps queued ones, and is noticed to be over.
func TestDiskFull(t *testing.T) {
	for name, attr := range map[string]*syscall.SysProcAttr{
		"rlimit": nil,
		"tmpfs": {
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := role(name, t.TempDir())
			cmd.SysProcAttr = attr
			out, err := cmd.CombinedOutput()
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
				agenttest.Require(t, "user namespaces", false, "allow unprivileged user namespaces: "+err.Error())
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func fullByLimit(dir string) error {
	signal.Ignore(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	limit := func(n uint64) error {
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: was.Max})
	}
	if err := limit(200 << 10); err != nil {
		return err
	}
	return fillUp(dir, func() error { return limit(was.Cur) })
}

func fullByTmpfs(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 800<<10), 0o600); err != nil {
		return err
	}
	return fillUp(dir, func() error { return os.Remove(ballast) })
}

// fillUp writes until the disk is full, makes room, and waits for the journal to notice.
func fillUp(dir string, makeRoom func() error) error {
	c, err := clock.System()
	if err != nil {
		return err
	}
	j, _, err := Open(filepath.Join(dir, "state"), Options{Clock: c, Limits: Limits{RetryEvery: 5 * time.Millisecond}})
	if err != nil {
		return err
	}
	written := 0
	for ; err == nil && written < 1000; written++ {
		a := attempt(fmt.Sprint("a", written), "i", clock.Now(c))
		a.Error = strings.Repeat("x", 10<<10)
		err = j.PutAttempt(a)
	}
	if err == nil {
		return fmt.Errorf("%d writes went to a disk that has no room for them", written)
	}
	if j.Healthy() == nil {
		return errors.New("Healthy is nil after a failed write")
	}
	large := story("0a", clock.Now(c))
	large.Title = strings.Repeat("x", 100<<10)
	if err := j.PutIncident(large); err != nil {
		return fmt.Errorf("queued write: %w", err)
	}
	if _, err := j.Attempt("a0"); err != nil {
		return fmt.Errorf("read while the disk is full: %w", err)
	}
	if err := makeRoom(); err != nil {
		return err
	}
	look, late := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer look.Stop()
	for j.Healthy() != nil {
		select {
		case <-look.C:
		case <-late:
			return fmt.Errorf("still: %w", j.Healthy())
		}
	}
	if _, err := j.Incident("0a"); err != nil {
		return fmt.Errorf("what was queued: %w", err)
	}
	if _, err := j.Attempt(fmt.Sprint("a", written-1)); !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("the refused write: %v, want ErrNotFound", err)
	}
	if err := j.Close(); err != nil {
		return err
	}
	_, err = check(filepath.Join(dir, "state", fileName))
	return err
}
