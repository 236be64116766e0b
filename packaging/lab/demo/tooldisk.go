package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a small file system of its own, on which an application has its data, and logs beside them.
type disk struct {
	root   string
	ledger [sha256.Size]byte // what its data are
	filled int64             // bytes that the runaway log took

	mu sync.Mutex // one writes at a time, so that full is full
}

const (
	diskSize = 32 << 20
	oldLogs  = 5 // rotated ones, of 2 MiB each
)

func (d *disk) data() string     { return filepath.Join(d.root, "data", "ledger") }
func (d *disk) log() string      { return filepath.Join(d.root, "logs", "shop.log") }
func (d *disk) old(n int) string { return fmt.Sprintf("%s.%d", d.log(), n) }

// openDisk makes the file system. Only root can mount one.
func (s *toolbox) openDisk(ctx context.Context) error {
	d := &disk{root: s.file("disk")}
	switch _, err := exec.LookPath("mkfs.ext4"); {
	case os.Geteuid() != 0:
		s.lacks[ledger] = "a file system of its own takes root"
		return nil
	case err != nil:
		s.lacks[ledger] = "mkfs.ext4 is not installed (Debian package e2fsprogs)"
		return nil
	}
	if err := d.mount(ctx, s.file("disk.image")); err != nil {
		s.lacks[ledger] = "no file system of its own can be had here: " + oneLine(err)
		return nil
	}
	s.onClose(func() error { return unix.Unmount(d.root, unix.MNT_DETACH) })
	s.disk = d
	if err := d.settle(); err != nil {
		return err
	}
	s.keepWriting(ledger, func(context.Context) error { return d.write() })
	return nil
}

func (d *disk) mount(ctx context.Context, image string) error {
	if err := errors.Join(os.Mkdir(d.root, 0o755), os.WriteFile(image, nil, 0o600), os.Truncate(image, diskSize)); err != nil {
		return err
	}
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, d.root}} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
	}
	return nil
}

// settle writes the data, and the logs of the last days.
func (d *disk) settle() error {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	d.ledger = sha256.Sum256(data)
	err := errors.Join(os.Mkdir(filepath.Dir(d.data()), 0o755), os.Mkdir(filepath.Dir(d.log()), 0o755),
		os.WriteFile(d.data(), data, 0o600))
	for n := 1; n <= oldLogs; n++ {
		day := time.Now().Add(-time.Duration(n) * 24 * time.Hour)
		err = errors.Join(err, os.WriteFile(d.old(n), make([]byte, 2<<20), 0o600), os.Chtimes(d.old(n), day, day))
	}
	return err
}

// write is one record of the application's.
func (d *disk) write() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(filepath.Dir(d.data()), "record")
	return errors.Join(os.WriteFile(path, make([]byte, 4<<10), 0o600), os.Remove(path))
}

// runaway writes into the log until no byte is free.
func (d *disk) runaway() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := os.Create(d.log())
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 1 << 10} {
		line := make([]byte, size)
		for err = nil; err == nil; {
			var n int
			n, err = f.Write(line)
			d.filled += int64(n)
		}
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
	}
	return nil
}

func (s *toolbox) fullDisk() tool {
	return tool{tell: "a runaway log takes the last byte beside the ledger's data", trial: trial{
		title: "a full disk", service: ledger, want: healedBy("oldest-logs"),
		inflict: func(context.Context) error { return s.disk.runaway() },
		check:   func(context.Context) (string, error) { return s.disk.check() },
	}}
}

// check wants room again, and everything that nobody declared to be expendable.
func (d *disk) check() (string, error) {
	if err := d.write(); err != nil {
		return "", err
	}
	data, err := os.ReadFile(d.data())
	if err == nil && sha256.Sum256(data) != d.ledger {
		err = errors.New("the ledger is not what it was")
	}
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(d.log()); err != nil || info.Size() != d.filled {
		return "", fmt.Errorf("the log that is written to: %v, %w", info, err)
	}
	if _, err := os.Stat(d.old(1)); err != nil {
		return "", fmt.Errorf("the newest of the rotated logs: %w", err)
	}
	gone := 0
	for n := 1; n <= oldLogs; n++ {
		if _, err := os.Stat(d.old(n)); errors.Is(err, os.ErrNotExist) {
			gone++
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.root, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("0 → %d %% free by %d of %d rotated logs; the ledger's SHA-256 is what it was",
		st.Bavail*100/st.Blocks, gone, oldLogs), nil
}
