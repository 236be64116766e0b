package recording

import "math/bits"

// bitWriter appends bits to bytes.
type bitWriter struct {
	buf  []byte
	free uint // bits that are free in the last byte
}

// put appends the n low bits of v, the highest first.
func (w *bitWriter) put(v uint64, n uint) {
	for n > 0 {
		if w.free == 0 {
			w.buf, w.free = append(w.buf, 0), 8
		}
		k := min(n, w.free)
		w.buf[len(w.buf)-1] |= byte(v>>(n-k)&(1<<k-1)) << (w.free - k)
		w.free -= k
		n -= k
	}
}

// bitReader takes them back. Beyond the end it gives zeros, and says so.
type bitReader struct {
	buf []byte
	at  uint
	bad bool
}

func (r *bitReader) take(n uint) uint64 {
	if r.at+n > uint(len(r.buf))*8 {
		r.bad = true
		return 0
	}
	var v uint64
	for n > 0 {
		left := 8 - r.at%8
		k := min(n, left)
		v = v<<k | uint64(r.buf[r.at/8]>>(left-k))&(1<<k-1)
		r.at += k
		n -= k
	}
	return v
}

// column is the values of one series in one block, each as what differs from the one before (after Pelkonen and others,
// "Gorilla", 2015):
//
//	0                                    the same value
//	10 BITS                              it differs within the bits that differed the last time
//	11 zeros(5) length-1(6) BITS         it differs in other ones
type column struct {
	w         bitWriter
	skip, n   int // ticks of the block before the first value; values
	last      uint64
	lead, len uint // of the bits that differed; len 0: none did yet
}

func (c *column) add(v uint64) {
	x := v ^ c.last
	c.last = v
	if c.n++; x == 0 {
		c.w.put(0, 1)
		return
	}
	lead := min(uint(bits.LeadingZeros64(x)), 31)
	n := 64 - lead - uint(bits.TrailingZeros64(x))
	if tail := 64 - c.lead - c.len; c.len > 0 && lead >= c.lead && x>>tail<<tail == x {
		c.w.put(0b10, 2)
		c.w.put(x>>tail, c.len)
		return
	}
	c.lead, c.len = lead, n
	c.w.put(0b11, 2)
	c.w.put(uint64(lead), 5)
	c.w.put(uint64(n-1), 6)
	c.w.put(x>>(64-lead-n), n)
}

// values reads n values; false when the bits are not those of a column.
func values(buf []byte, n int) ([]uint64, bool) {
	r := bitReader{buf: buf}
	if n > len(buf)*8 {
		return nil, false // each takes a bit at least
	}
	out := make([]uint64, n)
	var last uint64
	var lead, size uint
	for i := range out {
		if r.take(1) == 1 {
			if r.take(1) == 1 {
				lead, size = uint(r.take(5)), uint(r.take(6))+1
			}
			if size == 0 || lead+size > 64 {
				return nil, false
			}
			last ^= r.take(size) << (64 - lead - size)
		}
		out[i] = last
	}
	return out, !r.bad
}
