package agentapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/proto/agentpb"
)

func digestOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

func content(t *testing.T, s *Store, digest []byte) (title, body string) {
	t.Helper()
	title, r, err := s.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return title, string(b)
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("-- journal --\nout of memory\n")
	if err := s.Put(digestOf(body), "journal of checkout", body, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(digestOf([]byte("other")), "", body, time.Now()); !errors.Is(err, errDigest) {
		t.Errorf("another digest: %v", err)
	}
	large := make([]byte, maxPiece+1)
	if err := s.Put(digestOf(large), "", large, time.Now()); err == nil {
		t.Error("a large piece is kept")
	}
	left := filepath.Join(dir, evidenceDir, "half"+durable.NewSuffix)
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenStore(dir); err != nil { // another life
		t.Fatal(err)
	}
	if title, got := content(t, s, digestOf(body)); title != "journal of checkout" || got != string(body) {
		t.Errorf("kept %q, %q", title, got)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was half made is still there: %v", err)
	}
	for _, digest := range [][]byte{nil, digestOf([]byte("no")), []byte("../../etc/passwd"), make([]byte, 100)} {
		if _, _, err := s.Open(digest); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("digest %x: %v", digest, err)
		}
	}
}

// The folder is bounded; the oldest goes first, and what is asked for again is kept longer, across lives, too.
func TestStoreIsBounded(t *testing.T) {
	dir := t.TempDir()
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	piece := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1000) }
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.most = 10_000
	put := func(i, at int) {
		t.Helper()
		if err := s.Put(digestOf(piece(i)), fmt.Sprint(i), piece(i), begun.Add(time.Duration(at)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		put(i, i)
	}
	put(0, 10) // again: it is the youngest now
	if s, err = OpenStore(dir); err != nil {
		t.Fatal(err)
	}
	s.most = 10_000
	put(10, 11)
	for i := range 11 {
		_, r, err := s.Open(digestOf(piece(i)))
		if gone := errors.Is(err, fs.ErrNotExist); gone != (i == 1 || i == 2) {
			t.Errorf("piece %d is gone: %v", i, gone)
		}
		if err == nil {
			r.Close()
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, evidenceDir))
	if err != nil || len(files) != 2*9 || s.size != 9000 {
		t.Errorf("%d files, %d bytes, %v", len(files), s.size, err)
	}
}

// hand hands over a piece in chunks.
func (r *rig) hand(host string, digest []byte, title string, chunks ...[]byte) error {
	st, err := agentpb.NewLineClient(r.client).Evidence(context.Background())
	if err != nil {
		return err
	}
	for i, c := range chunks {
		m := &agentpb.EvidenceRequest{Chunk: c}
		if i == 0 {
			m.Host, m.Digest, m.Title = host, digest, title
		}
		if st.Send(m) != nil {
			break // the answer says why
		}
	}
	_, err = st.CloseAndRecv()
	return err
}

func TestEvidence(t *testing.T) {
	r := onLoopback(t).lead()
	r.joined("h1")
	body := bytes.Repeat([]byte("evidence"), maxPiece/8)
	var chunks [][]byte
	for i := 0; i < len(body); i += maxChunk {
		chunks = append(chunks, body[i:i+maxChunk])
	}
	if err := r.hand("h1", digestOf(body), "top", chunks...); err != nil {
		t.Fatal(err)
	}
	if title, got := content(t, r.server.Store(), digestOf(body)); title != "top" || got != string(body) {
		t.Errorf("kept %q and %d bytes", title, len(got))
	}
	if err := r.hand("h1", digestOf(nil), "empty", nil); err != nil {
		t.Errorf("an empty piece: %v", err)
	}
	small := []byte("small")
	for name, test := range map[string]struct {
		err  error
		want codes.Code
	}{
		"no session":    {r.hand("h2", digestOf(small), "", small), codes.FailedPrecondition},
		"wrong digest":  {r.hand("h1", digestOf(body), "", small), codes.DataLoss},
		"no digest":     {r.hand("h1", nil, "", small), codes.InvalidArgument},
		"long title":    {r.hand("h1", digestOf(small), long(maxTitle+1), small), codes.InvalidArgument},
		"large chunk":   {r.hand("h1", digestOf(small), "", make([]byte, maxChunk+1)), codes.InvalidArgument},
		"one too large": {r.hand("h1", digestOf(small), "", append(chunks, small)...), codes.InvalidArgument},
	} {
		if !hasCode(test.err, test.want) {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
	}
	if _, _, err := r.server.Store().Open(digestOf(small)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a piece that was refused is kept: %v", err)
	}
}
