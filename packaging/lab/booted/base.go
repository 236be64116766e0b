package booted

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	suite = "bookworm"
	cache = "/var/cache/salve-lab" // outside of any checkout; $SALVE_LAB_CACHE changes it
)

// packages are what every host has beside Debian's minimum.
var packages = []string{"systemd", "systemd-sysv", "dbus", "polkitd", "iproute2", "nftables", "procps",
	"postgresql", "pgbouncer"}

// quiet makes the servers among them start nowhere by themselves, and takes the database away that one came with.
const quiet = `chroot "$1" sh -ec "pg_dropcluster 15 main; systemctl disable --quiet postgresql pgbouncer"`

// Missing says what this machine lacks to run hosts: one line each, with how to get it. None: it can.
func Missing() []string {
	var out []string
	if os.Geteuid() != 0 {
		out = append(out, "root: hosts need mounts, namespaces and control groups")
	}
	for program, from := range map[string]string{"systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap",
		"ip": "iproute2", "nsenter": "util-linux",
		"mkfs.ext4": "e2fsprogs"} {
		if _, err := exec.LookPath(program); err != nil {
			out = append(out, program+": Debian package "+from)
		}
	}
	if _, err := os.Stat(filepath.Join(groups, "cgroup.procs")); err != nil && !hybrid() {
		out = append(out, "control groups: neither cgroup2 at "+groups+" nor the hybrid of v1 and v2 is mounted")
	}
	return out
}

// Base is the root file system below all hosts, with more packages than every host has if somebody asks for them. It is made when
// it is not in the cache yet, which takes a minute and Debian's mirror.
func Base(ctx context.Context, more ...string) (string, error) {
	dir := cache
	if d := os.Getenv("SALVE_LAB_CACHE"); d != "" {
		dir = d
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	include := strings.Join(slices.Concat(packages, more), ",")
	root := filepath.Join(dir, fmt.Sprintf("%s-%.6x", suite, sha256.Sum256([]byte(include+quiet))))
	lock, err := os.OpenFile(root+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	switch _, err := os.Stat(root); {
	case err == nil:
		return root, nil
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	half := root + ".half"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	_, err = run(exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--include="+include,
		"--customize-hook="+quiet, suite, half))
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(half))
	}
	return root, os.Rename(half, root)
}

// All hosts' root is one user to the kernel, who may have so many inotify instances: a host takes seven, and one that
// gets none never comes up. Linux gives 128, which is enough for one lab and not for two.
const (
	watches = "/proc/sys/fs/inotify/max_user_instances"
	most    = 1024
)

// raise sees to it that a limit of this machine is no lower than that.
func raise(limit string, least int) error {
	text, err := os.ReadFile(limit)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || n >= least {
		return err
	}
	return os.WriteFile(limit, []byte(strconv.Itoa(least)), 0)
}

// run runs a command of this machine. An error has what it said.
func run(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
