package log

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/log/journalfile"
)

// journal is the files of this host's journal: those that journald writes to, one for the system and one for each
// person or user of a service, and those that it put aside within the last window.
type journal struct {
	folders []string // where the journal may be; the first that has one is it
	unit    string   // name of the field that names units
	own     string   // the agent's unit, whose lines are never looked at

	folder  string
	there   time.Duration // when all files that should be there last were
	changed time.Time     // of the folder, when it was last listed
	again   bool          // it changed then, so that another change may have left no trace
	open    []*file
	done    map[journalfile.ID]bool // files that were read, or are older than the window
}

// file is one open file.
type file struct {
	*journalfile.File
	head   journalfile.Header
	fields uint64             // how many the file had when these were looked for
	units  *journalfile.Field // nil: not in the file yet
	kernel *journalfile.Field
	chains []*chain
	seen   uint64 // how many entries it had at the last look
	listed bool   // it is in the folder
	aside  bool   // by its name, nothing is written to it any more
}

// chain is the entries of one unit in one file, or those of the kernel.
type chain struct {
	file      *file
	stream    *stream
	unit      string // "": the kernel
	data      journalfile.Data
	next, end uint64 // number of the first entry that was not looked at; and of the first that will not be yet
}

const (
	// mostFiles bounds how many files may be open.
	mostFiles = 128
	system    = "system.journal"
	// gap is how long a file may be missing or blank: journald puts one aside before it makes the next.
	gap = 2 * time.Second
)

var (
	errNone = errors.New("there is no journal")
	errMany = errors.New("the journal has too many files that are written to")
)

// close forgets everything, so that the next look begins anew.
func (j *journal) close() {
	for _, f := range j.open {
		_ = f.Close() // it was only read
	}
	*j = journal{folders: j.folders, unit: j.unit, own: j.own}
}

// refresh brings the open files and their headers up to date.
func (j *journal) refresh(m moment, since time.Duration) error {
	var folder string
	for _, f := range j.folders {
		if folder == "" && unix.Access(filepath.Join(f, system), unix.F_OK) == nil {
			folder = f
		}
	}
	whole := folder != ""
	if folder = cmp.Or(folder, j.folder); folder == "" {
		return errNone
	}
	if folder != j.folder {
		j.close()
		j.folder, j.done = folder, map[journalfile.ID]bool{}
	}
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("look at journal: %w", err)
	}
	if moved := !info.ModTime().Equal(j.changed); moved || j.again {
		j.changed, j.again = info.ModTime(), moved
		blank, err := j.list(m.boot, since)
		if err != nil {
			return err
		}
		whole, j.again = whole && !blank, j.again || blank
	}
	if whole {
		j.there = m.now
	} else if m.now-j.there > gap {
		return errNone
	}
	for _, f := range j.open {
		if f.head, err = f.Refresh(); err != nil {
			return err
		}
	}
	return nil
}

// list opens the files that are new. What journald puts aside it renames, so files are told apart by their own
// numbers. blank: nothing is written to one of them yet.
func (j *journal) list(boot journalfile.ID, since time.Duration) (blank bool, err error) {
	names, err := os.ReadDir(j.folder)
	if err != nil {
		return false, fmt.Errorf("list journal: %w", err)
	}
	known := map[journalfile.ID]*file{}
	for _, f := range j.open {
		f.listed = false
		known[f.head.File] = f
	}
	done := map[journalfile.ID]bool{}
	for _, n := range names {
		if !strings.HasSuffix(n.Name(), ".journal") { // one that is damaged ends in .journal~
			continue
		}
		f, err := journalfile.Open(filepath.Join(j.folder, n.Name()))
		aside := strings.Contains(n.Name(), "@")
		switch {
		case aside && err != nil, errors.Is(err, fs.ErrNotExist):
			continue // nothing is written to it any more, or it was just renamed or removed
		case errors.Is(err, journalfile.ErrBlank):
			blank = true
			continue
		case err != nil:
			return false, err
		}
		head := f.Header()
		old := (aside || head.Archived) && (head.Boot != boot || micros(head.Last) < since)
		switch {
		case known[head.File] != nil:
			known[head.File].listed, known[head.File].aside = true, aside
		case j.done[head.File] || old:
			done[head.File] = true
		case len(j.open) >= mostFiles:
			return false, errors.Join(errMany, f.Close())
		default:
			j.open = append(j.open, &file{File: f, head: head, listed: true, aside: aside})
			continue
		}
		_ = f.Close()
	}
	j.done = done
	return blank, nil
}

// find looks for units that are new in the open files, and for where their lines of the last window begin.
func (j *journal) find(streams []*stream, m moment, since time.Duration, r *reader) error {
	for _, f := range j.open {
		before := len(f.chains)
		if err := j.values(f, streams); err != nil {
			return err
		}
		for _, c := range f.chains[before:] {
			if err := c.begin(m, since, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// values makes chains of the values that came into the file.
func (j *journal) values(f *file, streams []*stream) (err error) {
	if n := f.head.Fields; n != f.fields && (f.units == nil || f.kernel == nil) {
		if f.units, err = f.field(f.units, j.unit); err != nil {
			return err
		}
		if f.kernel, err = f.field(f.kernel, "_TRANSPORT"); err != nil {
			return err
		}
		f.fields = n
	}
	add := func(unit string, d journalfile.Data, wanted func(*stream) bool) {
		for _, s := range streams {
			if wanted(s) {
				f.chains = append(f.chains, &chain{file: f, unit: unit, data: d, stream: s})
			}
		}
	}
	if f.units != nil {
		err = f.units.New(func(value []byte, d journalfile.Data) {
			if unit := string(value); unit != j.own {
				add(unit, d, func(s *stream) bool { return s.unit != "" && covers(unit, s.unit, s.except) })
			}
		})
	}
	if f.kernel != nil && err == nil {
		err = f.kernel.New(func(value []byte, d journalfile.Data) {
			if string(value) == "kernel" {
				add("", d, func(s *stream) bool { return s.unit == "" })
			}
		})
	}
	return err
}

// field is the field that was found before, or else may be there now.
func (f *file) field(found *journalfile.Field, name string) (*journalfile.Field, error) {
	if found != nil {
		return found, nil
	}
	return f.Field(name)
}

// begin finds the first entry of this boot that is not older than since, among entries in order.
func (c *chain) begin(m moment, since time.Duration, r *reader) error {
	n, err := c.data.Len()
	if err != nil {
		return err
	}
	c.next = uint64(sort.Search(int(n), func(i int) bool {
		offset, failed := c.data.Entry(uint64(i))
		if failed == nil {
			failed = c.file.Read(offset, &r.entry)
		}
		err = cmp.Or(err, failed)
		return r.entry.Boot == m.boot && micros(r.entry.At) >= since
	}))
	return err
}

// leave closes the files that are read to their end.
func (j *journal) leave() {
	keep := j.open[:0]
	for _, f := range j.open {
		if f.listed && !f.aside && !f.head.Archived {
			keep = append(keep, f)
			continue
		}
		j.done[f.head.File] = true
		_ = f.Close()
	}
	clear(j.open[len(keep):])
	j.open = keep
}
