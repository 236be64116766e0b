// Package baseline keeps what the detectors of anomaly() have learned in one file of the state folder, so that a restart
// does not cost a day of learning. It is no part of the journal: nothing is lost with it but that day.
//
// The file is a line with name and version, then for each series its key and its detector, in order of the keys, and a
// checksum. It is written whole.
package baseline

import (
	"bytes"
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
	"github.com/salveops/salve/pkg/series"
)

const (
	// FileName is the file's name in the state folder.
	FileName = "baseline"

	heading = "salve baseline 1\n"
	// most bounds the file to some 40 MiB: what is more is not written, and a larger file is not read.
	most    = 20_000 // series
	mostKey = 1 << 10
	// stale detectors, whose series has had no sample for so long, are not kept.
	stale = 30 * 24 * time.Hour
)

var order = binary.LittleEndian

// Write replaces the file at path. Which series have had no sample for a month is told by the samples of the others.
func Write(path string, learned map[series.Key]*anomaly.Detector) error {
	b, err := encode(learned)
	if err != nil {
		return err
	}
	return durable.Write(path, b, 0o600)
}

// Read is what Write wrote. The error is fs.ErrNotExist where there is no file; after any other one, all has to be
// learned anew.
func Read(path string) (map[series.Key]*anomaly.Detector, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	limit := len(heading) + most*(4+2*mostKey+anomaly.Size) + crc32.Size
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	learned, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return learned, nil
}

func encode(learned map[series.Key]*anomaly.Detector) ([]byte, error) {
	var newest time.Time
	for _, d := range learned {
		if d.Last().After(newest) {
			newest = d.Last()
		}
	}
	b := []byte(heading)
	n := 0
	for _, k := range slices.SortedFunc(maps.Keys(learned), series.Key.Compare) {
		d := learned[k]
		if newest.Sub(d.Last()) > stale || len(k.Signal) > mostKey || len(k.Of) > mostKey || n == most {
			continue
		}
		for _, text := range []string{k.Signal, k.Of} {
			b = append(order.AppendUint16(b, uint16(len(text))), text...)
		}
		var err error
		if b, err = d.AppendBinary(b); err != nil {
			return nil, err
		}
		n++
	}
	return order.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

var errDamaged = errors.New("the file is damaged")

func decode(b []byte) (map[series.Key]*anomaly.Detector, error) {
	if !bytes.HasPrefix(b, []byte(heading)) {
		return nil, errors.New("the file is not one of this version")
	}
	end := len(b) - crc32.Size
	if end < len(heading) || order.Uint32(b[end:]) != crc32.ChecksumIEEE(b[:end]) {
		return nil, errDamaged
	}
	learned := map[series.Key]*anomaly.Detector{}
	r := reader{b[len(heading):end]}
	for len(r.left) > 0 {
		k := series.Key{Signal: string(r.text()), Of: string(r.text())}
		d := new(anomaly.Detector)
		if err := d.UnmarshalBinary(r.take(anomaly.Size)); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		if len(learned) == most || learned[k] != nil {
			return nil, errDamaged
		}
		learned[k] = d
	}
	return learned, nil
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
