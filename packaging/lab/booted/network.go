package booted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const namespaces = "/run/netns"

// plug makes the switch: a namespace with a bridge in it.
func (l *Lab) plug(ctx context.Context) error {
	return ip(ctx,
		"netns add "+l.name,
		"-n "+l.name+" link add br0 type bridge",
		"-n "+l.name+" addr add "+gateway+"/24 dev br0",
		"-n "+l.name+" link set br0 up",
		"-n "+l.name+" link set lo up",
	)
}

// connect gives a host its namespace, and a cable from there to the switch.
func (h *Host) connect(ctx context.Context) error {
	sw, port := h.lab.name, "v-"+h.Name
	return ip(ctx,
		"netns add "+h.id,
		"-n "+sw+" link add "+port+" type veth peer name host0 netns "+h.id,
		"-n "+sw+" link set "+port+" master br0 up",
		"-n "+h.id+" addr add "+h.Address+"/24 dev host0",
		"-n "+h.id+" link set host0 up",
		"-n "+h.id+" link set lo up",
	)
}

func ip(ctx context.Context, commands ...string) error {
	for _, c := range commands {
		if _, err := run(exec.CommandContext(ctx, "ip", strings.Fields(c)...)); err != nil {
			return err
		}
	}
	return nil
}

func deleteNamespace(ctx context.Context, name string) error {
	if _, err := os.Stat(filepath.Join(namespaces, name)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return ip(ctx, "netns del "+name)
}

// orphans are the names of labs whose process is gone.
func orphans() []string {
	var out []string
	found, _ := filepath.Glob(filepath.Join(namespaces, prefix+"*"))
	for _, path := range found {
		name := filepath.Base(path)
		pid, err := strconv.Atoi(strings.TrimPrefix(name, prefix))
		if err == nil && unix.Kill(pid, 0) == unix.ESRCH { // those of hosts have more behind the number
			out = append(out, name)
		}
	}
	return out
}

// namespacesOf are the namespaces of the hosts of a lab, which are their control groups' names, too.
func namespacesOf(lab string) []string {
	found, _ := filepath.Glob(filepath.Join(namespaces, lab+"-*"))
	for i, path := range found {
		found[i] = filepath.Base(path)
	}
	return found
}

// within calls f in a network namespace. Sockets stay in the one that they were made in.
func within(namespace string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: a thread in the wrong namespace ends with its goroutine.
		runtime.LockOSThread()
		done <- enter(namespace, f)
	}()
	return <-done
}

func enter(namespace string, f func() error) error {
	ns, err := os.Open(filepath.Join(namespaces, namespace))
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", namespace, err)
	}
	return f()
}

// Partition lets nothing pass between the two sides, until Heal. It adds to what is cut already.
func Partition(ctx context.Context, a, b []*Host) error {
	return errors.Join(OneWay(ctx, a, b), OneWay(ctx, b, a))
}

// OneWay lets nothing pass from one side to the other; what goes back still does.
func OneWay(ctx context.Context, from, to []*Host) error {
	for _, h := range to {
		rules := "add table inet lab; add set inet lab cut { type ipv4_addr; }; " +
			"add chain inet lab in { type filter hook input priority -300; }; flush chain inet lab in; " +
			"add rule inet lab in ip saddr @cut drop; "
		for _, other := range from {
			if other != h {
				rules += "add element inet lab cut { " + other.Address + " }; "
			}
		}
		if err := h.nft(ctx, rules); err != nil {
			return err
		}
	}
	return nil
}

// Heal takes all cuts of these hosts back.
func Heal(ctx context.Context, hosts ...*Host) error {
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.nft(ctx, "add table inet lab; delete table inet lab"))
	}
	return errors.Join(errs...)
}

// nft changes the rules of a host's network, whether the host runs or not.
func (h *Host) nft(ctx context.Context, rules string) error {
	_, err := run(exec.CommandContext(ctx, "nsenter", "--net="+filepath.Join(namespaces, h.id), "chroot", h.lab.base, "nft", rules))
	return err
}
