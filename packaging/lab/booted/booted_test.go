//go:build lab

package booted

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
)

// TestHosts: every fault that scenarios build on does what it says.
func TestHosts(t *testing.T) {
	missing := Missing()
	agenttest.Require(t, "a machine that can boot hosts", len(missing) == 0, strings.Join(missing, "; "))
	base, err := Base(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if left := namespacesOf(l.name); len(left) > 0 {
			t.Errorf("namespaces are left: %v", left)
		}
	})
	a := boot(t, l, "a", HostOptions{Disk: 32})
	b := boot(t, l, "b", HostOptions{V1: hybrid()})

	t.Run("network", func(t *testing.T) {
		ping := func(from, to *Host) bool {
			_, err := from.Exec(t.Context(), "bash", "-c", "exec 3<>/dev/tcp/"+to.Address+"/7")
			return err != nil && strings.Contains(err.Error(), "refused") // it was reached, and nobody listens
		}
		if !ping(a, b) || !ping(b, a) {
			t.Fatal("hosts do not reach each other")
		}
		listener, err := l.Listen(0)
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		go func() {
			c, err := listener.Accept()
			if err == nil {
				_ = c.Close()
			}
		}()
		conn, err := l.Dial(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Errorf("dial port %d of the switch: %v", port, err)
		} else {
			_ = conn.Close()
		}
		_ = listener.Close()

		cut := func(err error, host *Host, what string) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			got, err := host.Exec(t.Context(), "nft", "list", "set", "inet", "lab", "cut")
			if err != nil || !strings.Contains(got, what) {
				t.Errorf("%s has %s %v", host.Name, got, err)
			}
		}
		cut(OneWay(t.Context(), []*Host{a}, []*Host{b}), b, a.Address)
		if _, err := a.Exec(t.Context(), "nft", "list", "table", "inet", "lab"); err == nil {
			t.Error("one way cut both")
		}
		cut(Partition(t.Context(), []*Host{a}, []*Host{b}), a, b.Address)
		if err := Heal(t.Context(), a, b); err != nil || !ping(a, b) {
			t.Errorf("not healed: %v", err)
		}
	})
	t.Run("freeze", func(t *testing.T) {
		if err := a.Freeze(); err != nil {
			t.Fatal(err)
		}
		init, _ := a.Leader()
		agenttest.Eventually(t, func() bool {
			events, err := os.ReadFile(unified() + "/" + a.id + "/cgroup.events")
			return err == nil && strings.Contains(string(events), "frozen 1")
		}, "frozen")
		if err := a.Thaw(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Exec(t.Context(), "systemctl", "is-system-running"); err != nil || unix.Kill(init, 0) != nil {
			t.Errorf("not the same after a thaw: %v", err)
		}
	})
	t.Run("disk", func(t *testing.T) {
		if err := a.FillDisk(); err != nil {
			t.Fatal(err)
		}
		if err := a.Write(State+"/more", "one byte more", 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("a full disk took more: %v", err)
		}
		if err := a.FreeDisk(); err != nil {
			t.Fatal(err)
		}
		if err := a.Write(State+"/kept", "kept", 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Save(t.Context(), "old", State); err != nil {
			t.Fatal(err)
		}
		if err := a.BreakDisk(); err != nil {
			t.Fatal(err)
		}
		if err := a.Write(State+"/kept", "changed", 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("a broken disk was written: %v", err)
		}
		if err := errors.Join(a.PowerCut(), a.MendDisk(t.Context()), a.Boot(t.Context())); err != nil {
			t.Fatal(err)
		}
		if err := a.Write(State+"/kept", "changed", 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Restore(t.Context(), a, "old", State); err != nil {
			t.Fatal(err)
		}
		if got, err := a.Read(State + "/kept"); got != "kept" {
			t.Errorf("restored %q, %v", got, err)
		}
	})
	t.Run("boot", func(t *testing.T) {
		ids := map[string]bool{}
		id := func(h *Host) {
			t.Helper()
			out, err := h.Exec(t.Context(), "cat", "/proc/sys/kernel/random/boot_id")
			if err != nil || ids[out] {
				t.Errorf("the same boot as before: %s %v", out, err)
			}
			ids[out] = true
		}
		id(a)
		if err := a.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		id(a)
		if err := a.PowerCut(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Exec(t.Context(), "true"); !errors.Is(err, ErrOff) {
			t.Errorf("no power, and it says %v", err)
		}
		if err := a.Boot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := a.Exec(t.Context(), "cat", State+"/kept"); got != "kept" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func boot(t *testing.T, l *Lab, name string, o HostOptions) *Host {
	t.Helper()
	start := time.Now()
	h, err := l.Host(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s is up after %v", name, time.Since(start).Round(time.Millisecond))
	return h
}
