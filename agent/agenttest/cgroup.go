package agenttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// makeCgroups makes a cgroup of that name below this process's own one, in every hierarchy that a
// private manager can use, and returns their folders. A v1 controller counts only where this process
// sits at the same path as in systemd's own hierarchy: elsewhere systemd would look for its units at a
// path that does not exist, and limits would be accepted without having any effect.
func makeCgroups(name string) ([]string, error) {
	roots, err := cgroupParents()
	if err != nil {
		return nil, err
	}
	var made []string
	for _, r := range roots {
		dir := filepath.Join(r.dir, name)
		err := os.Mkdir(dir, 0o755)
		switch {
		case err == nil:
			made = append(made, dir)
		case r.optional && !errors.Is(err, fs.ErrExist):
		default:
			removeCgroups(made)
			return nil, fmt.Errorf("make cgroup: %w; %s", err, delegationHint)
		}
	}
	return made, nil
}

const delegationHint = "an ordinary user needs a delegated cgroup: on a booted host run " +
	"`systemctl start user@$(id -u)`, or as root give the user a cgroup of its own and start from there"

type cgroupParent struct {
	dir      string
	optional bool // v1 controllers: nice to have, not needed to run
}

func cgroupParents() ([]cgroupParent, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{} // controller → this process's path; "" is the unified hierarchy
	for line := range strings.Lines(string(text)) {
		if _, rest, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			controllers, path, _ := strings.Cut(rest, ":")
			own[controllers] = path
		}
	}
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		return []cgroupParent{{dir: filepath.Join(cgroupRoot, own[""])}}, nil
	}
	base, ok := own["name=systemd"]
	if !ok {
		return nil, errors.New("no systemd hierarchy in /proc/self/cgroup: neither cgroup v2 nor hybrid")
	}
	parents := []cgroupParent{{dir: filepath.Join(cgroupRoot, "systemd", base)}}
	if path, ok := own[""]; ok {
		parents = append(parents, cgroupParent{dir: filepath.Join(cgroupRoot, "unified", path)})
	}
	for _, c := range []string{"cpu", "cpuacct", "cpu,cpuacct", "pids", "memory"} {
		if path, ok := own[c]; ok && path == base {
			parents = append(parents, cgroupParent{dir: filepath.Join(cgroupRoot, c, base), optional: true})
		}
	}
	return parents, nil
}

// unifiedRoot is the tree of version 2 on a host that has both versions, and "" on one that has but this. systemd freezes
// only where it finds the group in which PID 1 sits on a booted host.
func unifiedRoot() (string, error) {
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		return "", nil
	}
	root := filepath.Join(cgroupRoot, "unified")
	if err := os.Mkdir(filepath.Join(root, "init.scope"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make cgroup: %w", err)
	}
	return root, nil
}

// removeCgroups kills whatever is left in the folders and removes them, deepest first. A killed
// process leaves its cgroup only when it has been reaped, so this takes a few rounds.
func removeCgroups(dirs []string) {
	Poll(5*time.Second, func() bool {
		gone := true
		for _, dir := range dirs {
			gone = removeCgroup(dir) && gone
		}
		return gone
	})
}

// removeCgroup reports whether dir is gone.
func removeCgroup(dir string) bool {
	var found []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			found = append(found, path)
		}
		return nil
	})
	for i := len(found) - 1; i >= 0; i-- {
		if os.Remove(found[i]) != nil {
			killMembers(found[i])
			_ = os.Remove(found[i])
		}
	}
	_, err := os.Stat(dir)
	return errors.Is(err, fs.ErrNotExist)
}

func killMembers(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 1 && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
