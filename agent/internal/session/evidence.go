package session

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of evidence that waits to be handed over. Beyond them the oldest is left out: it stays in this host's
// own journal.
const (
	mostPieces  = 64
	mostPiece   = 256 << 10
	chunkSize   = 64 << 10
	mostTitle   = 200
	uploadTime  = 30 * time.Second
	uploadTries = 5
	uploadPause = 5 * time.Second
)

// uploads is evidence that the controller does not have.
type uploads struct {
	mu     sync.Mutex
	pieces []*piece
	wake   chan struct{}
}

// piece is one piece of evidence.
type piece struct {
	digest      []byte
	title, text string
}

// Evidence makes the references by which the story names evidence, and hands the evidence over when it can. The
// references are the caller's.
func (s *Session) Evidence(list []incident.Evidence) []*logpb.EvidenceRef {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	var refs []*logpb.EvidenceRef
	for _, e := range list {
		text := e.Text[:min(len(e.Text), mostPiece)]
		title := strings.ToValidUTF8(e.Title[:min(len(e.Title), mostTitle)], "?")
		sum := sha256.Sum256([]byte(text))
		refs = append(refs, &logpb.EvidenceRef{
			Digest: slices.Clone(sum[:]), Title: title, Size: uint32(len(text)), Host: s.o.Host,
		})
		s.uploads.pieces = append(s.uploads.pieces, &piece{sum[:], title, text})
	}
	if over := len(s.uploads.pieces) - mostPieces; over > 0 {
		s.uploads.pieces = s.uploads.pieces[over:]
	}
	poke(s.uploads.wake)
	return refs
}

// first is the piece that waits longest.
func (u *uploads) first() *piece {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.pieces) == 0 {
		return nil
	}
	return u.pieces[0]
}

// done forgets a piece.
func (u *uploads) done(p *piece) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pieces = slices.DeleteFunc(u.pieces, func(q *piece) bool { return q == p })
}

// upload hands evidence over, piece by piece, for as long as the session lasts.
func (x *session) upload() {
	for tries := 0; ; {
		p := x.uploads.first()
		if p == nil {
			select {
			case <-x.c.ctx.Done():
				return
			case <-x.uploads.wake:
				continue
			}
		}
		err := x.keep(p)
		if err == nil || tries >= uploadTries {
			if err != nil {
				x.log.Warn("evidence stays on this host: the controller does not take it", "title", p.title, "error", err)
			}
			x.uploads.done(p)
			tries = 0
			continue
		}
		tries++
		pause := time.NewTimer(uploadPause)
		select {
		case <-x.c.ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

func (x *session) keep(p *piece) error {
	ctx, cancel := context.WithTimeout(x.c.ctx, uploadTime)
	defer cancel()
	return x.c.line.Keep(ctx, &agentpb.EvidenceRequest{Host: x.o.Host, Digest: p.digest, Title: p.title}, p.text)
}
