package agenttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options says which user manager is wanted. The zero value is a private one.
type Options struct {
	// Existing takes the user manager that already runs for this user, if there is one; only the
	// units written through WriteUnit are then touched.
	Existing bool
	// Unified shows a private manager nothing but version 2 of control groups, also on a host that has both: only then
	// it can freeze units.
	Unified bool
	// Timeout is how long the start may take; default 10 s.
	Timeout time.Duration
}

// Systemd is a user manager: a real systemd that owns nothing but the caller's units.
type Systemd struct {
	// Address is the D-Bus address of the manager's private socket: "unix:path=…".
	Address string
	// Units is the folder of the caller's unit files.
	Units string
	// Runtime is the manager's XDG_RUNTIME_DIR.
	Runtime string
	// Private is false when it is a user manager that was there before.
	Private bool

	folder  string
	lock    *os.File
	cgroups []string
	process *process
	written []string
	stopped bool
}

// Manager starts a private user manager for a test and stops it at the test's end.
func Manager(t testing.TB) *Systemd {
	t.Helper()
	return ManagerOf(t, Options{})
}

// ManagerOf is Manager with options.
func ManagerOf(t testing.TB, o Options) *Systemd {
	t.Helper()
	s, err := StartManager(t.Context(), o)
	why := ""
	if err != nil {
		why = err.Error()
	}
	Require(t, "a systemd user manager", err == nil, why)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop user manager: %v", err)
		}
	})
	return s
}

// StartManager starts a private `systemd --user`, or finds the running one if o allows. It is up
// when this returns. Several may run at once. What dead runs left behind is swept first.
func StartManager(ctx context.Context, o Options) (*Systemd, error) {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Existing {
		if s := existingManager(); s != nil {
			return s, nil
		}
	}
	sweep()
	s, err := newFolder()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := s.start(ctx, o.Unified); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func existingManager() *Systemd {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	socket := filepath.Join(dir, "systemd/private")
	if info, err := os.Stat(socket); dir == "" || err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil
	}
	s := &Systemd{Runtime: dir, Units: filepath.Join(dir, "systemd/user"), Address: "unix:path=" + socket}
	if os.MkdirAll(s.Units, 0o755) != nil {
		return nil
	}
	if _, err := s.Systemctl("show", "--property=Version"); err != nil {
		return nil // a socket that nobody answers
	}
	return s
}

// PID is the manager's process, 0 for one that was there before.
func (s *Systemd) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

// WriteUnit writes a unit file and makes the manager read it.
func (s *Systemd) WriteUnit(name, text string) error {
	path := filepath.Join(s.Units, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	s.written = append(s.written, name)
	_, err := s.Systemctl("daemon-reload")
	return err
}

// RemoveUnit removes a unit file and makes the manager forget it; a running unit goes on.
func (s *Systemd) RemoveUnit(name string) error {
	if err := os.Remove(filepath.Join(s.Units, name)); err != nil {
		return err
	}
	_, err := s.Systemctl("daemon-reload")
	return err
}

// Systemctl runs `systemctl --user` with args against the manager and returns what it printed.
func (s *Systemd) Systemctl(args ...string) (string, error) {
	cmd := exec.Command("systemctl", append([]string{"--user", "--no-pager"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + s.Runtime, "LC_ALL=C"}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return strings.TrimSpace(out.String()), fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err,
			strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Property reads one property of a unit as systemctl prints it.
func (s *Systemd) Property(unit, property string) (string, error) {
	return s.Systemctl("show", "--value", "--property="+property, unit)
}

// Stop ends the manager with everything that it started and removes what it left. For a manager that
// was there before it stops and removes the units written through WriteUnit. A second Stop does nothing.
func (s *Systemd) Stop() error {
	if !s.Private {
		return s.removeWritten()
	}
	if s.stopped {
		return nil
	}
	s.stopped = true
	if p := s.process; p != nil {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(time.Second): // a unit that ignores its stop
		}
		if !p.exited() {
			p.kill()
		}
	}
	removeCgroups(s.cgroups)
	return errors.Join(os.RemoveAll(s.folder), s.lock.Close())
}

func (s *Systemd) removeWritten() error {
	var errs []error
	for _, name := range s.written {
		if !strings.Contains(name, "/") && !strings.Contains(name, "@.") {
			_, err := s.Systemctl("stop", name)
			errs = append(errs, err)
		}
		errs = append(errs, os.RemoveAll(filepath.Join(s.Units, name)))
	}
	if len(s.written) > 0 {
		_, err := s.Systemctl("daemon-reload")
		errs = append(errs, err)
	}
	s.written = nil
	return errors.Join(errs...)
}
