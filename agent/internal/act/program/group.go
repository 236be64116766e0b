package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limits hold for a control group and all that is in it; zero values limit nothing.
type Limits struct {
	Memory int64   `json:"memory,omitempty"` // bytes
	Tasks  int     `json:"tasks,omitempty"`  // processes and threads
	CPU    float64 `json:"cpu,omitempty"`    // share of one CPU
}

// cpuPeriod is the kernel's own, in microseconds.
const cpuPeriod = 100_000

// ownLeaf is the group of the agent itself where systemd leaves the one above to it, as DelegateSubgroup= in
// examples/exec.conf has it.
const ownLeaf = "agent"

// emptyWithin bounds how long what was killed may take to be gone.
const emptyWithin = 5 * time.Second

// Home is the folder of the control group in which this process may make groups for programs, of version 2.
func Home() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	_, own, found := strings.Cut("\n"+string(text), "\n0::")
	own, _, _ = strings.Cut(own, "\n")
	if filepath.Base(own) == ownLeaf {
		own = filepath.Dir(own)
	}
	for _, top := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var st unix.Statfs_t
		if !found || unix.Statfs(top, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir := filepath.Join(top, own)
		if err := unix.Access(dir, unix.W_OK); err != nil {
			return "", fmt.Errorf("make control groups in %s: %w", dir, err)
		}
		return dir, nil
	}
	return "", errors.New("this host has no control groups of version 2")
}

// Holds returns why groups in home could not have the limits; nil: they could.
func (l Limits) Holds(home string) error {
	if l == (Limits{}) {
		return nil
	}
	if home == "" {
		return errors.New("this agent cannot make control groups")
	}
	text, err := os.ReadFile(filepath.Join(home, "cgroup.controllers"))
	if err != nil {
		return err
	}
	has := " " + strings.TrimSpace(string(text)) + " "
	for _, s := range l.settings() {
		controller, _, _ := strings.Cut(s.file, ".")
		if !strings.Contains(has, " "+controller+" ") {
			return fmt.Errorf("%s lacks the controller %s", home, controller)
		}
	}
	if text, err = os.ReadFile(filepath.Join(home, "cgroup.procs")); err == nil && len(text) > 0 {
		return fmt.Errorf("%s has processes of its own, beside which limits cannot be", home)
	}
	return err
}

// setting is a limit as the kernel reads it.
type setting struct{ file, text string }

func (l Limits) settings() (list []setting) {
	if l.Memory > 0 {
		list = append(list, setting{"memory.max", fmt.Sprint(l.Memory)}, setting{"memory.oom.group", "1"})
	}
	if l.Tasks > 0 {
		list = append(list, setting{"pids.max", fmt.Sprint(l.Tasks)})
	}
	if l.CPU > 0 {
		list = append(list, setting{"cpu.max", fmt.Sprintf("%d %d", max(int(l.CPU*cpuPeriod), 1000), cpuPeriod)})
	}
	return list
}

// set writes the limits of the group in dir, a folder of home.
func (l Limits) set(dir string) error {
	for _, s := range l.settings() {
		controller, _, _ := strings.Cut(s.file, ".")
		enable := filepath.Join(filepath.Dir(dir), "cgroup.subtree_control")
		if err := put(enable, "+"+controller); err != nil {
			return fmt.Errorf("limit the program: %w", err)
		}
		if err := put(filepath.Join(dir, s.file), s.text); err != nil {
			return fmt.Errorf("limit the program: %w", err)
		}
	}
	return nil
}

// put writes to a file that the kernel must have made.
func put(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Group is a control group for one program and whatever that starts.
type Group struct{ dir string }

// NewGroup makes the group, empty: what an earlier one of this name had in it is killed.
func NewGroup(home, name string, l Limits) (*Group, error) {
	g := &Group{filepath.Join(home, name)}
	if err := g.Close(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	err := unix.Access(filepath.Join(g.dir, "cgroup.kill"), unix.W_OK) // since Linux 5.14
	if err == nil {
		err = l.set(g.dir)
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Discard kills what is in the group of that name, and removes it; what is not there is fine.
func Discard(home, name string) error { return (&Group{filepath.Join(home, name)}).Close() }

// Empty reports whether nothing runs in the group of that name. What cannot be known is not empty.
func Empty(home, name string) bool {
	text, err := os.ReadFile(filepath.Join(home, name, "cgroup.events"))
	return errors.Is(err, fs.ErrNotExist) || err == nil && strings.Contains(string(text), "populated 0")
}

// kill ends everything in the group at once, so that nothing can fork away.
func (g *Group) kill() error {
	err := put(filepath.Join(g.dir, "cgroup.kill"), "1")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Close kills what is in the group and removes it. A group that is gone is fine.
func (g *Group) Close() error {
	if err := g.kill(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), emptyWithin)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := remove(g.dir)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("what the program left does not die: %w", err)
		case <-tick.C:
		}
	}
}

// remove removes a group and those below it.
func remove(dir string) error {
	below, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, d := range below {
		if d.IsDir() && err == nil {
			err = remove(filepath.Join(dir, d.Name()))
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove control group %s: %w", dir, err)
	}
	return nil
}
