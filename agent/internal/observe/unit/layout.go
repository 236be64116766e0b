package unit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

// Layout is where this host mounts its control groups: version 2 only, version 1 only, or hybrid, in
// which a version 2 tree without controllers stands beside those of version 1.
type Layout struct {
	root    string
	unified tree            // the zero value: there is none
	v1      map[string]tree // by controller, and "name=systemd"
	memory  uint64          // of the host, in bytes
}

// tree is one mounted hierarchy.
type tree struct {
	dir string // where it is mounted
	top string // the control group that is mounted there, mostly "/"
}

// folder is the folder of a control group.
func (t tree) folder(group string) string {
	if t.top != "/" {
		group = strings.TrimPrefix(group, t.top)
	}
	return filepath.Join(t.dir, group)
}

// Detect looks up the mounts. root is the folder that holds /proc and /sys; "" means "/".
func Detect(root string) (Layout, error) {
	l := Layout{root: filepath.Join("/", root), v1: map[string]tree{}}
	text, err := os.ReadFile(filepath.Join(l.root, "proc/self/mountinfo"))
	if err != nil {
		return l, fmt.Errorf("read mounts: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		l.add(line)
	}
	if l.unified.dir == "" && len(l.v1) == 0 {
		return l, errors.New("no control groups are mounted")
	}
	if text, err = os.ReadFile(filepath.Join(l.root, "proc/meminfo")); err == nil {
		kib, _ := procfile.Value(text, "MemTotal")
		l.memory = kib * 1024
	}
	return l, nil
}

// add takes one line of mountinfo: 36 35 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
func (l *Layout) add(line string) {
	mount, source, ok := strings.Cut(line, " - ")
	where, what := strings.Fields(mount), strings.Fields(source)
	if !ok || len(where) < 6 || len(what) < 3 {
		return
	}
	t := tree{dir: filepath.Join(l.root, where[4]), top: where[3]}
	switch what[0] {
	case "cgroup2":
		if l.unified.dir == "" {
			l.unified = t
		}
	case "cgroup":
		for option := range strings.SplitSeq(what[2], ",") {
			if _, ok := l.v1[option]; !ok {
				l.v1[option] = t
			}
		}
	}
}

// place is where one unit's figures are.
type place struct {
	unified string            // folder in the version 2 tree; "" if there is none
	named   string            // folder in systemd's own version 1 hierarchy; "" if there is none
	v1      map[string]string // folder of each version 1 controller in which the unit's processes sit
}

// main is the folder that lists the unit's processes.
func (p place) main() string {
	if p.unified != "" {
		return p.unified
	}
	return p.named
}

// errEmpty says that the unit's control group has no process yet, so that nobody can tell which
// controllers it has.
var errEmpty = errors.New("the control group has no process yet")

// place finds a unit's folders. A controller of version 1 counts only if the unit's own processes sit
// in a folder of the unit there: where they do not, the figures are those of others.
func (l Layout) place(run Run) (place, error) {
	var p place
	if run.ControlGroup == "" || run.ControlGroup == "/" {
		return p, fs.ErrNotExist
	}
	if l.unified.dir != "" {
		p.unified = existing(l.unified.folder(run.ControlGroup))
	}
	if t, ok := l.v1["name=systemd"]; ok {
		p.named = existing(t.folder(run.ControlGroup))
	}
	if p.main() == "" {
		return p, fs.ErrNotExist
	}
	pid := run.MainPID
	if pid <= 1 {
		if pid = somePID(p.main()); pid == 0 {
			return p, errEmpty
		}
	}
	groups, err := l.groups(pid)
	if err != nil {
		return p, err
	}
	p.v1 = map[string]string{}
	for _, c := range []string{"cpu", "cpuacct", "memory", "pids"} {
		if t, ok := l.v1[c]; ok && within(groups[c], run.ControlGroup) {
			p.v1[c] = t.folder(run.ControlGroup)
		}
	}
	return p, nil
}

// groups reads in which control group a process is, by controller.
func (l Layout) groups(pid int) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(l.root, "proc", strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("read control groups of process: %w", err)
	}
	return parseGroups(string(text)), nil
}

// Own is the unit that this process runs in; "" if it runs in none.
func (l Layout) Own() string {
	groups, err := l.groups(os.Getpid())
	if err != nil {
		return ""
	}
	own := ""
	for name := range strings.SplitSeq(cmp.Or(groups["name=systemd"], groups[""]), "/") {
		if strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".scope") {
			own = name
		}
	}
	return own
}

// parseGroups reads /proc/PID/cgroup: lines such as 4:memory:/system.slice/x.service.
func parseGroups(text string) map[string]string {
	groups := map[string]string{}
	for line := range strings.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		for c := range strings.SplitSeq(controllers, ",") {
			groups[c] = path
		}
	}
	return groups
}

// within reports whether path is the control group or one below it.
func within(path, group string) bool {
	rest, ok := strings.CutPrefix(path, group)
	return ok && (rest == "" || rest[0] == '/')
}

// existing is dir if it exists, else "".
func existing(dir string) string {
	if unix.Access(dir, unix.F_OK) != nil {
		return ""
	}
	return dir
}

// somePID is a process of the control group or of one below it, 0 if there is none.
func somePID(dir string) (pid int) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil
		}
		if v, _, ok := procfile.Uint(text); ok {
			pid = int(v)
			return fs.SkipAll
		}
		return nil
	})
	return pid
}
