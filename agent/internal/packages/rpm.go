package packages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/program"
)

// Rpm is the folder below which rpm and dnf have their files, "/" but in tests. Only rpm itself can read its records.
type Rpm string

// rpmRecords are the files in which rpm keeps its records, with what was written last and is not in the others yet.
var rpmRecords = []string{"rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db", "Packages"}

const (
	rpmTime   = 20 * time.Second
	rpmFormat = `%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\t%{INSTALLTIME}\n`
)

// Stamp implements Manager.
func (r Rpm) Stamp() (s Stamp, err error) {
	for _, folder := range []string{"usr/lib/sysimage/rpm", "var/lib/rpm"} {
		for _, name := range rpmRecords {
			info, err := os.Stat(filepath.Join(string(r), folder, name))
			if err == nil {
				s += stamp(info) + " "
			} else if !errors.Is(err, os.ErrNotExist) {
				return "", unread(err)
			}
		}
	}
	if s == "" {
		return "", unread(errors.New("neither dpkg nor rpm has installed anything on this host"))
	}
	return s, nil
}

// Installed implements Manager.
func (r Rpm) Installed(names []string) ([]Package, error) {
	locks, err := r.locks()
	if err != nil && !errors.Is(err, errNoLocks) {
		return nil, unread(err)
	}
	needed, err := r.protected()
	if err != nil {
		return nil, unread(err)
	}
	path, err := program.Find("rpm")
	if err != nil {
		return nil, unread(err)
	}
	out, err := program.Run(context.Background(), path, program.Cmd{Timeout: rpmTime,
		Argv: slices.Concat([]string{path, "--query", "--queryformat", rpmFormat, "--"}, names)})
	switch complaint := strings.TrimSpace(string(out.Stderr)); {
	case err != nil:
	case out.Truncated:
		err = errors.New("rpm says more than can be read")
	case strings.Contains(complaint, "error: "): // it then says of any package that it is not installed
		err = errors.New(complaint)
	}
	if err != nil {
		return nil, unread(err)
	}
	list, err := parseQuery(string(out.Stdout), names)
	if err != nil {
		return nil, err
	}
	for i, p := range list {
		list[i].Held = slices.ContainsFunc(locks, func(line string) bool { return about(line, p.Name) })
		list[i].Needed = slices.Contains(needed, p.Name)
	}
	return list, nil
}

// parseQuery reads what rpm says of each name: a line of rpmFormat, or that it is not installed.
func parseQuery(text string, names []string) ([]Package, error) {
	found := map[string][]Package{}
	var missing []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "package "); ok {
			if name, ok := strings.CutSuffix(rest, " is not installed"); ok {
				missing = append(missing, name)
			}
			continue
		}
		words := strings.Split(line, "\t")
		if len(words) != 4 || !slices.Contains(names, words[0]) {
			continue
		}
		at, err := strconv.ParseInt(words[3], 10, 64)
		if err != nil {
			return nil, unread(fmt.Errorf("rpm says that %s was installed at %.40q", words[0], words[3]))
		}
		found[words[0]] = append(found[words[0]], Package{Name: words[0], Version: strings.TrimPrefix(words[1], "0:"), Arch: words[2],
			State: whole, since: time.Unix(at, 0)})
	}
	for _, name := range names {
		if len(found[name]) == 0 && !slices.Contains(missing, name) {
			return nil, unread(fmt.Errorf("rpm says nothing of %s", name))
		}
	}
	return one(found, names)
}

// Since implements Manager.
func (Rpm) Since(p Package) (time.Time, error) { return p.since, nil }

// base are packages without which there is no way back. What a distribution protects from removal comes to it.
var base = []string{"bash", "coreutils", "filesystem", "glibc", "kernel", "kernel-core", "kernel-modules",
	"kernel-modules-core", "openssl-libs", "rpm", "rpm-libs", "selinux-policy", "systemd", "systemd-libs"}

// protected are the packages that the system needs.
func (r Rpm) protected() ([]string, error) {
	list := slices.Clone(base)
	for _, folder := range []string{"etc/dnf/protected.d", "etc/yum/protected.d"} {
		files, err := filepath.Glob(filepath.Join(string(r), folder, "*.conf"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			list = append(list, strings.Fields(string(text))...)
		}
	}
	return list, nil
}
