package unit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
)

// tree is one mounted hierarchy of control groups.
type tree struct {
	dir  string // where it is mounted
	root string // the group that is mounted there, mostly "/"
	v1   bool
}

// folder is the folder of a control group.
func (t tree) folder(group string) string {
	if t.root != "/" {
		group = strings.TrimPrefix(group, t.root)
	}
	return filepath.Join(t.dir, group)
}

// mounts finds the hierarchies of this host by controller; "" is version 2, "name=systemd" is systemd's
// own of version 1.
func mounts() (map[string]tree, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	found := map[string]tree{}
	for line := range strings.Lines(string(text)) {
		mount, source, _ := strings.Cut(line, " - ")
		where, what := strings.Fields(mount), strings.Fields(source)
		if len(where) < 5 || len(what) < 3 || !strings.HasPrefix(what[0], "cgroup") {
			continue
		}
		t := tree{dir: where[4], root: where[3], v1: what[0] == "cgroup"}
		names := []string{""}
		if t.v1 {
			names = strings.Split(what[2], ",")
		}
		for _, name := range names {
			if _, double := found[name]; !double {
				found[name] = t
			}
		}
	}
	return found, nil
}

// Unified is the folder of a control group in the hierarchy of version 2, and how deep below the root it lies there. An error
// that wraps fs.ErrNotExist says that it is not there, or that the host has no such hierarchy.
func Unified(group string) (folder string, depth int, err error) {
	trees, err := mounts()
	if err != nil {
		return "", 0, err
	}
	return unified(trees, group)
}

func unified(trees map[string]tree, group string) (folder string, depth int, err error) {
	t, ok := trees[""]
	if !ok {
		return "", 0, fmt.Errorf("this host mounts none: %w", fs.ErrNotExist)
	}
	folder = t.folder(group)
	if _, err := os.Stat(folder); err != nil {
		return "", 0, err
	}
	return folder, strings.Count(strings.TrimSuffix(group, "/"), "/"), nil
}

// limits is where a unit's limits take effect.
type limits struct {
	group string // of the unit
	top   string // of systemd's own tree
	trees map[string]tree
	pid   int // one of the unit's processes
}

// limitsOf finds a unit's control group; it must have a process, or a limit has nothing to act on.
func limitsOf(unit, group, top string) (limits, error) {
	trees, err := mounts()
	if err != nil {
		return limits{}, err
	}
	l := limits{group: group, top: strings.TrimSuffix(top, "/"), trees: trees}
	if group == "" || group == "/" {
		return l, kind.Refuse("%s has no control group: a limit would have nothing to act on", unit)
	}
	for _, name := range []string{"", "name=systemd"} {
		if t, ok := trees[name]; ok && l.pid == 0 {
			l.pid = somePID(t.folder(group))
		}
	}
	if l.pid == 0 {
		return l, kind.Refuse("%s has no process: a limit would have nothing to act on", unit)
	}
	return l, nil
}

// somePID is a process in the group or below it; 0 if there is none.
func somePID(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return 0
	}
	if first, _, _ := strings.Cut(string(text), "\n"); first != "" {
		pid, _ := strconv.Atoi(first)
		return pid
	}
	below, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, d := range below {
		if d.IsDir() {
			if pid := somePID(filepath.Join(dir, d.Name())); pid != 0 {
				return pid
			}
		}
	}
	return 0
}

// Processes are those of a unit's control group and of the groups below it; none in the groups that are no unit's own.
func Processes(group string) ([]int, error) {
	if group == "" || group == "/" {
		return nil, nil
	}
	trees, err := mounts()
	if err != nil {
		return nil, err
	}
	var found []int
	for _, name := range []string{"", "name=systemd"} { // not in both: some systemd versions use but one of them
		t, ok := trees[name]
		if !ok || len(found) > 0 {
			continue
		}
		err = filepath.WalkDir(t.folder(group), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return gone(err)
			}
			text, err := os.ReadFile(path)
			for _, word := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil {
					found = append(found, pid)
				}
			}
			return gone(err)
		})
	}
	return found, err
}

// gone makes nothing of the error that a control group went away.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// works refuses a property whose controller is not systemd's to use for this unit: systemd would say
// yes, and nothing would happen.
func (l limits) works(s setting) error {
	if t, v1 := l.trees[v1Name(s.controller)]; v1 && t.v1 {
		if s.v1 == nil {
			return kind.Refuse("%s needs version 2 of the %s controller, which this host has in version 1", s.name, s.controller)
		}
		at, err := l.sits(v1Name(s.controller))
		switch {
		case err != nil:
			return kind.Unknown("where the processes sit in the "+s.controller+" hierarchy", err)
		case !l.reachable(at):
			return kind.Refuse("the processes sit at %s in the %s hierarchy, out of systemd's reach: "+
				"%s would say yes and do nothing", at, s.controller, s.name)
		}
		return nil
	}
	t, ok := l.trees[""]
	if !ok {
		return kind.Refuse("this host has no %s controller: %s would do nothing", s.controller, s.name)
	}
	text, err := os.ReadFile(filepath.Join(t.folder(l.top), "cgroup.controllers"))
	if err != nil {
		return kind.Unknown("which controllers systemd has", err)
	}
	if !slices.Contains(strings.Fields(string(text)), s.controller) {
		return kind.Refuse("systemd has no %s controller here: %s would say yes and do nothing", s.controller, s.name)
	}
	return nil
}

// v1Name is the controller's name in version 1.
func v1Name(controller string) string {
	if controller == "io" {
		return "blkio"
	}
	return controller
}

// reachable reports whether systemd can move a process of the unit from at into the unit's own group:
// at lies between the top of its tree and that group.
func (l limits) reachable(at string) bool {
	at = strings.TrimSuffix(at, "/")
	above := at == l.top || strings.HasPrefix(at, l.top+"/")
	return above && (at == "" || l.group == at || strings.HasPrefix(l.group, at+"/")) ||
		strings.HasPrefix(at, l.group+"/")
}

// sits is the group in which the unit's process is in that hierarchy.
func (l limits) sits(controller string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", l.pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		names, group, ok := strings.Cut(rest, ":")
		if ok && slices.Contains(strings.Split(names, ","), controller) {
			return group, nil
		}
	}
	return "", errors.New("no such hierarchy in /proc/PID/cgroup")
}

// kernel is what the kernel says about the property of the unit now, and whether version 1 says it.
func (l limits) kernel(s setting) (text, file string, v1 bool, err error) {
	t, v1 := l.trees[v1Name(s.controller)]
	files := s.v1
	if !v1 {
		t, files = l.trees[""], s.v2
	} else if at, err := l.sits(v1Name(s.controller)); err != nil || !Inside(at, l.group) {
		return "", "", true, fmt.Errorf("its processes sit in %s of the %s hierarchy", at, s.controller)
	}
	for _, name := range files {
		file = filepath.Join(t.folder(l.group), name)
		content, readErr := os.ReadFile(file)
		if err = readErr; err == nil {
			text = strings.TrimSpace(string(content))
			break
		}
	}
	if err == nil && strings.HasSuffix(file, "/cpu.cfs_quota_us") {
		period, readErr := os.ReadFile(filepath.Join(filepath.Dir(file), "cpu.cfs_period_us"))
		text, err = text+" "+strings.TrimSpace(string(period)), readErr
	}
	return text, file, v1, err
}
