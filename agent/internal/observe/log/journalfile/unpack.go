package journalfile

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Flags of a data object: how it is compressed. journald takes ZSTD, before version 246 LZ4, for texts of more than
// 512 bytes.
const (
	flagLZ4  = 1 << 1
	flagZSTD = 1 << 2
)

const (
	// mostPacked bounds what is read of a compressed text, whose beginning is all that is wanted.
	mostPacked = 16 << 10
	// mostWindow bounds the memory that unpacking takes. A text of more than that has no beginning that can be had.
	mostWindow = 1 << 20
)

// Room is where texts are read and unpacked. One is enough for all files of a goroutine.
type Room struct {
	plain  []byte // "MESSAGE=" and the text
	packed [mostPacked]byte
	zstd   *zstd.Decoder // nil before the first such text
}

// NewRoom is room for the first bytes of a text.
func NewRoom(longest int) *Room { return &Room{plain: make([]byte, len(messageIs)+longest)} }

// unpack unpacks as much as there is room for, and returns how much that is. Where the packed bytes are cut off, or
// wrong, it is less.
func (r *Room) unpack(flags byte, packed []byte) int {
	switch {
	case flags == flagZSTD:
		return r.zstandard(packed)
	case flags == flagLZ4 && len(packed) > 8: // the size of the whole comes first
		size := binary.LittleEndian.Uint64(packed)
		return lz4(r.plain[:min(uint64(len(r.plain)), size)], packed[8:])
	}
	return 0
}

func (r *Room) zstandard(packed []byte) int {
	if r.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			return 0
		}
		r.zstd = d
	}
	if err := r.zstd.Reset(bytes.NewReader(packed)); err != nil {
		return 0
	}
	n, _ := io.ReadFull(r.zstd, r.plain)
	return n
}

// lz4 unpacks one block as far as it fits plain, or as far as the packed bytes go. A library would want room for the
// whole text.
func lz4(plain, packed []byte) (n int) {
	for len(packed) > 0 && n < len(plain) {
		token := packed[0]
		literals, rest, ok := lz4Length(int(token>>4), packed[1:])
		m := copy(plain[n:], rest[:min(literals, len(rest))])
		if n += m; !ok || m < literals || len(rest) < literals+2 {
			return n
		}
		back := int(binary.LittleEndian.Uint16(rest[literals:]))
		length, rest, ok := lz4Length(int(token&15), rest[literals+2:])
		if !ok || back == 0 || back > n {
			return n
		}
		for range min(length+4, len(plain)-n) {
			plain[n] = plain[n-back]
			n++
		}
		packed = rest
	}
	return n
}

// lz4Length reads what follows a length of 15.
func lz4Length(n int, b []byte) (length int, rest []byte, ok bool) {
	if n < 15 {
		return n, b, true
	}
	for i, c := range b {
		if n += int(c); c != 255 {
			return n, b[i+1:], true
		}
	}
	return n, nil, false
}
