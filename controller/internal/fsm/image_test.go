package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// TestImage: what was written comes back, byte for byte, also on another replica.
func TestImage(t *testing.T) {
	b := filled()
	image := imageOf(t, b)
	if !bytes.Equal(image, imageOf(t, filled())) {
		t.Error("two replicas with one log have two images")
	}
	other := newBridge()
	other.Apply(entry(1, bootstrap()))
	changed := other.Changed()
	if err := other.Restore(io.NopCloser(bytes.NewReader(image))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(image, imageOf(t, other)) {
		t.Error("the restored state has another image")
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told of the restored state")
	}
	if err := other.Wait(t.Context(), 6); err != nil {
		t.Error(err)
	}
}

// TestSpoiltImage: any changed byte, any missing tail and anything after the end is refused, and the state stays.
func TestSpoiltImage(t *testing.T) {
	image := imageOf(t, filled())
	b := newBridge()
	b.Apply(entry(1, bootstrap()))
	before := imageOf(t, b)
	refuse := func(what string, at int, spoilt []byte) {
		t.Helper()
		err := b.Restore(io.NopCloser(bytes.NewReader(spoilt)))
		if !errors.Is(err, ErrImage) && !errors.Is(err, state.ErrStop) {
			t.Errorf("%s at %d: %v", what, at, err)
		}
	}
	for i := range image {
		spoilt := bytes.Clone(image)
		spoilt[i] ^= 1
		refuse("a changed byte", i, spoilt)
		refuse("an end", i, image[:i])
	}
	refuse("a byte too many", len(image), append(bytes.Clone(image), 0))
	if !bytes.Equal(before, imageOf(t, b)) {
		t.Error("a refused snapshot changed the state")
	}
}

// TestImageSaysWhatIsWrong: in words that help.
func TestImageSaysWhatIsWrong(t *testing.T) {
	whole := imageOf(t, filled())
	versioned := bytes.Clone(whole)
	binary.BigEndian.PutUint32(versioned[len(magic):], imageVersion+1)
	newer, err := image(&logpb.Snapshot{Format: state.Format + 1})
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[header] ^= 0x40
	for want, b := range map[string][]byte{
		`does not begin with "SALVEIMG"`:                       []byte("PK\x03\x04 a zip"),
		"ends after 9 bytes":                                   whole[:9],
		"snapshot version 2, this program knows 1: upgrade it": versioned,
		"checksum is wrong":                                    flipped,
		"should hold":                                          whole[:len(whole)-1],
		"the snapshot needs format":                            newer,
	} {
		if _, err := Decode(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// TestPersist: Raft's sink gets the image as it was, whatever was applied since.
func TestPersist(t *testing.T) {
	b := filled()
	want := imageOf(t, b)
	snap, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(entry(20, pause("later")))
	store := raft.NewInmemSnapshotStore()
	_, trans := raft.NewInmemTransport("")
	defer func() { _ = trans.Close() }()
	sink, err := store.Create(1, 6, 1, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if err := snap.Persist(sink); err != nil {
		t.Fatal(err)
	}
	snap.Release()
	_, source, err := store.Open(sink.ID())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(source); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
	if err := snap.Persist(fullSink{sink}); err == nil {
		t.Error("a full disk went unnoticed")
	}
}

type fullSink struct{ raft.SnapshotSink }

func (fullSink) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// FuzzDecode: no bytes make it panic, and what it takes it can write again.
func FuzzDecode(f *testing.F) {
	whole := imageOf(f, filled())
	f.Add(whole)
	f.Add(whole[header : len(whole)-sha256.Size])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Decode(b)
		framed := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte(magic), imageVersion), uint64(len(b)))
		framed = append(framed, b...) // else the checksum would keep all but the first from the inside
		sum := sha256.Sum256(framed)
		s, err := Decode(append(framed, sum[:]...))
		if err != nil {
			return
		}
		if _, err := image(s.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzApply: no entry makes it panic; it is applied, or this replica stops.
func FuzzApply(f *testing.F) {
	f.Add(entry(2, pause("a"), pause("b")).Data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		x := newBridge()
		x.Apply(entry(1, bootstrap()))
		answer := x.Apply(&raft.Log{Index: 2, Type: raft.LogCommand, Data: b})
		err, stopped := answer.(error)
		if stopped != (len(x.fatal) == 1) || stopped && !errors.Is(err, state.ErrStop) {
			t.Fatalf("answer %v, last words %v", answer, x.fatal)
		}
	})
}
