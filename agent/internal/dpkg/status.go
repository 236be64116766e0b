// Package dpkg reads what dpkg says is installed. It changes nothing, and runs no program.
package dpkg

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

// Records is the folder in which dpkg keeps its records.
type Records string

// Host has those of this host.
const Host Records = "/var/lib/dpkg"

func (r Records) status() string { return filepath.Join(string(r), "status") }

// Package is what is known of one that is installed.
type Package struct {
	Name, Version, Arch string
	Held                bool   // a person wants it to stay as it is
	State               string // "installed"; anything else is half of something, in dpkg's words
	Needed              bool   // the system needs it: it is essential, protected, or of the priority required or important
}

// ErrMissing says that a package is not installed.
var ErrMissing = errors.New("is not installed")

// longLine is how much is read of a line. What matters is shorter.
const longLine = 4 << 10

// Installed are the packages of these names, in this order. One that is not installed, or for several architectures, is an
// error.
func (r Records) Installed(names []string) ([]Package, error) {
	f, err := os.Open(r.status())
	if err != nil {
		return nil, fmt.Errorf("read what is installed: %w", err)
	}
	defer f.Close()
	return parse(f, names)
}

func parse(r io.Reader, names []string) ([]Package, error) {
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
			return nil, fmt.Errorf("read what is installed: %w", err)
		}
	}
	var out []Package
	for _, name := range names {
		switch list := found[name]; len(list) {
		case 0:
			return nil, fmt.Errorf("%s %w", name, ErrMissing)
		case 1:
			out = append(out, list[0])
		default:
			return nil, fmt.Errorf("%s is installed for %d architectures", name, len(list))
		}
	}
	return out, nil
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

// Whole reports whether nothing is half done with it.
func (p Package) Whole() bool { return p.State == "installed" }

// Since is when files of the package were last unpacked, by the clock of then.
func (r Records) Since(p Package) (time.Time, error) {
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

// Stamp changes whenever something is installed.
type Stamp struct {
	size int64
	at   time.Time
}

// Stamp is that of this moment.
func (r Records) Stamp() (Stamp, error) {
	info, err := os.Stat(r.status())
	if err != nil {
		return Stamp{}, fmt.Errorf("read what is installed: %w", err)
	}
	return Stamp{info.Size(), info.ModTime()}, nil
}
