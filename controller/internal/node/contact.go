package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// contact is what this node knows of a peer from their connections.
type contact struct {
	since   time.Time    // when this was made
	seen    atomic.Int64 // when it was heard, in nanoseconds after since, which no wall clock moves; 0: never
	format  atomic.Uint32
	api     atomic.Pointer[string] // where agents and people reach the peer, nil: not known
	problem atomic.Pointer[string] // why it could not be reached, nil: it could
}

// last is when the peer was heard, zero if never.
func (c *contact) last() time.Time {
	if at := c.seen.Load(); at != 0 {
		return c.since.Add(time.Duration(at))
	}
	return time.Time{}
}

// hear notes that the peer was heard now.
func (c *contact) hear() { c.seen.Store(max(1, int64(time.Since(c.since)))) }

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
		found = &contact{since: time.Now()}
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
	of.hear()
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
