package booted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// PowerCut ends everything on the host at once. What was written stays, also what was not synced: the kernel below
// goes on.
func (h *Host) PowerCut() error {
	h.mu.Lock()
	p := h.nspawn
	h.nspawn, h.init = nil, 0
	h.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := removeGroups(h.id); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return nil
	case <-time.After(killTime):
		return fmt.Errorf("%s does not end without power", h.Name)
	}
}

// Reboot shuts the host down in order and boots it again.
func (h *Host) Reboot(ctx context.Context) error {
	_, _ = h.Exec(ctx, "systemctl", "reboot") // which may take the command with it
	return h.Return(ctx)
}

// Return waits until the host shuts down by itself, as it does to be rebooted, and boots it again.
func (h *Host) Return(ctx context.Context) error {
	h.mu.Lock()
	p := h.nspawn
	h.mu.Unlock()
	if p == nil {
		return fmt.Errorf("await the reboot of %s: %w", h.Name, ErrOff)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(bootTime):
		return fmt.Errorf("%s does not shut down", h.Name)
	}
	if err := h.PowerCut(); err != nil {
		return err
	}
	return h.Boot(ctx)
}

// Freeze stops everything on the host where it stands; connections stay open, and nobody answers.
func (h *Host) Freeze() error { return h.freeze("1") }

// Thaw lets it go on.
func (h *Host) Thaw() error { return h.freeze("0") }

func (h *Host) freeze(how string) error {
	return os.WriteFile(filepath.Join(unified(), h.id, "cgroup.freeze"), []byte(how), 0)
}

// addDisk makes a file system of its own for a folder, which can be full or broken without anything else.
func (h *Host) addDisk(ctx context.Context, name string, size int, at string) error {
	image := filepath.Join(h.dir, name)
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, int64(size)<<20); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(h.Root(), at), 0o755); err != nil {
		return err
	}
	if _, err := run(exec.CommandContext(ctx, "mkfs.ext4", "-q", "-m", "0", image)); err != nil {
		return err
	}
	return h.mountDisk(ctx, name, at)
}

const ballast = State + "/ballast"

// FillDisk leaves no byte free on the host's disk.
func (h *Host) FillDisk() error {
	f, err := os.Create(filepath.Join(h.Root(), ballast))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
	}
	return nil
}

// FreeDisk takes back what FillDisk wrote.
func (h *Host) FreeDisk() error { return os.Remove(filepath.Join(h.Root(), ballast)) }

// BreakDisk makes the host's disk read-only, as the kernel does after an error, also under files that are open.
func (h *Host) BreakDisk() error {
	device, err := h.device()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("/sys/fs/ext4", device, "trigger_fs_error"), []byte("1"), 0)
}

// device is the name of the loop device under the host's disk.
func (h *Host) device() (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(h.Root(), State), &st); err != nil {
		return "", err
	}
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	return filepath.Base(device), err
}

// flushDisk writes what the kernel still holds back into the image.
func (h *Host) flushDisk() error {
	device, err := h.device()
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join("/dev", device))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// MendDisk replaces a broken disk by one that holds the same. The host must be off.
func (h *Host) MendDisk(ctx context.Context) error {
	if _, err := h.Leader(); err == nil {
		return fmt.Errorf("mend the disk of %s: it runs", h.Name)
	}
	// Not the whole machine is synced, which would stall whatever else runs on it.
	if err := h.flushDisk(); err != nil {
		return fmt.Errorf("flush the disk of %s: %w", h.Name, err)
	}
	if err := unix.Unmount(filepath.Join(h.Root(), State), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the disk of %s: %w", h.Name, err)
	}
	// A copy, because the broken one is mounted as long as any mount namespace of this machine has it, and the kernel
	// would give the same mount again.
	image, broken := filepath.Join(h.dir, "disk"), filepath.Join(h.dir, "disk.broken")
	if err := os.Rename(image, broken); err != nil {
		return err
	}
	if _, err := run(exec.CommandContext(ctx, "cp", "--sparse=always", broken, image)); err != nil {
		return err
	}
	_, err := run(exec.CommandContext(ctx, "fsck.ext4", "-p", "-f", image))
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) { // 1: mended
		return err
	}
	return h.mountDisk(ctx, "disk", State)
}

func (h *Host) mountDisk(ctx context.Context, name, at string) error {
	_, err := run(exec.CommandContext(ctx, "mount", "-o", "loop,errors=remount-ro", filepath.Join(h.dir, name),
		filepath.Join(h.Root(), at)))
	return err
}

// clockFile holds how far the host's wall clock is off, for programs that look there.
const clockFile = "/etc/lab-clock"

// ClockEnvironment makes a program of the host take its wall clock from Clock.
const ClockEnvironment = "SALVE_TEST_CLOCK=" + clockFile

// Clock puts the wall clock of the host's programs so far from the real one; see ClockEnvironment.
func (h *Host) Clock(offset time.Duration) error {
	return h.Write(clockFile, offset.String()+"\n", 0o644)
}

// Save copies folders of the host, for Restore. The programs that write there should not run.
func (h *Host) Save(ctx context.Context, name string, folders ...string) error {
	args := []string{"--create", "--file", h.saved(name), "--directory", h.Root()}
	for _, f := range folders {
		args = append(args, "."+f)
	}
	_, err := run(exec.CommandContext(ctx, "tar", args...))
	return err
}

// Restore puts back what Save kept, from this host or another, in place of what is there now.
func (h *Host) Restore(ctx context.Context, from *Host, name string, folders ...string) error {
	for _, f := range folders {
		if _, err := run(exec.CommandContext(ctx, "find", filepath.Join(h.Root(), f), "-mindepth", "1", "-delete")); err != nil {
			return err
		}
	}
	_, err := run(exec.CommandContext(ctx, "tar", "--extract", "--numeric-owner", "--file", from.saved(name), "--directory", h.Root()))
	return err
}

func (h *Host) saved(name string) string { return filepath.Join(h.dir, "saved-"+name+".tar") }

// remove ends the host and takes away what it had.
func (h *Host) remove(ctx context.Context) error {
	return errors.Join(h.PowerCut(), unmount(h.Root()), deleteNamespace(ctx, h.id), os.RemoveAll(h.propagate()))
}

// unmount takes a host's file systems off, the inner ones first.
func unmount(root string) error {
	for _, path := range []string{filepath.Join(root, State), filepath.Join(root, Data), root} {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return nil
}
