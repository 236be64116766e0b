package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// An image is a state as bytes: Raft's snapshots and the operators' backups. Equal states have equal images.
//
//	magic     8 bytes
//	version   4 bytes, big endian
//	length    8 bytes, big endian, of the payload
//	payload   logpb.Snapshot
//	sum       32 bytes, SHA-256 over all before
const (
	magic        = "SALVEIMG"
	imageVersion = 1
	header       = len(magic) + 4 + 8
	maxImage     = 1 << 30
)

// ErrImage means that the bytes are no image, or not a whole one.
var ErrImage = errors.New("not a usable snapshot")

// Image is the state as bytes.
func (f *FSM) Image() ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.stopped != nil {
		return nil, fmt.Errorf("write snapshot: %w", f.stopped) // its state may be wrong
	}
	return image(f.state.Snapshot())
}

func image(s *logpb.Snapshot) ([]byte, error) {
	o := proto.MarshalOptions{Deterministic: true}
	size := o.Size(s)
	b := make([]byte, 0, header+size+sha256.Size)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, imageVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b, err := o.MarshalAppend(b, s)
	if err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// Read takes an image from a stream. Errors wrap ErrImage, or state.ErrStop if a newer program wrote it.
func Read(r io.Reader) (*state.State, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxImage+1))
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return Decode(b)
}

// Decode is the state of an image. Errors: see Read.
func Decode(b []byte) (*state.State, error) {
	payload, err := open(b)
	if err != nil {
		return nil, err
	}
	snapshot := new(logpb.Snapshot)
	if err := proto.Unmarshal(payload, snapshot); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	s, err := state.Restore(snapshot)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return s, nil
}

// open checks everything around the payload.
func open(b []byte) ([]byte, error) {
	switch {
	case len(b) > maxImage:
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrImage, maxImage)
	case !bytes.HasPrefix(b, []byte(magic)):
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrImage, magic)
	case len(b) < header+sha256.Size:
		return nil, fmt.Errorf("%w: it ends after %d bytes", ErrImage, len(b))
	}
	if version := binary.BigEndian.Uint32(b[len(magic):]); version != imageVersion {
		return nil, fmt.Errorf("%w: snapshot version %d, this program knows %d: upgrade it", state.ErrStop, version, imageVersion)
	}
	end := len(b) - sha256.Size
	if length := binary.BigEndian.Uint64(b[len(magic)+4:]); length != uint64(end-header) {
		return nil, fmt.Errorf("%w: it should hold %d bytes and holds %d", ErrImage, length, end-header)
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrImage)
	}
	return b[header:end], nil
}

// Snapshot takes the image at once, so that Raft may go on applying while it is written.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	b, err := f.Image()
	if err != nil {
		return nil, err
	}
	return snapshot(b), nil
}

// snapshot is an image on its way to the disk.
type snapshot []byte

// Persist writes the image; Raft cancels the sink after an error.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return sink.Close()
}

// Release has nothing to release.
func (s snapshot) Release() {}

// Begin is an image of the state in a backup after one more entry, and that entry's index. Errors: see Read; and
// state.ErrStop if the entry begins no generation.
func Begin(backup io.Reader, entry *logpb.Entry) (b []byte, index uint64, err error) {
	s, err := Read(backup)
	if err != nil {
		return nil, 0, err
	}
	before := s.Generation()
	if _, err := s.Apply(s.Index()+1, entry); err != nil {
		return nil, 0, err
	}
	if s.Generation() == before {
		return nil, 0, fmt.Errorf("%w: the entry begins no new generation", state.ErrStop)
	}
	b, err = image(s.Snapshot())
	return b, s.Index(), err
}
