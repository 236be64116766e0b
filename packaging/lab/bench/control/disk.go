package control

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/packaging/lab/load"
)

// loadAverage is that of the last minute.
func loadAverage() (float64, error) {
	src, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(src), " ")
	return strconv.ParseFloat(first, 64)
}

// fileSystems are the magic numbers of those that a run may meet.
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
}

// disk says where data lies and how long a durable append takes there. Memory is no disk: what syncs for
// nothing says nothing about stores whose price is the sync.
func disk(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("ask for the file system of %s: %w", dir, err)
	}
	name := fileSystems[st.Type]
	if name == "" {
		name = fmt.Sprintf("file system %#x", st.Type)
	}
	if name == "tmpfs" {
		return "", fmt.Errorf("%s is in memory: say --data FOLDER with one on a disk", dir)
	}
	took, err := syncTime(dir)
	return fmt.Sprintf("%s, an append of 256 bytes with fdatasync takes %v at the median and %v at p99", name,
		took.Quantile(0.5).Round(time.Microsecond), took.Quantile(0.99).Round(time.Microsecond)), err
}

func syncTime(dir string) (load.Samples, error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var took []time.Duration
	for range 200 {
		start := time.Now()
		if _, err := f.Write(slices.Repeat([]byte{'x'}, 256)); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return load.NewSamples(took), nil
}
