package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"strconv"
	"strings"
)

// Buckets of the file. Spaces of other packages are buckets too, named spacePrefix + name.
const (
	bucketMeta     = "meta"
	bucketIncident = "incident" // ID → incident without timeline and evidence
	bucketTimeline = "timeline" // ID, 0, number → event
	bucketEvidence = "evidence" // ID, 0, number → evidence
	bucketAttempt  = "attempt"  // ID → attempt
	bucketPause    = "pause"    // ID → pause
	spacePrefix    = "space."
)

// Keys of the meta bucket.
const (
	keyFormat = "format"
	keySum    = "sum"
	keyHost   = "host"
	keyStream = "stream"
	keyEvents = "events"               // event numbers below this one may have been used
	keyBudget = "budget_unknown_since" // stamp of the loss of an earlier journal
	keyProbe  = "probe"                // written to learn whether an unwritable journal can be written again
)

// format is the version of what this package writes.
const format = 1

// sealSize is the length of the checksum before each value. bbolt has checksums for its two header
// pages only, so a flipped bit in a record would otherwise go unseen.
const sealSize = 8

// maxKey is the longest key of a record, well below bbolt's own limit.
const maxKey = 1024

var errSeal = errors.New("record does not match its checksum")

// checksum covers the place of a record as well as its content, so that a record found under a wrong key
// is as bad as a changed one.
func checksum(bucket, key string, payload []byte) uint64 {
	table := crc64.MakeTable(crc64.ECMA)
	sum := crc64.Update(0, table, []byte(bucket+"\x00"+strconv.Itoa(len(key))+"\x00"+key))
	return crc64.Update(sum, table, payload)
}

// seal puts the checksum before the payload.
func seal(bucket, key string, payload []byte) []byte {
	out := make([]byte, sealSize, sealSize+len(payload))
	binary.LittleEndian.PutUint64(out, checksum(bucket, key, payload))
	return append(out, payload...)
}

// unseal checks a value and returns its payload, which is part of value.
func unseal(bucket, key string, value []byte) ([]byte, error) {
	if len(value) < sealSize {
		return nil, errSeal
	}
	payload := value[sealSize:]
	if binary.LittleEndian.Uint64(value) != checksum(bucket, key, payload) {
		return nil, errSeal
	}
	return payload, nil
}

// decode checks a value and decodes it into v, which must be a pointer.
func decode(bucket, key string, value []byte, v any) error {
	payload, err := unseal(bucket, key, value)
	if err == nil {
		err = json.Unmarshal(payload, v)
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", bucket, key, err)
	}
	return nil
}

// total is the number of records and the exclusive or of their checksums. It changes with every
// transaction and lies beside them: it tells when a record has vanished, which no checksum of a
// record can.
type total struct{ count, sum uint64 }

func (t *total) add(value []byte) {
	t.count++
	t.sum ^= binary.LittleEndian.Uint64(value)
}

func (t *total) remove(value []byte) {
	t.count--
	t.sum ^= binary.LittleEndian.Uint64(value)
}

func (t total) encode() []byte {
	payload := binary.LittleEndian.AppendUint64(nil, t.count)
	return seal(bucketMeta, keySum, binary.LittleEndian.AppendUint64(payload, t.sum))
}

func decodeTotal(value []byte) (total, error) {
	payload, err := unseal(bucketMeta, keySum, value)
	if err != nil || len(payload) != 16 {
		return total{}, errors.Join(errSeal, err)
	}
	return total{binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:])}, nil
}

// encodeFormat is the one value whose form may never change: every version of Salve must be able to read
// which version wrote the file. It carries its own checksum, so that a flipped bit is not taken for a
// newer version.
func encodeFormat(version int) []byte {
	text := "salve journal format " + strconv.Itoa(version)
	return fmt.Appendf(nil, "%s %016x", text, checksum(bucketMeta, keyFormat, []byte(text)))
}

func decodeFormat(value []byte) (int, error) {
	text := string(value)
	cut := strings.LastIndexByte(text, ' ')
	if cut < 0 {
		return 0, errSeal
	}
	version, err := strconv.Atoi(strings.TrimPrefix(text[:cut], "salve journal format "))
	if err != nil || string(encodeFormat(version)) != text {
		return 0, errSeal
	}
	return version, nil
}
