package journaltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/require"
)

const journald = "/lib/systemd/systemd-journald"

// Daemon is a journald of its own, which neither reads the kernel's log nor knows this machine's journal.
type Daemon struct {
	Folder string // where its files are
	Socket string // to which lines are sent
	cmd    *exec.Cmd
}

// Journald starts one, which ends with the test. It takes root, for a mount namespace.
func Journald(t testing.TB) *Daemon {
	t.Helper()
	require.Root(t, "a journald of its own needs a mount namespace")
	machine, _ := os.ReadFile("/etc/machine-id")
	_, err := os.Stat(journald)
	require.That(t, "systemd-journald", err == nil && len(machine) > 0, "Debian package systemd, and /etc/machine-id")
	dir := t.TempDir()
	for _, name := range []string{"run", "log"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const script = `mount -t tmpfs none /run && mount -t tmpfs none /var/log && mkdir /run/systemd /var/log/journal &&
		mount --bind "$1/run" /run/systemd && mount --bind "$1/log" /var/log/journal && exec "$2" salve`
	d := &Daemon{
		Folder: filepath.Join(dir, "log", strings.TrimSpace(string(machine))+".salve"),
		Socket: filepath.Join(dir, "run/journal.salve/socket"),
		cmd: exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh",
			dir, journald),
	}
	d.cmd.Env = append(os.Environ(), "SYSTEMD_LOG_TARGET=console")
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	for _, path := range []string{d.Socket, filepath.Join(d.Folder, "system.journal")} {
		if !agenttest.Poll(10*time.Second, func() bool { _, err := os.Stat(path); return err == nil }) {
			t.Fatalf("journald made no %s", path)
		}
	}
	return d
}

// Rotate has it put its files aside and begin new ones.
func (d *Daemon) Rotate(t testing.TB) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
}
