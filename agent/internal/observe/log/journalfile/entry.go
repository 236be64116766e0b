package journalfile

import (
	"bytes"
	"encoding/binary"
)

// Entry is one entry of the journal.
type Entry struct {
	Boot ID
	At   uint64 // CLOCK_MONOTONIC of Boot, in microseconds

	items []uint64 // offsets of its data objects
}

// mostItems bounds how many fields of an entry are looked at, the last ones: mostly there are some twenty.
const mostItems = 48

// Read reads the entry at an offset, in the place of what e was.
func (j *File) Read(offset uint64, e *Entry) error {
	const first = 64
	b, size, err := j.object(offset, typeEntry, first)
	if err != nil {
		return err
	}
	e.At = number(b[32:])
	copy(e.Boot[:], b[40:])
	e.items = e.items[:0]
	width := uint64(16) // an offset and a hash
	if j.head.compact {
		width = 4
	}
	b, n := b[first:], (size-first)/width
	if n > mostItems {
		if b, err = j.read(offset+first+(n-mostItems)*width, int(mostItems*width)); err != nil {
			return err
		}
		n = mostItems
	}
	if uint64(len(b)) < n*width {
		return j.damaged("it ends in the entry at %d", offset)
	}
	for ; n > 0; n-- {
		at := uint64(binary.LittleEndian.Uint32(b))
		if !j.head.compact {
			at = number(b)
		}
		e.items, b = append(e.items, at), b[width:]
	}
	return nil
}

// mostStrange bounds how many data objects are remembered as no message.
const mostStrange = 1024

var messageIs = []byte("MESSAGE=")

// Message is the text of the entry, or its beginning, as far as there is room: it is good until the room is used
// again. It is false for an entry without a text, or with one that cannot be unpacked. journald sorts the data of
// an entry by their offsets, so that what is new in it, as its text mostly is, comes last.
func (j *File) Message(e *Entry, r *Room) (text []byte, ok bool, err error) {
	for i := len(e.items) - 1; i >= 0; i-- {
		at := e.items[i]
		if j.strange[at] {
			continue
		}
		b, size, err := j.data(at)
		if err != nil {
			return nil, false, err
		}
		n := 0
		if from := uint64(j.payload()); b[1] != 0 {
			n = r.unpack(b[1], j.packed(at+from, size-from, r))
		} else if n = copy(r.plain, b[from:]); bytes.HasPrefix(r.plain[:n], messageIs) {
			n += j.rest(at+from, size-from, n, r)
		}
		if bytes.HasPrefix(r.plain[:n], messageIs) {
			return r.plain[len(messageIs):n], true, nil
		}
		if len(j.strange) >= mostStrange {
			clear(j.strange)
		}
		j.strange[at] = true
	}
	return nil, false, nil
}

// rest reads into the room what of a payload of that size comes behind the first n bytes.
func (j *File) rest(at, size uint64, n int, r *Room) int {
	if uint64(n) >= size || n == len(r.plain) {
		return 0
	}
	more, _ := j.f.ReadAt(r.plain[n:min(uint64(len(r.plain)), size)], int64(at)+int64(n)) // what is missing was cut off
	return more
}

// packed is the beginning of a packed payload.
func (j *File) packed(at, size uint64, r *Room) []byte {
	n, _ := j.f.ReadAt(r.packed[:min(size, mostPacked)], int64(at)) // what is missing is missed when it is unpacked
	return r.packed[:n]
}
