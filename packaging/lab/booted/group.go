package booted

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const groups = "/sys/fs/cgroup"

// hybrid reports whether this machine has v1 control groups, with those of v2 beside them.
func hybrid() bool {
	_, err := os.Stat(filepath.Join(groups, "unified", "cgroup.procs"))
	return err == nil
}

// unified is where the v2 hierarchy is.
func unified() string {
	if hybrid() {
		return filepath.Join(groups, "unified")
	}
	return groups
}

// limits are the v1 controllers in which units of a v1 host get groups of their own.
var limits = []string{"memory", "cpu", "cpuacct", "pids"}

// groupsOf are the groups that a host must be in before it starts: two hosts in one share a tree, and mix their units.
func groupsOf(id string, v1 bool) []string {
	out := []string{filepath.Join(unified(), id)}
	if hybrid() {
		out = append(out, filepath.Join(groups, "systemd", id))
	}
	if v1 {
		for _, c := range limits {
			out = append(out, filepath.Join(groups, c, id))
		}
	}
	return out
}

// removeGroups kills what is left in a host's groups, and removes them.
func removeGroups(id string) error {
	err := os.WriteFile(filepath.Join(unified(), id, "cgroup.kill"), []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("kill what is left of %s: %w", id, err)
	}
	var errs []error
	for _, group := range groupsOf(id, hybrid()) {
		var dirs []string
		_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			errs = append(errs, removeGroup(dir))
		}
	}
	return errors.Join(errs...)
}

// removeGroup waits until the last killed process is gone.
func removeGroup(dir string) error {
	err := poll(killTime, func() (bool, error) {
		err := os.Remove(dir)
		return err == nil || errors.Is(err, os.ErrNotExist), nil
	})
	if err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}
