package host

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/disk"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/signal"
)

const (
	// diskEvery is the period of file system figures: they change slowly.
	diskEvery = 10 * time.Second
	// mountEvery is the period at which the list of mounts is read again.
	mountEvery = time.Minute
	// diskTimeout is how long one round waits for all file systems. A network file system whose server
	// is gone does not answer at all.
	diskTimeout = 2 * time.Second
	// mostMounts bounds how many file systems are looked at.
	mostMounts = 64
)

// Disks samples the file systems. Each one is asked in a goroutine of its own, and one that does not
// answer is left alone until it does: its figures are unknown, those of the others are not.
type Disks struct {
	opt    Options
	clock  clock.Clock
	meter  source.Meter
	mounts []*mount
	listed time.Duration
	states *procfile.File // mountinfo
	buf    [64 << 10]byte
	statfs func(path string, into *unix.Statfs_t) error
}

type mount struct {
	path          string
	used, inodes  *source.Handle
	readOnly      *source.Handle
	answer        chan usage // room for one, so that a late answer never blocks
	asked, listed bool
}

type usage struct {
	used, inodes       float64
	hasUsed, hasInodes bool
	err                error
}

// NewDisks makes a sampler of file systems; Run runs it.
func NewDisks(o Options, c clock.Clock) *Disks {
	return &Disks{opt: o, clock: c, meter: source.Meter{Name: "host.disk"}, statfs: unix.Statfs,
		states: procfile.New(o.path("proc/self/mountinfo"))}
}

// Stats are the figures of the source about itself.
func (d *Disks) Stats() source.Stats { return d.meter.Stats() }

// Run samples at once and then every ten seconds, and hands each round over to deliver.
func (d *Disks) Run(ctx context.Context, deliver func(*source.Batch)) {
	defer d.states.Close()
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		b := d.opt.Book.Batch()
		start := time.Now()
		err := d.round(ctx, b)
		if ctx.Err() != nil {
			b.Release()
			return
		}
		if d.meter.Record(d.clock.Now().Boot, time.Since(start), err) {
			d.opt.changed(d.meter.Name, err)
		}
		deliver(b)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round asks every file system once. The error names what did not answer.
func (d *Disks) round(ctx context.Context, b *source.Batch) error {
	now := d.clock.Now().Boot
	var failed error
	if d.mounts == nil || now-d.listed >= mountEvery {
		if err := d.list(ctx, now, b); err != nil {
			failed = fmt.Errorf("list mounts: %w", err)
		} else {
			d.listed = now
		}
	}
	states, err := d.states.Read(d.buf[:])
	if err != nil {
		failed = fmt.Errorf("read mountinfo: %w", err)
	}
	for _, m := range d.mounts {
		readOnly, known := readOnly(states, m.path)
		b.Maybe(m.readOnly, now, truth(readOnly), known)
		d.ask(m)
	}
	patience, cancel := context.WithTimeout(ctx, diskTimeout)
	defer cancel()
	for _, m := range d.mounts {
		u := m.wait(patience)
		if u.err != nil {
			failed = fmt.Errorf("statfs %s: %w", m.path, u.err)
		}
		b.Maybe(m.used, now, u.used, u.hasUsed)
		b.Maybe(m.inodes, now, u.inodes, u.hasInodes)
	}
	return failed
}

// ask starts a statfs unless the last one still hangs.
func (d *Disks) ask(m *mount) {
	if m.asked {
		return
	}
	m.asked = true
	path := filepath.Join("/", d.opt.Root, m.path)
	go func() {
		var st unix.Statfs_t
		if err := d.statfs(path, &st); err != nil {
			m.answer <- usage{err: err}
			return
		}
		m.answer <- measure(&st)
	}()
}

// wait is what the file system answered, also when it did so just before the time was over.
func (m *mount) wait(ctx context.Context) usage {
	select {
	case u := <-m.answer:
		m.asked = false
		return u
	case <-ctx.Done():
	}
	select {
	case u := <-m.answer:
		m.asked = false
		return u
	default:
		return usage{err: ctx.Err()}
	}
}

// measure computes the shares as df shows them: of the space that ordinary users can fill. File
// systems without a fixed number of inodes tell none.
func measure(st *unix.Statfs_t) usage {
	var u usage
	used := st.Blocks - min(st.Bfree, st.Blocks)
	if room := used + st.Bavail; room > 0 {
		u.used, u.hasUsed = float64(used)/float64(room), true
	}
	if st.Files > 0 {
		u.inodes, u.hasInodes = 1-float64(min(st.Ffree, st.Files))/float64(st.Files), true
	}
	return u
}

// list brings the mounts up to date. Those that are gone become unknown.
func (d *Disks) list(ctx context.Context, now time.Duration, b *source.Batch) error {
	env := common.EnvMap{common.HostProcEnvKey: d.opt.path("proc")}
	all, err := disk.PartitionsWithContext(context.WithValue(ctx, common.EnvKey, env), true)
	if err != nil {
		return err
	}
	before := d.keys()
	for _, m := range d.mounts {
		m.listed = false
	}
	for _, p := range all {
		if storage(p) {
			d.add(p.Mountpoint)
		}
	}
	d.mounts = slices.DeleteFunc(d.mounts, func(m *mount) bool {
		if !m.listed {
			b.Unknown(m.used, now)
			b.Unknown(m.inodes, now)
			b.Unknown(m.readOnly, now)
		}
		return !m.listed
	})
	if keys := d.keys(); !slices.Equal(keys, before) {
		d.opt.instances("host.disk", keys)
	}
	return nil
}

func (d *Disks) add(path string) {
	i := slices.IndexFunc(d.mounts, func(m *mount) bool { return m.path == path })
	if i >= 0 {
		d.mounts[i].listed = true
		return
	}
	if len(d.mounts) >= mostMounts {
		return
	}
	name := func(field string) string {
		return signal.Path{Family: "host.disk", Key: path, Field: field}.String()
	}
	d.mounts = append(d.mounts, &mount{
		path: path, listed: true, answer: make(chan usage, 1),
		used: d.opt.Book.Handle(name("used_ratio"), ""), inodes: d.opt.Book.Handle(name("inodes_ratio"), ""),
		readOnly: d.opt.Book.Handle(name("read_only"), ""),
	})
}

func (d *Disks) keys() []string {
	keys := make([]string, len(d.mounts))
	for i, m := range d.mounts {
		keys[i] = m.path
	}
	slices.Sort(keys)
	return keys
}

// storage reports whether a mount holds data that can fill up. Views of the kernel cannot, images are
// always full, and a bind mount shows a file system that has a place of its own.
func storage(p disk.PartitionStat) bool {
	switch p.Fstype {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "overlay",
		"vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs",
		"fuse.glusterfs", "fuse.sshfs", "9p", "virtiofs", "ocfs2", "gfs2":
		return !slices.Contains(p.Opts, "bind")
	case "tmpfs":
		return p.Mountpoint == "/tmp" || p.Mountpoint == "/run" || p.Mountpoint == "/dev/shm"
	}
	return false
}
