package booted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/packaging/lab/rig"
)

// Host is one booted host. Its methods may be called from several places at once, but for those that boot it and end
// it, which somebody has to put in order.
type Host struct {
	Name    string
	Address string // on the switch

	lab  *Lab
	id   string // of its namespace and its groups
	dir  string
	v1   bool
	disk int // MiB
	data int // MiB, 0: none

	mu     sync.Mutex
	nspawn *rig.Program // nil while it is off
	init   int          // its PID 1, as this machine numbers it
}

// HostOptions describe a host.
type HostOptions struct {
	V1   bool // it has control groups v1, with limits that hold
	Disk int  // MiB of the disk that State is on; 0 means 256
	Data int  // MiB of one more disk, at Data; 0: there is none
}

// State is the folder that has a disk of its own, for everything that a host must not lose.
const State = "/var/lib/salve"

// Data is where a host's second disk is, if it has one.
const Data = "/srv/data"

// bootFile names this boot of the host.
const bootFile = "/etc/lab-boot-id"

// BootBind, as a unit's BindReadOnlyPaths, lets its programs know the host's boots apart: a sandbox with a /proc of its
// own shows those of this machine.
const BootBind = bootFile + ":/proc/sys/kernel/random/boot_id"

const (
	bootTime = 2 * time.Minute // on a busy machine; one second on an idle one
	killTime = 10 * time.Second
)

// Host makes a host and boots it.
func (l *Lab) Host(ctx context.Context, name string, o HostOptions) (*Host, error) {
	if o.V1 && !hybrid() {
		return nil, errors.New("this machine has no control groups v1 for a host with them")
	}
	l.mu.Lock()
	h := &Host{
		Name: name, Address: fmt.Sprintf("10.99.0.%d", len(l.hosts)+1), lab: l, id: l.name + "-" + name,
		dir: filepath.Join(l.dir, name), v1: o.V1, disk: o.Disk, data: o.Data,
	}
	if h.disk == 0 {
		h.disk = 256
	}
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()
	if err := h.assemble(ctx); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	if err := h.connect(ctx); err != nil {
		return nil, fmt.Errorf("connect %s: %w", name, err)
	}
	return h, h.Boot(ctx)
}

