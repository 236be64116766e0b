package downgrade_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// insideEnv is set in the process whose mounts are its own.
const insideEnv = "DOWNGRADE_TEST_INSIDE"

// TestMain runs the tests in a process in which package managers have nothing to do with this machine: what they know, keep and
// install lies in memory.
func TestMain(m *testing.M) {
	fuzzes := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz") }) // with pipes of its own
	switch {
	case os.Geteuid() != 0 || fuzzes:
	case os.Getenv(insideEnv) == "":
		os.Exit(inside())
	default:
		if err := stage(); err != nil {
			fmt.Fprintln(os.Stderr, "make a place for packages:", err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// inside runs this program again, in a namespace of its own.
func inside() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var ended *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ended) {
		return ended.ExitCode()
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// stage hides what this machine has of packages, and makes repositories of some.
func stage() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, p := range packagers {
		if p.missing() != "" {
			continue
		}
		for _, dir := range p.folders() {
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
				return fmt.Errorf("%s: %w", dir, err)
			}
		}
	}
	for _, dir := range []string{"/var/log", "/opt"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	for _, p := range packagers {
		if p.missing() == "" {
			if err := p.prepare(); err != nil {
				return fmt.Errorf("make a place for %s: %w", p.name(), err)
			}
		}
	}
	return nil
}

// write makes files with their folders: path, text, path, text.
func write(files ...string) error {
	for i := 0; i < len(files); i += 2 {
		if err := os.MkdirAll(filepath.Dir(files[i]), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func command(argv ...string) error {
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", argv, err, out)
	}
	return nil
}
