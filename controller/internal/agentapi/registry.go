package agentapi

import (
	"sync"

	"github.com/salveops/salve/proto/agentpb"
)

// registry knows the one session of each host that counts, and who reads from an agent.
type registry struct {
	mu      sync.Mutex
	hosts   map[string]*session
	readers sync.WaitGroup
	closed  bool
}

func (r *registry) open() { r.hosts = map[string]*session{} }

// close lets nobody in any more.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// read begins to read from an agent. False: this node stops, and nobody is waited for any more.
func (r *registry) read(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.readers.Go(f)
	return true
}

// of is the session of a host, nil if it has none here.
func (r *registry) of(host string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hosts[host]
}

// enter makes x the session of its host and ends the older one. False: a newer one is there already, or this
// node stops.
func (r *registry) enter(x *session) bool {
	r.mu.Lock()
	old := r.hosts[x.host]
	ok := !r.closed && (old == nil || old.epoch <= x.epoch)
	if ok {
		r.hosts[x.host] = x
	}
	r.mu.Unlock()
	if ok && old != nil {
		old.end(turnedAway("superseded", "a newer session of this host has begun"))
	}
	return ok
}

// leave takes x out, unless a newer one has its place.
func (r *registry) leave(x *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts[x.host] == x {
		delete(r.hosts, x.host)
	}
}

// all are the sessions of this moment.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*session, 0, len(r.hosts))
	for _, x := range r.hosts {
		out = append(out, x)
	}
	return out
}

func turnedAway(code, text string) *agentpb.ConnectResponse {
	return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_TurnedAway{
		TurnedAway: &agentpb.TurnedAway{Code: code, Text: text},
	}}
}