// assemble lays the host's own file system over the base, and puts its disk in.
func (h *Host) assemble(ctx context.Context) error {
	for _, dir := range []string{"up", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s/up,workdir=%[2]s/work", h.lab.base, h.dir)
	if err := unix.Mount("overlay", h.Root(), "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount the overlay: %w", err)
	}
	if err := h.addDisk(ctx, "disk", h.disk, State); err != nil {
		return err
	}
	if h.data > 0 {
		if err := h.addDisk(ctx, "data", h.data, Data); err != nil {
			return err
		}
	}
	for path, text := range map[string]string{
		"/etc/hostname":          h.Name + "\n",
		"/etc/machine-id":        fmt.Sprintf("%032x\n", time.Now().UnixNano()),
		"/etc/hosts":             "127.0.0.1 localhost\n",
		clockFile:                "",
		"/var/log/journal/.keep": "", // the journal outlives a reboot
		// dpkg syncs each file otherwise, and the machine stalls.
		"/etc/dpkg/dpkg.cfg.d/lab": "force-unsafe-io\n",
	} {
		if err := h.Write(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Root is the host's file system, as this machine sees it.
func (h *Host) Root() string { return filepath.Join(h.dir, "root") }

// Write puts a file into the host's file system, whether it runs or not.
func (h *Host) Write(path, text string, mode os.FileMode) error {
	path = filepath.Join(h.Root(), path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever the mask, and for a file that was there
}

// Read reads a file of the host.
func (h *Host) Read(path string) (string, error) {
	src, err := os.ReadFile(filepath.Join(h.Root(), path))
	return string(src), err
}

// Boot starts the host and returns when its systemd has come to rest.
func (h *Host) Boot(ctx context.Context) error {
	hierarchy := "1"
	if h.v1 {
		hierarchy = "0"
	}
	enter := ""
	for _, group := range groupsOf(h.id, h.v1) {
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		enter += "echo $$ > " + group + "/cgroup.procs && "
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return err
	}
	if err := h.Write(bootFile, string(boot), 0o444); err != nil {
		return err
	}
	// What an nspawn left that was killed; the next one takes it away itself only where /run is no disk.
	if err := os.RemoveAll(h.propagate()); err != nil {
		return err
	}
	argv := []string{"sh", "-c", enter + `exec "$@"`, "sh", "systemd-nspawn", "--quiet", "--directory", h.Root(), "--boot",
		"--register=no", "--keep-unit", "--machine", h.id, "--hostname", h.Name, "--network-namespace-path", filepath.Join(namespaces, h.id),
		"--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off"}
	p, err := rig.StartProgram(argv, append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="+hierarchy), h.console())
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.nspawn, h.init = p, 0
	h.mu.Unlock()
	if err := h.awaitBoot(ctx, p); err != nil {
		return fmt.Errorf("boot %s: %w\n%s", h.Name, err, rig.LastLines(h.console(), 10))
	}
	return nil
}

// propagate is nspawn's folder for mounts that somebody may hand to the host.
func (h *Host) propagate() string { return filepath.Join("/run/systemd/nspawn/propagate", h.id) }

func (h *Host) console() string { return filepath.Join(h.dir, "console") }

func (h *Host) awaitBoot(ctx context.Context, p *rig.Program) error {
	init := 0
	err := poll(bootTime, func() (bool, error) {
		select {
		case <-p.Done():
			return false, errors.New("it ended")
		case <-ctx.Done():
			return false, ctx.Err()
		default:
		}
		init = childNamed(p.PID(), "systemd")
		return init != 0, nil
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.init = init
	h.mu.Unlock()
	if err := h.awaitSystemd(ctx, p); err != nil {
		return err
	}
	// What nspawn mounted there is deleted, and nothing can be mounted over that; see BootBind.
	script := "while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done; " +
		"mount --bind " + bootFile + " /proc/sys/kernel/random/boot_id"
	if _, err := h.Exec(ctx, "sh", "-c", script); err != nil {
		return err
	}
	if !h.v1 {
		return nil
	}
	// nspawn shows v1 controllers read-only, and systemd then does without them.
	script = "for c in " + strings.Join(limits, " ") + "; do mount -o remount,bind,rw /sys/fs/cgroup/$c; done; " +
		"systemctl daemon-reexec"
	if _, err := h.Exec(ctx, "sh", "-c", script); err != nil {
		return err
	}
	return h.awaitSystemd(ctx, p)
}

// awaitSystemd waits until systemd has nothing more to start.
func (h *Host) awaitSystemd(ctx context.Context, p *rig.Program) error {
	state := ""
	err := poll(bootTime, func() (bool, error) {
		select {
		case <-p.Done():
			return false, errors.New("it ended")
		default:
		}
		out, _ := h.Exec(ctx, "systemctl", "is-system-running") // says no until it is
		state = strings.TrimSpace(out)
		return state == "running" || state == "degraded", ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("systemd is %q: %w", state, err)
	}
	return nil
}

// childNamed is the child of a process that runs a program of this name, 0 if there is none.
func childNamed(pid int, name string) int {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		return 0
	}
	for _, field := range strings.Fields(string(children)) {
		comm, err := os.ReadFile("/proc/" + field + "/comm")
		if err == nil && strings.TrimSpace(string(comm)) == name {
			child, _ := strconv.Atoi(field)
			return child
		}
	}
	return 0
}

// ErrOff says that a host does not run.
var ErrOff = errors.New("the host is off")

// Leader is the host's PID 1, as this machine numbers it.
func (h *Host) Leader() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.init == 0 {
		return 0, fmt.Errorf("%s: %w", h.Name, ErrOff)
	}
	return h.init, nil
}

// Exec runs a command in the host, as root and outside of any unit, and returns what it printed. An error has what it
// said on standard error.
func (h *Host) Exec(ctx context.Context, argv ...string) (string, error) {
	return h.Pipe(ctx, "", argv...)
}

// Pipe is Exec with something on standard input.
func (h *Host) Pipe(ctx context.Context, stdin string, argv ...string) (string, error) {
	init, err := h.Leader()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(init), "-a", "env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb", "LANG=C.UTF-8"}, argv...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second // what nsenter started may outlive it, and hold the pipes
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w: %s", h.Name, strings.Join(argv, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// poll asks until it is so, or an error comes.
func poll(limit time.Duration, ask func() (bool, error)) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := ask(); ok || err != nil {
			return err
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("not within %v", limit)
		case <-tick.C:
		}
	}
}
