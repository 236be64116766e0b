// Package baseline keeps in one file of the state folder what the agent learns by watching for long: the detectors of
// anomaly(), and the counts of objectives. So a restart does not cost a day of learning, or weeks of counting. It is no
// part of the journal: nothing else is lost with it.
//
// The file is a line with name and version, then an entry for each series, in order of the keys, and a checksum. It is
// written whole.
package baseline

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/slo"
)

const (
	// FileName is the file's name in the state folder.
	FileName = "baseline"

	heading = "salve baseline 2\n"
	// These bound the file to some 45 MiB: what is more is not written, and a larger file is not read.
	mostLearned = 20_000 // series
	mostCounts  = 100    // objectives
	mostKey     = 1 << 10
	// stale detectors, whose series has had no sample for so long, are not kept.
	stale = 30 * 24 * time.Hour
)

// Kinds of entries.
const (
	learned = 1 + iota
	count
)

var order = binary.LittleEndian

// Contents are what is kept, by series; of an objective by the first signal that it gives.
type Contents struct {
	Learned map[series.Key]series.Learned
	Counts  map[series.Key]rule.Count
}

// Write replaces the file at path. A detector whose series has had no sample in the month before now is left out.
func Write(path string, now time.Time, c Contents) error {
	b, err := encode(now, c)
	if err != nil {
		return err
	}
	return durable.Write(path, b, 0o600)
}

// Read is what Write wrote. The error is fs.ErrNotExist where there is no file; after any other one, all has to be
// learned anew.
func Read(path string) (Contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return Contents{}, err
	}
	defer f.Close()
	const head = 1 + 2*(2+mostKey) + 8 + 8 // of an entry
	limit := len(heading) + mostLearned*(head+anomaly.Size) + mostCounts*(head+slo.Size) + crc32.Size
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return Contents{}, err
	}
	c, err := decode(b)
	if err != nil {
		return Contents{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func encode(now time.Time, c Contents) ([]byte, error) {
	b := []byte(heading)
	n := 0
	for _, k := range slices.SortedFunc(maps.Keys(c.Learned), series.Key.Compare) {
		l := c.Learned[k]
		last := l.Detector.Last()
		if now.Sub(last).Abs() > stale || tooLong(k) || n == mostLearned {
			continue
		}
		var err error
		if b, err = appendEntry(b, learned, k, l.Definition, last, l.Detector); err != nil {
			return nil, err
		}
		n++
	}
	n = 0
	for _, k := range slices.SortedFunc(maps.Keys(c.Counts), series.Key.Compare) {
		o := c.Counts[k]
		if tooLong(k) || n == mostCounts {
			continue
		}
		var err error
		if b, err = appendEntry(b, count, k, o.Definition, o.At, o.Tracker); err != nil {
			return nil, err
		}
		n++
	}
	return order.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

func tooLong(k series.Key) bool { return len(k.Signal) > mostKey || len(k.Of) > mostKey }

func appendEntry(
	b []byte, kind byte, k series.Key, definition uint64, at time.Time, state encoding.BinaryAppender,
) ([]byte, error) {
	b = append(b, kind)
	for _, text := range []string{k.Signal, k.Of} {
		b = append(order.AppendUint16(b, uint16(len(text))), text...)
	}
	b = order.AppendUint64(b, definition)
	b = order.AppendUint64(b, uint64(at.UnixNano()))
	return state.AppendBinary(b)
}

var errDamaged = errors.New("the file is damaged")

func decode(b []byte) (Contents, error) {
	if !bytes.HasPrefix(b, []byte(heading)) {
		return Contents{}, errors.New("the file is not one of this version")
	}
	end := len(b) - crc32.Size
	if end < len(heading) || order.Uint32(b[end:]) != crc32.ChecksumIEEE(b[:end]) {
		return Contents{}, errDamaged
	}
	c := Contents{Learned: map[series.Key]series.Learned{}, Counts: map[series.Key]rule.Count{}}
	r := reader{b[len(heading):end]}
	for len(r.left) > 0 {
		if err := c.take(&r); err != nil {
			return Contents{}, err
		}
	}
	return c, nil
}

// take reads one entry.
func (c *Contents) take(r *reader) error {
	kind := r.take(1)
	k := series.Key{Signal: string(r.text()), Of: string(r.text())}
	definition, at := r.number(), time.Unix(0, int64(r.number())).UTC()
	switch {
	case kind[0] == learned && len(c.Learned) < mostLearned && c.Learned[k].Detector == nil:
		d := new(anomaly.Detector)
		if err := d.UnmarshalBinary(r.take(anomaly.Size)); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		c.Learned[k] = series.Learned{Detector: d, Definition: definition}
	case kind[0] == count && len(c.Counts) < mostCounts && c.Counts[k].Tracker == nil:
		t := new(slo.Tracker)
		if err := t.UnmarshalBinary(r.take(slo.Size)); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		c.Counts[k] = rule.Count{Tracker: t, Definition: definition, At: at}
	default:
		return errDamaged
	}
	return nil
}

// reader takes bytes off its front; when there are too few it gives none, and the rest is lost.
type reader struct{ left []byte }

func (r *reader) take(n int) []byte {
	if n > len(r.left) {
		r.left = nil
		return nil
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) text() []byte {
	if b := r.take(2); b != nil {
		return r.take(int(order.Uint16(b)))
	}
	return nil
}

func (r *reader) number() uint64 {
	if b := r.take(8); b != nil {
		return order.Uint64(b)
	}
	return 0
}
