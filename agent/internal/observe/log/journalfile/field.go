package journalfile

import (
	"bytes"
	"encoding/binary"
)

// Field is one field, such as _SYSTEMD_UNIT, and what it has been in a file so far.
type Field struct {
	j      *File
	offset uint64
	newest uint64 // data object that headed the list when it was last read; 0: none yet
}

// mostFields bounds how many different fields are looked at in a file.
const mostFields = 1 << 16

// Field finds a field by its name; nil: no entry had it yet. It looks through all fields, for they are a few
// hundred, and a file is searched once.
func (j *File) Field(name string) (*Field, error) {
	const bucket = 16 // offsets of the first and the last field
	left := mostFields
	for at, end := j.head.fields, j.head.fields+j.head.fieldsSize; at < end; at += bucket {
		b, err := j.read(at, bucket)
		if err != nil {
			return nil, err
		}
		for field, next := number(b), uint64(0); field != 0; field = next {
			if left--; left < 0 {
				return nil, j.damaged("it has too many fields")
			}
			const payload = 40 // header, hash, next of the bucket, head of its data
			b, size, err := j.object(field, typeField, payload)
			if err != nil {
				return nil, err
			}
			if size <= uint64(len(b)) && string(b[payload:]) == name {
				return &Field{j: j, offset: field}, nil
			}
			next = number(b[24:])
		}
	}
	return nil, nil
}

// New calls each for every value that the field got since the last call, newest first. The value is good until each
// returns. Values of more than a few hundred bytes are passed over.
func (f *Field) New(each func(value []byte, d Data)) error {
	b, _, err := f.j.object(f.offset, typeField, 40)
	if err != nil {
		return err
	}
	head := number(b[32:])
	for at := head; at != f.newest; {
		b, size, err := f.j.data(at)
		if err != nil {
			return err
		}
		next := number(b[32:])
		if next >= at { // what is newer lies behind, for files only grow
			return f.j.damaged("a list of values goes forwards")
		}
		if _, value, ok := bytes.Cut(b[f.j.payload():], []byte("=")); ok && b[1] == 0 && size <= uint64(len(b)) {
			each(value, Data{j: f.j, offset: at})
		}
		at = next
	}
	f.newest = head
	return nil
}

// Data is one value of one field, and the list of the entries that have it, in the order in which they were written.
type Data struct {
	j      *File
	offset uint64

	array, index uint64 // array of entries that was last read, and the entry that comes first in it; 0: none yet
}

// payload is where the text of a data object begins.
func (j *File) payload() int {
	if j.head.compact {
		return 72
	}
	return 64
}

func (j *File) data(at uint64) (b []byte, size uint64, err error) {
	return j.object(at, typeData, j.payload())
}

// Len is how many entries have the value.
func (d *Data) Len() (uint64, error) {
	b, err := d.j.read(d.offset+56, 8)
	if err != nil {
		return 0, err
	}
	return number(b), nil
}

// Entry is where the entry number i is, counted from 0. Reading them in order is cheap.
func (d *Data) Entry(i uint64) (offset uint64, err error) {
	if i == 0 || d.array == 0 || i < d.index {
		b, _, err := d.j.data(d.offset)
		if err != nil {
			return 0, err
		}
		if i == 0 {
			return number(b[40:]), nil
		}
		d.array, d.index = number(b[48:]), 1
	}
	for {
		const items = 24 // header, next array
		b, size, err := d.j.object(d.array, typeArray, items)
		if err != nil {
			return 0, err
		}
		next, width := number(b[16:]), d.j.width()
		if n := (size - items) / width; i-d.index < n {
			return d.j.offset(d.array + items + (i-d.index)*width)
		} else if next <= d.array {
			return 0, d.j.damaged("a list of entries ends before number %d", i)
		} else {
			d.array, d.index = next, d.index+n
		}
	}
}

// width is the size of an offset in arrays of entries.
func (j *File) width() uint64 {
	if j.head.compact {
		return 4
	}
	return 8
}

// offset reads one offset of an array.
func (j *File) offset(at uint64) (uint64, error) {
	b, err := j.read(at, int(j.width()))
	if err != nil {
		return 0, err
	}
	if j.head.compact {
		return uint64(binary.LittleEndian.Uint32(b)), nil
	}
	return number(b), nil
}
