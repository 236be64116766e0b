package unit

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

const (
	// mostKept is how many processes of a unit have their files kept open. Those of the others are
	// opened for each reading, so that a unit with a thousand processes does not take all descriptors.
	mostKept = 32
	// mostGroups bounds how many control groups below a unit are looked at.
	mostGroups = 64
	// listEvery is how long the list of a unit's processes is used: reading it costs several times what
	// reading a process's memory does.
	listEvery = time.Second - Least/2
	// walkEvery is how often control groups below a unit are looked for.
	walkEvery = 10 * time.Second
)

// processes are all processes of a unit, for what no controller tells.
type processes struct {
	root, dir string
	groups    []group // of the unit and below
	list      []*process
	refreshed time.Duration
	walked    time.Duration
	links     uint64 // of dir: grows with each group right below it
	dirFD     int
	seen      bool
	total     uint64 // CPU ticks of all processes, also of those that ended
}

// group is one control group that may hold processes.
type group struct{ procs, threads *procfile.File }

// process is one of them.
type process struct {
	pid         int
	statm, stat *procfile.File
	fds         fdFolder
	last        uint64 // CPU ticks at the last reading
	known       bool   // last is set
}

func newProcesses(root, dir string) *processes {
	return &processes{root: root, dir: dir, dirFD: -1}
}

// refresh reads the list of processes, unless it is fresh: what is sampled more often than once a
// second sees a new process a little later than the growth of one that it knows.
func (p *processes) refresh(now time.Duration, buf []byte) error {
	if p.seen && now-p.refreshed < listEvery {
		return nil
	}
	if err := p.walk(now); err != nil {
		return err
	}
	n := 0
	for _, g := range p.groups {
		text, err := g.procs.Read(buf)
		if err == unix.EOPNOTSUPP { // a threaded group: its processes are listed above it
			continue
		}
		if err != nil {
			return err
		}
		for {
			pid, rest, ok := procfile.Uint(text)
			if !ok {
				break
			}
			text = rest
			p.at(n, int(pid))
			n++
		}
	}
	for _, gone := range p.list[n:] {
		gone.close()
	}
	p.list = p.list[:n]
	p.refreshed, p.seen = now, true
	if n == 0 { // they may have moved to groups that are new
		p.walked = now - walkEvery
	}
	return nil
}

// at puts the process with that number at place i of the list. In the steady case it is there.
func (p *processes) at(i, pid int) {
	if i < len(p.list) && p.list[i].pid == pid {
		return
	}
	for j := i + 1; j < len(p.list); j++ {
		if p.list[j].pid == pid {
			p.list[i], p.list[j] = p.list[j], p.list[i]
			return
		}
	}
	dir := filepath.Join(p.root, "proc", strconv.Itoa(pid))
	p.list = slices.Insert(p.list, i, &process{
		pid:   pid,
		statm: procfile.New(filepath.Join(dir, "statm")), stat: procfile.New(filepath.Join(dir, "stat")),
		fds: fdFolder{path: filepath.Join(dir, "fd"), fd: -1},
	})
}

// walk finds the control groups of the unit. A folder's link count tells without opening anything
// whether there are folders in it.
func (p *processes) walk(now time.Duration) error {
	if p.groups != nil && now-p.walked < walkEvery {
		return nil
	}
	if p.dirFD < 0 {
		fd, err := unix.Open(p.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		p.dirFD = fd
	}
	var st unix.Stat_t
	if err := unix.Fstat(p.dirFD, &st); err != nil {
		return err
	}
	before, links := p.links, uint64(st.Nlink)
	p.links, p.walked = links, now
	if p.groups != nil && before == links && links <= 2 {
		return nil
	}
	p.closeGroups()
	return filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == p.dir:
			return err
		case err != nil || !d.IsDir():
			return nil
		case len(p.groups) == mostGroups:
			return fs.SkipAll
		}
		threads := filepath.Join(path, "cgroup.threads")
		if existing(threads) == "" {
			threads = filepath.Join(path, "tasks")
		}
		p.groups = append(p.groups,
			group{procs: procfile.New(filepath.Join(path, "cgroup.procs")), threads: procfile.New(threads)})
		return nil
	})
}

// close closes everything. It may be nil, and closed by each of the readers that share it.
func (p *processes) close() {
	if p == nil {
		return
	}
	for _, proc := range p.list {
		proc.close()
	}
	p.list, p.seen = nil, false
	p.closeGroups()
	if p.dirFD >= 0 {
		_ = unix.Close(p.dirFD)
		p.dirFD = -1
	}
}

func (p *processes) closeGroups() {
	for _, g := range p.groups {
		closeAll(g.procs, g.threads)
	}
	p.groups = nil
}

func (p *process) close() {
	closeAll(p.statm, p.stat)
	p.fds.close()
}
