// Package journalfile reads the files of systemd's journal, as https://systemd.io/JOURNAL_FILE_FORMAT describes them,
// while journald writes them. It reads with pread and maps nothing, so that a file that is cut short is an error and
// not a signal; it trusts no offset, and no list in a file can be without an end.
package journalfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Errors. Those of reading are the system's, such as fs.ErrPermission.
var (
	// ErrDamaged says that a file contradicts the format. journald sets such a file aside when it notices.
	ErrDamaged = errors.New("journal file is damaged")
	// ErrUnknown says that a file uses what this package cannot read.
	ErrUnknown = errors.New("journal file is of an unknown kind")
	// ErrBlank says that a file was made, and not begun.
	ErrBlank = errors.New("journal file is empty")
)

// Flags of a file that its readers must know: compression by LZ4 and ZSTD, hashes with a key (of no interest here,
// for nothing is looked up by hash), and compact.
const (
	known   = 0x1e // not 0x01: compression by XZ, of systemd before 246 without LZ4
	compact = 0x10 // offsets of 32 bits in entries and arrays
)

// Types of objects.
const (
	typeData  = 1
	typeField = 2
	typeEntry = 3
	typeArray = 6
)

const (
	headerSize  = 224 // of the file: up to the last number that is read here
	largestFile = 1 << 40
)

// ID is a number of 128 bits: of a file, of a boot.
type ID [16]byte

// Header is what a file says about itself.
type Header struct {
	File     ID // never the same for two files, and kept when the file is renamed
	Boot     ID // of the last entry
	Archived bool
	Entries  uint64
	// Last is when the last entry was written: CLOCK_MONOTONIC of Boot, in microseconds.
	Last   uint64
	Fields uint64 // how many field names are in the file; it only grows

	fields, fieldsSize uint64 // hash table of field names
	compact            bool
}

// File is one open file. It belongs to one goroutine.
type File struct {
	f    *os.File
	head Header

	buf     [1024]byte
	strange map[uint64]bool // data objects that are no message
}

// Open opens a file and reads its header.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	j := &File{f: f, strange: map[uint64]bool{}}
	if _, err := j.Refresh(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// Close closes the file.
func (j *File) Close() error { return j.f.Close() }

// Header is what the file said when it was opened, or at the last Refresh.
func (j *File) Header() Header { return j.head }

// Refresh reads the header again.
func (j *File) Refresh() (Header, error) {
	b, err := j.read(0, headerSize)
	if err != nil {
		if len(b) == 0 && errors.Is(err, ErrDamaged) { // and not what it is by now
			err = fmt.Errorf("%w: %s", ErrBlank, j.f.Name())
		}
		return Header{}, err
	}
	if string(b[:8]) != "LPKSHHRH" {
		return Header{}, j.damaged("it does not begin like one")
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	if flags&^known != 0 {
		return Header{}, fmt.Errorf("%w: flags %#x of %s", ErrUnknown, flags, j.f.Name())
	}
	j.head = Header{
		Archived: b[16] == 2,
		Entries:  number(b[152:]), Last: number(b[200:]), Fields: number(b[216:]),
		fields: number(b[120:]), fieldsSize: number(b[128:]),
		compact: flags&compact != 0,
	}
	copy(j.head.File[:], b[24:])
	copy(j.head.Boot[:], b[56:])
	return j.head, nil
}

// read returns n bytes, at most len(j.buf), which are good until the next read.
func (j *File) read(at uint64, n int) ([]byte, error) {
	b, err := j.some(at, n)
	return b[:min(n, len(b))], err
}

// some returns at least so many bytes, and as many as there are and fit j.buf. Of a file that ends before that, it returns
// what there is beside the error.
func (j *File) some(at uint64, least int) ([]byte, error) {
	if at > largestFile {
		return nil, j.damaged("nothing can be at %d", at)
	}
	n, err := j.f.ReadAt(j.buf[:], int64(at))
	switch {
	case n >= least:
		return j.buf[:n], nil
	case errors.Is(err, io.EOF):
		return j.buf[:n], j.damaged("it ends in what is at %d", at)
	}
	return nil, fmt.Errorf("read journal file: %w", err)
}

// object returns the first bytes of an object of that type, at least least and at most len(j.buf) of them, and its
// size.
func (j *File) object(at uint64, typ byte, least int) (b []byte, size uint64, err error) {
	if b, err = j.some(at, least); err != nil {
		return nil, 0, err
	}
	size = number(b[8:])
	if at < headerSize || at%8 != 0 || b[0] != typ || size < uint64(least) || size > largestFile {
		return nil, 0, j.damaged("no object of type %d is at %d", typ, at)
	}
	return b[:min(uint64(len(b)), size)], size, nil
}

func (j *File) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrDamaged, j.f.Name(), fmt.Sprintf(format, args...))
}

func number(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
