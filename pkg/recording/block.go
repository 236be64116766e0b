// Package recording keeps what signals were, one value a second, so that rules can be tried on what really happened.
// A recording is a run of blocks; each holds some minutes of all signals, is compressed and carries a checksum, so that
// a damaged one costs no other. It is pure: files are the callers'.
package recording

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// Bounds of a block.
const (
	MaxTicks  = 300
	maxSeries = 100_000
	maxWords  = 1000
	maxText   = 4096
	maxBlock  = 64 << 20 // bytes
)

// IncidentOpen is the series that says, by service, whether an incident of it was open. The host is "".
const IncidentOpen = "incident.open"

// Block gathers the values of some minutes. The zero value is not ready: use NewBlock.
type Block struct {
	start   int64 // second since 1970 of the first tick
	at      []int64
	columns map[series.Key]*column
	words   []string
}

// NewBlock is an empty block.
func NewBlock() *Block { return &Block{columns: make(map[series.Key]*column)} }

// Tick begins a second. It is false, and nothing was begun, when the block is full or the second is not later than the
// one before.
func (b *Block) Tick(now time.Time) bool {
	at := now.Unix()
	if len(b.at) == 0 {
		b.start = at
	} else if len(b.at) == MaxTicks || at <= b.at[len(b.at)-1] {
		return false
	}
	b.at = append(b.at, at)
	return true
}

// Last is the newest second of the block, since 1970; 0 if it is empty.
func (b *Block) Last() int64 {
	if len(b.at) == 0 {
		return 0
	}
	return b.at[len(b.at)-1]
}

// Add takes the value of a series in this second, at most one of each; NaN is unknown.
func (b *Block) Add(k series.Key, v float64) {
	c := b.columns[k]
	if c == nil {
		if len(b.columns) == maxSeries {
			return
		}
		c = &column{skip: len(b.at) - 1}
		b.columns[k] = c
	}
	for c.skip+c.n < len(b.at)-1 { // it was gone for a while
		c.add(math.Float64bits(math.NaN()))
	}
	if c.skip+c.n < len(b.at) {
		c.add(math.Float64bits(v))
	}
}

// AddSeries takes what is known of a series now.
func (b *Block) AddSeries(s *series.Series, now time.Duration) {
	v, known := s.Value(now)
	switch {
	case !known:
		v = s.Gap(now)
	case s.Dim() == signal.Text:
		v = b.word(s.Format(v))
	}
	b.Add(s.Key(), v)
}

// word is the number of a word in this block.
func (b *Block) word(text string) float64 {
	i := slices.Index(b.words, text)
	if i < 0 && len(b.words) < maxWords {
		i, b.words = len(b.words), append(b.words, text)
	}
	if i < 0 {
		return math.NaN()
	}
	return float64(i)
}

// The frame of a block: magic, length of the payload, CRC-32C of the payload, payload.
const frame = 12

var (
	magic      = [4]byte{'S', 'L', 'R', '1'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Append appends the block, framed, to buf. An empty block is nothing.
func (b *Block) Append(buf []byte) []byte {
	if len(b.at) == 0 {
		return buf
	}
	begin := len(buf)
	buf = append(buf, magic[:]...)
	buf = append(buf, 0, 0, 0, 0, 0, 0, 0, 0)
	buf = binary.AppendVarint(buf, b.start)
	buf = binary.AppendUvarint(buf, uint64(len(b.at)))
	before := b.start
	for _, at := range b.at {
		buf = binary.AppendUvarint(buf, uint64(at-before))
		before = at
	}
	buf = binary.AppendUvarint(buf, uint64(len(b.words)))
	for _, w := range b.words {
		buf = appendText(buf, w)
	}
	buf = binary.AppendUvarint(buf, uint64(len(b.columns)))
	for _, k := range slices.SortedFunc(maps.Keys(b.columns), series.Key.Compare) {
		c := b.columns[k]
		buf = appendText(appendText(buf, k.Signal), k.Of)
		for _, n := range []int{c.skip, c.n, len(c.w.buf)} {
			buf = binary.AppendUvarint(buf, uint64(n))
		}
		buf = append(buf, c.w.buf...)
	}
	payload := buf[begin+frame:]
	binary.LittleEndian.PutUint32(buf[begin+4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(buf[begin+8:], crc32.Checksum(payload, castagnoli))
	return buf
}

// Suffix ends the name of a file of a recording.
const Suffix = ".slr"

// Next is the name of the next file of a recording that has these, as Files gives them. Files are numbered, so that
// their order is the one in which they were written, also when the clock was set back meanwhile.
func Next(files []string) string {
	var last uint64
	for _, name := range files {
		if n, err := strconv.ParseUint(strings.TrimSuffix(name, Suffix), 10, 40); err == nil {
			last = max(last, n)
		}
	}
	return fmt.Sprintf("%012d%s", last+1, Suffix)
}

// Files are the names of the files of a recording in its folder, in the order in which they were written.
func Files(folder fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(folder, ".") // by name
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), Suffix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func appendText(buf []byte, s string) []byte {
	s = s[:min(len(s), maxText)]
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}
