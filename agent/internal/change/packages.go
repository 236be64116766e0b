package change

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxRead bounds what is read of a package manager's log at once; of more, the end counts.
const maxRead = 1 << 20

// manager is a package manager with a log of what it does.
type manager struct {
	name  string
	log   string // path of the log
	dir   string // folder in which something happens during each transaction
	parse func(line string) (step, bool)
}

var managers = []manager{
	{"dpkg", "/var/log/dpkg.log", "/var/lib/dpkg/updates", parseDpkg},
	{"rpm", "/var/log/dnf.rpm.log", "/var/lib/rpm", parseDnf},
	{"rpm", "/var/log/dnf.rpm.log", "/usr/lib/sysimage/rpm", parseDnf},
}

// step is what a transaction does to one package.
type step struct {
	name string // as its file list is called, with the architecture where there is one
	text string
}

// parseDpkg reads "2026-11-27 21:00:00 upgrade nginx:amd64 1.22.1-1 1.22.1-2".
func parseDpkg(line string) (step, bool) {
	f := strings.Fields(line)
	if len(f) != 6 {
		return step{}, false
	}
	name, _, _ := strings.Cut(f[3], ":")
	before, after := f[4], f[5]
	switch {
	case f[2] == "install" && before == "<none>":
		return step{f[3], name + " " + after + " installed"}, true
	case f[2] == "upgrade" && before == after:
		return step{f[3], name + " " + after + " installed again"}, true
	case f[2] == "upgrade", f[2] == "install":
		return step{f[3], name + " " + before + " → " + after}, true
	case f[2] == "remove":
		return step{f[3], name + " " + before + " removed"}, true
	}
	return step{}, false
}

// dnfWords are what dnf's log says of the package that is there, or is not, afterwards.
var dnfWords = map[string]string{
	"Installed:": "installed", "Upgrade:": "upgraded", "Downgrade:": "downgraded", "Reinstall:": "installed again",
	"Erase:": "removed",
}

// parseDnf reads "2026-11-27T21:00:00+0000 SUBDEBUG Upgrade: nginx-1:1.20.1-14.el9.x86_64".
func parseDnf(line string) (step, bool) {
	f := strings.Fields(line)
	if len(f) != 4 || dnfWords[f[2]] == "" {
		return step{}, false
	}
	return step{f[3], f[3] + " " + dnfWords[f[2]]}, true
}

// place is how far a log was read: it survives restarts, so that what happens meanwhile is noticed.
type place struct {
	File   string `json:"file"` // its identity
	Offset int64  `json:"offset"`
}

// noLog is the place in a log that does not exist: all of it will be news.
const noLog = "none"

// read returns what a log says since a place, and the new place. A log that was never looked at says nothing, and one that
// was rotated away is read to its end first.
func read(path string, from place, m manager) ([]step, place, error) {
	file := identity(path)
	switch {
	case file == "" && from.File == "":
		return nil, place{File: noLog}, nil
	case file == "": // it is being rotated
		return nil, from, nil
	case from.File == "":
		info, err := os.Stat(path)
		if err != nil {
			return nil, from, err
		}
		return nil, place{file, info.Size()}, nil
	}
	var steps []step
	if file != from.File {
		if rotated := path + ".1"; identity(rotated) == from.File {
			old, _, err := tail(rotated, from.Offset, m)
			if err != nil {
				return nil, from, err
			}
			steps = old
		}
		from = place{File: file}
	}
	found, end, err := tail(path, from.Offset, m)
	if err != nil {
		return nil, from, err
	}
	return append(steps, found...), place{file, end}, nil
}

// tail reads the whole lines from an offset on. A file that has become shorter is read from its beginning.
func tail(path string, offset int64, m manager) ([]step, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, offset, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, offset, errors.Join(err, fs.ErrInvalid)
	}
	if info.Size() < offset {
		offset = 0
	}
	offset = max(offset, info.Size()-maxRead)
	text, err := io.ReadAll(io.NewSectionReader(f, offset, info.Size()-offset))
	if err != nil {
		return nil, offset, err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	return parseLines(whole, m), offset + int64(len(whole)), nil
}

func parseLines(text []byte, m manager) []step {
	var steps []step
	for line := range bytes.Lines(text) {
		if s, ok := m.parse(string(line)); ok {
			steps = append(steps, s)
		}
	}
	return steps
}

// owns reports which of the files a package of dpkg's brings. Where the list of its files is missing it brings none.
func owns(root, pkg string, files []string) []string {
	if strings.ContainsAny(pkg, "/\x00") {
		return nil
	}
	name, _, _ := strings.Cut(pkg, ":")
	for _, list := range []string{pkg, name} {
		f, err := os.Open(filepath.Join("/", root, "/var/lib/dpkg/info", list+".list"))
		if err != nil {
			continue
		}
		defer f.Close()
		var owned []string
		for lines := bufio.NewScanner(f); lines.Scan(); {
			for _, file := range files {
				if merged(lines.Text()) == merged(file) {
					owned = append(owned, file)
				}
			}
		}
		return owned
	}
	return nil
}

// merged is a path as it is since /lib leads to /usr/lib.
func merged(path string) string {
	if strings.HasPrefix(path, "/lib/") {
		return "/usr" + path
	}
	return path
}

// maxPackages is how many packages a change names.
const maxPackages = 8

// sentence names the packages of a transaction.
func sentence(texts []string) string {
	if more := len(texts) - maxPackages; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:maxPackages], ", "), more)
	}
	return strings.Join(texts, ", ")
}
