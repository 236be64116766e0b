package packages

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Dpkg is the folder in which dpkg keeps its records. It is read without any program.
type Dpkg string

func (r Dpkg) status() string { return filepath.Join(string(r), "status") }

// longLine is how much is read of a line. What matters is shorter.
const longLine = 4 << 10

// Installed implements Manager.
func (r Dpkg) Installed(names []string) ([]Package, error) {
	f, err := os.Open(r.status())
	if err != nil {
		return nil, unread(err)
	}
	defer f.Close()
	return parseStatus(f, names)
}

func parseStatus(r io.Reader, names []string) ([]Package, error) {
	found := map[string][]Package{}
	lines := bufio.NewReaderSize(r, longLine)
	var p Package
	for more := false; ; {
		line, cut, err := lines.ReadLine()
		if begins := !more; begins {
			if len(line) == 0 && p.State != "" && slices.Contains(names, p.Name) {
				found[p.Name] = append(found[p.Name], p)
			}
			if len(line) == 0 {
				p = Package{}
			} else {
				p.read(string(line))
			}
		}
		if more = cut; err == io.EOF {
			break
		} else if err != nil {
			return nil, unread(err)
		}
	}
	return one(found, names)
}

// read takes in the beginning of a line. A package of which only configuration files are left has no State.
func (p *Package) read(line string) {
	field, value, ok := strings.Cut(line, ": ")
	if !ok {
		return
	}
	switch field {
	case "Package":
		p.Name = value
	case "Version":
		p.Version = value
	case "Architecture":
		p.Arch = value
	case "Essential", "Protected":
		p.Needed = p.Needed || value == "yes"
	case "Priority":
		p.Needed = p.Needed || value == "required" || value == "important"
	case "Status": // what is wanted, whether it is to be installed anew, what it is
		words := strings.Fields(value)
		if len(words) != 3 || words[2] == "not-installed" || words[2] == "config-files" {
			return
		}
		p.Held = words[0] == "hold"
		if p.State = words[2]; words[1] != "ok" {
			p.State = words[1]
		}
	}
}

// Since implements Manager.
func (r Dpkg) Since(p Package) (time.Time, error) {
	for _, name := range []string{p.Name, p.Name + ":" + p.Arch} {
		info, err := os.Stat(filepath.Join(string(r), "info", name+".list"))
		if err == nil {
			return info.ModTime(), nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return time.Time{}, fmt.Errorf("find out since when %s is there: %w", p.Name, err)
		}
	}
	return time.Time{}, fmt.Errorf("%s has no list of its files", p.Name)
}

// Stamp implements Manager.
func (r Dpkg) Stamp() (Stamp, error) {
	info, err := os.Stat(r.status())
	if err != nil {
		return "", unread(err)
	}
	return stamp(info), nil
}
