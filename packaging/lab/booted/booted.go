// Package booted runs whole hosts: a real systemd as PID 1 over a Debian root of its own, with a network namespace, a
// wall clock, and a disk for its state, on one switch with the others. They can be cut off, frozen, filled, set back,
// rebooted, and have their power cut. It knows nothing of what runs in them.
//
// It needs root, and nothing that it makes is seen outside, but for one limit of the kernel's that it raises: no traffic
// leaves the switch, which is a network namespace of its own, and is on no interface of the machine.
package booted

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// Lab is a switch and the hosts on it. Its methods may be called from several places at once.
type Lab struct {
	dir  string // of everything
	base string // the root file system below each host's own
	name string // what its namespaces and control groups begin with

	mu    sync.Mutex
	hosts []*Host
}

const prefix = "salve-lab-"

// gateway is the address of this side of the switch.
const gateway = "10.99.0.254"

// New makes a switch for hosts above the root file system base; see Base. What labs left behind whose process is gone
// is removed.
func New(ctx context.Context, base string) (_ *Lab, err error) {
	if err := errors.Join(sweep(ctx), raise(watches, most)); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s%d", prefix, os.Getpid())
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, base: base, name: name}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // users of the hosts walk through it
		return nil, err
	}
	return l, l.plug(ctx)
}

// Close cuts the power of all hosts and removes what is left of them.
func (l *Lab) Close() error {
	ctx := context.Background()
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, h := range l.hosts {
		errs = append(errs, h.remove(ctx))
	}
	l.hosts = nil
	errs = append(errs, deleteNamespace(ctx, l.name), os.RemoveAll(l.dir))
	return errors.Join(errs...)
}

// Hosts are all hosts, in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

// Address is where programs of this machine listen for the hosts; see Listen.
func (l *Lab) Address() string { return gateway }

// Listen listens at a port of the switch's own address, which all hosts can reach.
func (l *Lab) Listen(port int) (net.Listener, error) {
	var out net.Listener
	err := within(l.name, func() (err error) {
		out, err = net.Listen("tcp4", net.JoinHostPort(gateway, fmt.Sprint(port)))
		return err
	})
	return out, err
}

// Dial reaches a host over the switch. It is for http.Transport.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var out net.Conn
	err := within(l.name, func() (err error) {
		out, err = (&net.Dialer{}).DialContext(ctx, "tcp4", address) // an IP address: no other goroutine is asked
		return err
	})
	return out, err
}

// sweep removes what labs left whose process ended without Close.
func sweep(ctx context.Context) error {
	var errs []error
	for _, name := range orphans() {
		for _, host := range namespacesOf(name) {
			errs = append(errs, deleteNamespace(ctx, host), removeGroups(host))
		}
		errs = append(errs, deleteNamespace(ctx, name))
		dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), name+"-*"))
		for _, dir := range dirs {
			roots, _ := filepath.Glob(filepath.Join(dir, "*", "root"))
			for _, root := range roots {
				errs = append(errs, unmount(root))
			}
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
