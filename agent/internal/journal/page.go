package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The on-disk layout of bbolt, which is stable. The journal is read through it, with ordinary reads,
// before bbolt may map the file: in a mapped file a missing page is a SIGBUS and a damaged one a panic,
// partly in goroutines of bbolt's own (Tx.Check), where no recover can reach it.
const (
	pageSize    = 4096 // the journal is always made with it, whatever the machine's own is
	headerSize  = 16   // id uint64, flags uint16, count uint16, overflow uint32
	elementSize = 16
	metaSize    = 64

	magic          = 0xED0CDAED
	layoutVersion  = 2
	flagBranch     = 0x01
	flagLeaf       = 0x02
	flagFreelist   = 0x10
	flagBucket     = 0x01 // of a leaf element
	manyFreePages  = 0xFFFF
	maxDepth       = 24
	bucketHeadSize = 16 // root page uint64, sequence uint64
)

// header is the content of one of the two meta pages that counts.
type header struct{ root, freelist, pages, txid uint64 }

// parseHeader reads a meta page.
func parseHeader(page []byte) (header, error) {
	b := page[headerSize : headerSize+metaSize]
	ne := binary.NativeEndian
	sum := fnv.New64a()
	sum.Write(b[:56])
	switch {
	case ne.Uint32(b) != magic:
		return header{}, errors.New("wrong magic number")
	case ne.Uint64(b[56:]) != sum.Sum64():
		return header{}, errors.New("wrong checksum")
	case ne.Uint32(b[4:]) > layoutVersion:
		return header{}, fmt.Errorf("%w: bbolt layout %d", ErrNewer, ne.Uint32(b[4:]))
	case ne.Uint32(b[4:]) != layoutVersion || ne.Uint32(b[8:]) != pageSize:
		return header{}, errors.New("wrong version or page size")
	}
	return header{
		root:     ne.Uint64(b[16:]),
		freelist: ne.Uint64(b[32:]),
		pages:    ne.Uint64(b[40:]),
		txid:     ne.Uint64(b[48:]),
	}, nil
}

// readHeader picks the header that bbolt will pick: the valid one with the higher transaction number.
// older says that the other one is damaged, so that the last commit may be missing.
func readHeader(f io.ReaderAt, size int64) (h header, older bool, err error) {
	var both [2 * pageSize]byte
	if size < int64(len(both)) {
		return h, false, fmt.Errorf("file of %d bytes has no two header pages", size)
	}
	if _, err := f.ReadAt(both[:], 0); err != nil {
		return h, false, err
	}
	a, errA := parseHeader(both[:pageSize])
	b, errB := parseHeader(both[pageSize:])
	switch {
	case errors.Is(errA, ErrNewer):
		return h, false, errA
	case errors.Is(errB, ErrNewer):
		return h, false, errB
	case errA != nil && errB != nil:
		return h, false, fmt.Errorf("both header pages are damaged: %w", errA)
	case errA != nil || errB == nil && b.txid > a.txid:
		h, older = b, errA != nil
	default:
		h, older = a, errB != nil
	}
	if h.pages < 4 || h.pages > uint64(size)/pageSize {
		return h, older, fmt.Errorf("file of %d bytes lacks some of its %d pages", size, h.pages)
	}
	return h, older, nil
}

// page is one page with its overflow, or the page inside an inline bucket.
type page struct {
	flags, count int
	body         []byte // header included: offsets of elements count from their own place
}

// leaf returns entry i of a leaf page.
func (p page) leaf(i int) (flags uint32, key, value []byte, err error) {
	off := headerSize + i*elementSize
	e := p.body[off:]
	ne := binary.NativeEndian
	pos, ksize, vsize := uint64(ne.Uint32(e[4:])), uint64(ne.Uint32(e[8:])), uint64(ne.Uint32(e[12:]))
	from := uint64(off) + pos
	if ksize == 0 || from+ksize+vsize > uint64(len(p.body)) {
		return 0, nil, nil, fmt.Errorf("entry %d reaches outside its page", i)
	}
	return ne.Uint32(e), p.body[from : from+ksize], p.body[from+ksize : from+ksize+vsize], nil
}

// branch returns entry i of a branch page.
func (p page) branch(i int) (key []byte, child uint64, err error) {
	off := headerSize + i*elementSize
	e := p.body[off:]
	ne := binary.NativeEndian
	from, ksize := uint64(off)+uint64(ne.Uint32(e)), uint64(ne.Uint32(e[4:]))
	if ksize == 0 || from+ksize > uint64(len(p.body)) {
		return nil, 0, fmt.Errorf("entry %d reaches outside its page", i)
	}
	return p.body[from : from+ksize], ne.Uint64(e[8:]), nil
}

// parsePage cuts a page out of its bytes and checks that its entries fit.
func parsePage(body []byte) (page, error) {
	if len(body) < headerSize {
		return page{}, errors.New("page is too short")
	}
	ne := binary.NativeEndian
	p := page{flags: int(ne.Uint16(body[8:])), count: int(ne.Uint16(body[10:])), body: body}
	tree := p.flags == flagBranch || p.flags == flagLeaf
	if tree && headerSize+p.count*elementSize > len(body) {
		return page{}, errors.New("page is too short for its entries")
	}
	return p, nil
}
