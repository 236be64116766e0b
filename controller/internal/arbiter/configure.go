package arbiter

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/proto/logpb"
)

// What the controller decides by is in the log. A node's file gets there when it changes, and never because its
// node began to lead:
//
//	start,  digest as last proposed                   ─► nothing, whatever the log says: another node's file is newer
//	start,  another digest                            ─► proposed, by way of the leader
//	start,  never proposed, and the log has a config  ─► nothing, with a warning: a new node has no say unasked
//	reload, another digest than the log's             ─► proposed
//
// The digest that was last proposed lies in the node's data folder.

// digestFile is the name in the data folder, digestLimit the bound of what is read from it.
const (
	digestFile  = "configured"
	digestLimit = 256
)

// Times of bringing the file to the leader.
const (
	configureTime  = 10 * time.Second
	configureFirst = time.Second
	configureMost  = 30 * time.Second
	configureTries = 4 // until it is worth a word: an election goes on for a moment
)

// ownFile is this node's configuration file and what became of it.
type ownFile struct {
	mu       sync.Mutex
	path     string
	proposed []byte // digest; empty: this node never proposed one
	want     *logpb.Config
	asked    bool // a person reloaded it
	wake     chan struct{}
}

func (f *ownFile) open(dir string) error {
	f.path, f.wake = filepath.Join(dir, digestFile), make(chan struct{}, 1)
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read digest of the configuration that was last proposed: %w", err)
	}
	if f.proposed, err = hex.DecodeString(strings.TrimSpace(string(b[:min(len(b), digestLimit)]))); err != nil {
		return fmt.Errorf("read digest of the configuration that was last proposed from %s: %w", f.path, err)
	}
	return nil
}

// Configure takes this node's configuration, at start or after a reload by a person. It is brought into the log
// as soon as there is a leader, if it has changed. An error is about the configuration.
func (a *Arbiter) Configure(c *logpb.Config, reload bool) error {
	if err := proposable(c); err != nil {
		return err
	}
	f := &a.file
	f.mu.Lock()
	defer f.mu.Unlock()
	f.want, f.asked = proto.CloneOf(c), reload
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
}

// proposable reports what would spoil the log.
func proposable(c *logpb.Config) error {
	if n := len(c.GetDigest()); n == 0 || n > digestLimit/2 {
		return fmt.Errorf("the configuration has a digest of %d bytes", n)
	}
	for _, w := range c.GetWindows() {
		if _, err := schedule(w); err != nil {
			return err
		}
	}
	if _, err := seal(configureCommand(c, "")); err != nil {
		return fmt.Errorf("the configuration cannot be put into the log: %w", err)
	}
	return nil
}

func configureCommand(c *logpb.Config, node string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{Config: c, By: node}}}
}

// waiting is the configuration that has to be brought into the log, nil if none has. first: this node has no say
// against a configuration that holds.
func (f *ownFile) waiting() (c *logpb.Config, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.want == nil || !f.asked && bytes.Equal(f.want.GetDigest(), f.proposed) {
		return nil, false
	}
	return f.want, !f.asked && len(f.proposed) == 0
}

// settled notes that the configuration came into the log, or has no say.
func (f *ownFile) settled(c *logpb.Config) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.want == c {
		f.asked = false
	}
	if bytes.Equal(f.proposed, c.GetDigest()) {
		return nil
	}
	f.proposed = bytes.Clone(c.GetDigest())
	return durable.Write(f.path, []byte(hex.EncodeToString(f.proposed)+"\n"), 0o600)
}

// carry brings this node's file into the log whenever it has changed, until ctx ends.
func (a *Arbiter) carry(ctx context.Context) {
	wait, fails := configureFirst, 0
	for {
		_, changed := a.Leads()
		retry := (<-chan time.Time)(nil)
		c, first := a.file.waiting()
		if c != nil {
			err := a.carryOnce(ctx, c, first)
			if err == nil {
				wait, fails = configureFirst, 0
				continue
			}
			if fails++; fails == configureTries && ctx.Err() == nil {
				a.log.Warn("the configuration of this node is not in the log yet", "error", err)
			}
			retry = time.After(wait)
			wait = min(2*wait, configureMost)
		}
		select {
		case <-ctx.Done():
			return
		case <-retry:
		case <-changed:
			wait = configureFirst
		case <-a.file.wake:
			wait = configureFirst
		}
	}
}

// carryOnce tries once.
func (a *Arbiter) carryOnce(ctx context.Context, c *logpb.Config, first bool) error {
	ctx, cancel := context.WithTimeout(ctx, configureTime)
	defer cancel()
	kept, err := a.Adopt(ctx, c, a.o.ID, first)
	var other ErrNotLeader
	if errors.As(err, &other) && other.Address != "" && a.o.Forward != nil {
		kept, err = a.o.Forward(ctx, other.Address, c, first)
	}
	if err != nil {
		return err
	}
	if kept {
		a.log.Warn("the file of this node, which never proposed one, differs from the configuration that holds; "+
			"reload it to put it into force", "digest", hex.EncodeToString(c.GetDigest()))
	} else {
		a.log.Info("the configuration of this node holds", "digest", hex.EncodeToString(c.GetDigest()))
	}
	if err := a.file.settled(c); err != nil {
		return fmt.Errorf("note digest of the configuration: %w", err)
	}
	return nil
}

// Adopt proposes the configuration of a node, on the leader. It is kept out, and kept is true, if another one
// holds and first is true. Errors are those of Propose.
func (a *Arbiter) Adopt(ctx context.Context, c *logpb.Config, node string, first bool) (kept bool, err error) {
	if _, err := a.office(ctx); err != nil {
		return false, err
	}
	var holds []byte
	a.o.Replica.View(func(s *state.State) { holds = s.Config().GetDigest() })
	switch {
	case bytes.Equal(holds, c.GetDigest()):
		return false, nil
	case first && len(holds) > 0:
		return true, nil
	}
	proposal := configureCommand(c, node)
	proposal.From = access.Origin(ctx) // of another node; nil: this one
	r, _, err := a.Propose(ctx, proposal)
	if err == nil && r.GetRefusal() != nil {
		err = errors.New(r.GetRefusal().GetText())
	}
	return false, err
}
