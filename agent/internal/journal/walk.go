package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// walker visits everything in a bbolt file and proves on the way that bbolt can use it: every page below
// the high-water mark is reached exactly once or free exactly once, every entry lies inside its page, and
// keys are in order. Each page is read once, so the time is bounded by the size of the file.
type walker struct {
	file    io.ReaderAt
	head    header
	claimed []uint64 // one bit a page
	free    uint64
	buffers [][]byte // one a level, reused
	visit   func(bucket string, key, value []byte)
}

// walk checks the whole file and calls visit for every record; key and value are valid only during the call.
func walk(f io.ReaderAt, h header, visit func(bucket string, key, value []byte)) (free uint64, err error) {
	w := &walker{file: f, head: h, claimed: make([]uint64, h.pages/64+1), visit: visit}
	if err := w.freelist(); err != nil {
		return 0, err
	}
	if err := w.tree(h.root, "", 0, nil, nil); err != nil {
		return 0, err
	}
	for id := uint64(2); id < h.pages; id++ {
		if w.claimed[id/64]&(1<<(id%64)) == 0 {
			return 0, fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return w.free, nil
}

// claim marks count pages from id as accounted for.
func (w *walker) claim(id, count uint64) error {
	if id < 2 || id >= w.head.pages || count > w.head.pages-id {
		return fmt.Errorf("page %d lies outside the file's %d pages", id, w.head.pages)
	}
	for end := id + count; id < end; id++ {
		if w.claimed[id/64]&(1<<(id%64)) != 0 {
			return fmt.Errorf("page %d is used twice", id)
		}
		w.claimed[id/64] |= 1 << (id % 64)
	}
	return nil
}

// read claims a page with its overflow and reads it into the buffer of its level.
func (w *walker) read(id uint64, depth int) (page, error) {
	if depth >= maxDepth {
		return page{}, errors.New("tree is too deep")
	}
	var head [headerSize]byte
	if err := w.claim(id, 1); err != nil {
		return page{}, err
	}
	if _, err := w.file.ReadAt(head[:], int64(id)*pageSize); err != nil {
		return page{}, err
	}
	if self := binary.NativeEndian.Uint64(head[:]); self != id {
		return page{}, fmt.Errorf("page %d says that it is page %d", id, self)
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if overflow > 0 {
		if err := w.claim(id+1, overflow); err != nil {
			return page{}, err
		}
	}
	body := w.buffer(depth, int(overflow+1)*pageSize)
	if _, err := w.file.ReadAt(body, int64(id)*pageSize); err != nil {
		return page{}, err
	}
	p, err := parsePage(body)
	if err != nil {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	return p, nil
}

func (w *walker) buffer(depth, size int) []byte {
	for len(w.buffers) <= depth {
		w.buffers = append(w.buffers, nil)
	}
	if cap(w.buffers[depth]) < size {
		w.buffers[depth] = make([]byte, size)
	}
	return w.buffers[depth][:size]
}

// freelist claims the pages that are free.
func (w *walker) freelist() error {
	p, err := w.read(w.head.freelist, 0)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	if p.flags != flagFreelist {
		return errors.New("free list: page is of another kind")
	}
	ids, count := p.body[headerSize:], uint64(p.count)
	if count == manyFreePages {
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids))/8 {
		return errors.New("free list: longer than its page")
	}
	for i := range count {
		if err := w.claim(binary.NativeEndian.Uint64(ids[i*8:]), 1); err != nil {
			return fmt.Errorf("free list: %w", err)
		}
	}
	w.free = count
	return nil
}

// tree visits the pages from id down. Keys must be at least low, less than high, and rise; nil is no bound.
func (w *walker) tree(id uint64, bucket string, depth int, low, high []byte) error {
	p, err := w.read(id, depth)
	if err != nil {
		return err
	}
	switch p.flags {
	case flagLeaf:
		err = w.leaf(p, bucket, depth, low, high)
	case flagBranch:
		err = w.branch(p, bucket, depth, low, high)
	default:
		err = errors.New("page is of another kind")
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (w *walker) branch(p page, bucket string, depth int, low, high []byte) error {
	if p.count == 0 {
		return errors.New("branch is empty")
	}
	for i := range p.count {
		key, child, err := p.branch(i)
		if err != nil {
			return err
		}
		if !inOrder(low, key, high, i > 0) {
			return fmt.Errorf("entry %d is out of order", i)
		}
		next := high
		if i+1 < p.count {
			if next, _, err = p.branch(i + 1); err != nil {
				return err
			}
		}
		if err := w.tree(child, bucket, depth+1, key, next); err != nil {
			return err
		}
		low = key
	}
	return nil
}

func (w *walker) leaf(p page, bucket string, depth int, low, high []byte) error {
	for i := range p.count {
		flags, key, value, err := p.leaf(i)
		if err != nil {
			return err
		}
		if !inOrder(low, key, high, i > 0) {
			return fmt.Errorf("entry %d is out of order", i)
		}
		low = key
		switch flags {
		case 0:
			w.visit(bucket, key, value)
		case flagBucket:
			if err := w.bucket(bucket, string(key), value, depth); err != nil {
				return err
			}
		default:
			return fmt.Errorf("entry %d is of an unknown kind", i)
		}
	}
	return nil
}

// bucket visits a bucket, which has pages of its own or, when small, one page inside its value.
func (w *walker) bucket(parent, name string, value []byte, depth int) error {
	if parent != "" {
		name = parent + "/" + name
	}
	if len(value) < bucketHeadSize {
		return fmt.Errorf("bucket %q has no header", name)
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return w.tree(root, name, depth+1, nil, nil)
	}
	if depth+1 >= maxDepth {
		return errors.New("tree is too deep")
	}
	p, err := parsePage(value[bucketHeadSize:])
	if err == nil && p.flags != flagLeaf {
		err = errors.New("page is of another kind")
	}
	if err == nil {
		err = w.leaf(p, name, depth+1, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("bucket %q: %w", name, err)
	}
	return nil
}

// inOrder reports low ≤ key < high, and low < key when strict.
func inOrder(low, key, high []byte, strict bool) bool {
	if low != nil {
		if c := bytes.Compare(low, key); c > 0 || strict && c == 0 {
			return false
		}
	}
	return high == nil || bytes.Compare(key, high) < 0
}
