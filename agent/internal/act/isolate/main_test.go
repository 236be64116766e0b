package isolate_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// Users of the tests' namespace: the one that Salve runs as, and the one of a service.
const (
	salve   = 1000
	service = 1001
)

// inside is set in the process that runs in namespaces of its own.
const inside = "SALVE_TEST_INSIDE"

// TestMain runs the tests again in a network of their own, as an ordinary user with CAP_NET_ADMIN: so they have a packet
// filter to themselves, and no more rights over it than the agent has.
func TestMain(m *testing.M) {
	if os.Getenv(dying) != "" {
		os.Exit(m.Run()) // of which nothing is left
	}
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		goleak.VerifyTestMain(m)
		return
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), inside+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	ids := []syscall.SysProcIDMap{{ContainerID: salve, HostID: 0, Size: 1}, {ContainerID: service, HostID: service, Size: 1}}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, UidMappings: ids, GidMappings: ids,
		// Beside what the agent needs: the ports of a server, to be another user, and to make control groups for a manager.
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETUID, unix.CAP_DAC_OVERRIDE},
		Pdeathsig:   syscall.SIGKILL,
	}
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "no namespaces:", err)
		goleak.VerifyTestMain(m)
	}
}
