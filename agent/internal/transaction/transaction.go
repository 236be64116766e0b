// Package transaction tells whether a package manager is at work on this host. It reads the kernel's
// table of file locks, which needs no right on the lock files themselves.
package transaction

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockFiles are what dpkg and rpm hold locked during a transaction.
var lockFiles = []string{
	"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock",
	"/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock",
}

// packagedFolders hold the unit files that packages bring; units elsewhere belong to people.
var packagedFolders = []string{"/usr/lib/systemd/", "/lib/systemd/"}

// Detector finds package transactions.
type Detector struct {
	root string // prefix of every path; "" on a real host
}

// New returns a detector that reads below root; "" is the real host.
func New(root string) *Detector { return &Detector{root: root} }

// Touches reports whether a transaction may touch a unit whose file is fragment: only unit files in
// the folders of packages can be.
func Touches(fragment string) bool {
	for _, dir := range packagedFolders {
		if strings.HasPrefix(fragment, dir) {
			return true
		}
	}
	return false
}

// Holder names the lock file that is held now, or "" when no transaction runs. An unreadable lock
// table is an error; the caller must not take it for "none".
func (d *Detector) Holder() (string, error) {
	held := make(map[string]string, len(lockFiles)) // "major:minor:inode" as in /proc/locks → path
	for _, path := range lockFiles {
		key, err := d.key(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("stat package lock: %w", err)
		}
		held[key] = path
	}
	if len(held) == 0 {
		return "", nil
	}
	table, err := os.ReadFile(filepath.Join(d.root, "/proc/locks"))
	if err != nil {
		return "", fmt.Errorf("read lock table: %w", err)
	}
	return match(table, held), nil
}

// key is the file's name in /proc/locks.
func (d *Detector) key(path string) (string, error) {
	info, err := os.Stat(filepath.Join(d.root, path))
	if err != nil {
		return "", err
	}
	st := info.Sys().(*syscall.Stat_t)
	major := (st.Dev>>8)&0xfff | (st.Dev>>32)&^0xfff
	minor := st.Dev&0xff | (st.Dev>>12)&^0xff
	return fmt.Sprintf("%02x:%02x:%d", major, minor, st.Ino), nil
}

// match finds the first held lock among the lines of /proc/locks, such as
// "1: POSIX  ADVISORY  WRITE 711 08:01:1312 0 EOF". Waiters ("->") hold nothing.
func match(table []byte, held map[string]string) string {
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] == "->" || fields[3] != "WRITE" {
			continue
		}
		if _, err := strconv.Atoi(fields[4]); err != nil {
			continue
		}
		if path, ok := held[fields[5]]; ok {
			return path
		}
	}
	return ""
}
