package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// contact is what this node knows of a peer from their connections.
type contact struct {
	seen    atomic.Int64 // when it was heard, nanoseconds since 1970 by the wall clock: for people only
	format  atomic.Uint32
	api     atomic.Pointer[string] // where agents and people reach the peer, nil: not known
	problem atomic.Pointer[string] // why it could not be reached, nil: it could
}

// last is when the peer was heard, zero if never.
func (c *contact) last() time.Time {
	if at := c.seen.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// maxContacts bounds them: an address may lead to ever new nodes.
const maxContacts = 256

// contacts are those of all peers ever heard.
type contacts struct {
	mu   sync.Mutex
	byID map[raft.ServerID]*contact
}

func newContacts() *contacts { return &contacts{byID: map[raft.ServerID]*contact{}} }

// of is the contact of a peer; beyond the bound it is one that nobody will look up.
func (c *contacts) of(id raft.ServerID) *contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.byID[id]
	if found == nil {
		found = new(contact)
		if len(c.byID) < maxContacts {
			c.byID[id] = found
		}
	}
	return found
}

// heard notes a greeting.
func (c *contacts) heard(g *greeting) {
	of := c.of(g.id())
	of.format.Store(g.Format)
	if g.API != "" {
		of.api.Store(&g.API)
	}
	of.seen.Store(time.Now().UnixNano())
}

// problem notes how reaching a peer went.
func (c *contacts) problem(id raft.ServerID, err error) {
	of := c.of(id)
	if err == nil {
		of.problem.Store(nil)
		return
	}
	text := err.Error()
	of.problem.Store(&text)
}
