package state

import (
	"bytes"
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// newGeneration begins a generation. But for the first of a cluster, what the log says may be older than
// what agents know: so everything is paused, and every known host has to say hello again before the pause
// can be lifted. Permits stay as they are and count; what agents say still runs is added by their hellos.
func (s *State) newGeneration(c *logpb.NewGeneration) *logpb.Result {
	if c.GetId() == "" {
		return refuse("generation", "a generation has a name")
	}
	if s.generation == "" && c.GetBootstrap() {
		s.generation = c.GetId()
		s.noteSelf("generation", "generation %s begins: %s", c.GetId(), c.GetReason())
		s.bind()
		return done()
	}
	if c.GetBootstrap() {
		return refuse("generation", "this cluster is in generation %s already", s.generation)
	}
	if c.GetId() == s.generation {
		return done() // proposed twice
	}
	s.renew(c.GetId(), c.GetReason())
	return done()
}

// renew turns the page: see newGeneration.
func (s *State) renew(id, reason string) {
	s.generation = id
	for _, h := range s.hosts {
		if !h.GetRemoved() {
			h.Awaited, h.Confirmed = true, 0 // indices of another generation say nothing here
			for _, hs := range h.GetServices() {
				if hs.GetWithdrawn() > 0 {
					hs.Withdrawn = s.index
				}
			}
			s.derived.refresh(s, h)
		}
	}
	for key, p := range s.pauses {
		if p.GetGeneration() {
			delete(s.pauses, key)
		}
	}
	p := &logpb.Pause{
		Id: s.nextID("pause"), Scope: scopeAll, By: "controller", From: s.at, Generation: true, Index: s.index,
		Reason: fmt.Sprintf("a new generation began (%s); resume when every host has said hello", reason),
	}
	s.pauses[p.GetId()] = p
	s.noteSelf("generation", "generation %s begins, everything is paused: %s", id, reason)
	s.bind()
}

// setFormat raises the level of the log. It is never lowered.
func (s *State) setFormat(c *logpb.SetFormat) *logpb.Result {
	if c.GetLevel() < s.format {
		return refuse("format", "the log is at format %d and never goes back", s.format)
	}
	s.format = c.GetLevel()
	return done()
}

// configure replaces what the controller decides by. A shrinking cap takes nothing back.
func (s *State) configure(c *logpb.Configure) *logpb.Result {
	if c.GetConfig() == nil {
		return refuse("config", "there is no configuration in it")
	}
	if bytes.Equal(s.config.GetDigest(), c.GetConfig().GetDigest()) && len(s.config.GetDigest()) > 0 {
		return done() // another node had the same file
	}
	s.config = c.GetConfig()
	s.derived.configure(s.config)
	s.note(c.GetBy(), "configure", "the configuration of %s holds now, digest %.8x", c.GetBy(), s.config.GetDigest())
	s.bind()
	return done()
}

// check compares this replica with the one that proposed the check.
func (s *State) check(c *logpb.Check) (*logpb.Result, error) {
	if c.GetIndex() != s.derived.checked.index {
		return done(), nil // this replica started from a snapshot after that entry
	}
	if !bytes.Equal(c.GetHash(), s.derived.checked.hash) {
		return nil, fmt.Errorf("at index %d this replica's state has the hash %x and the leader's %x: it differs",
			c.GetIndex(), s.derived.checked.hash, c.GetHash())
	}
	return done(), nil
}
