package arbiter

import (
	"sync"
	"time"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Times of silence.
const (
	lostAfter   = 10 * time.Second // without a round trip a host is lost
	silentAfter = 5 * time.Second  // with agents that ping every 2 s: something is wrong
	listenEvery = 500 * time.Millisecond
	maxEdges    = 1000 // in one command
	leastHosts  = 3    // fewer than that never mean that it is us
)

// hearing is when each host was last known to hear us and to be heard: the leader's memory, never in the log.
type hearing struct {
	mu    sync.Mutex
	hosts map[string]heard
}

// heard is a host's last round trip.
type heard struct {
	epoch uint64        // of the session that it belongs to
	at    time.Duration // CLOCK_BOOTTIME at which we sent what the host answered
}

// Heard notes a round trip: the host, in the session of that epoch, has answered what was sent at the
// CLOCK_BOOTTIME sent. What only arrived proves no round trip.
func (a *Arbiter) Heard(host string, epoch uint64, sent time.Duration) {
	a.hearing.note(host, epoch, sent)
}

// LastHeard is when, by CLOCK_BOOTTIME, a host's last round trip began; false: none since this node leads.
func (a *Arbiter) LastHeard(host string) (time.Duration, bool) {
	a.hearing.mu.Lock()
	defer a.hearing.mu.Unlock()
	h, ok := a.hearing.hosts[host]
	return h.at, ok
}

func (h *hearing) note(host string, epoch uint64, sent time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.hosts[host]; h.hosts != nil && (epoch > old.epoch || epoch == old.epoch && sent > old.at) {
		h.hosts[host] = heard{epoch, sent}
	}
}

// begin forgets everything: another leader heard it. With nil nothing is remembered.
func (h *hearing) begin(hosts map[string]heard) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hosts = hosts
}

// listener decides who is lost. Its facts are the hearing and the state; it has no clock.
//
//	heard within 10 s ─► not lost
//	silent for 10 s   ─► lost, unless
//	                       the leadership, or the recovery, is younger than that, or
//	                       more than half of the hosts fell silent at once: then it is us, and nobody is lost
type listener struct {
	since  time.Duration // CLOCK_BOOTTIME from when silence counts
	cutOff bool
}

// judge returns the edges that the facts call for.
func (l *listener) judge(now time.Duration, hosts []fact, h *hearing) []*logpb.Edge {
	h.mu.Lock()
	defer h.mu.Unlock()
	var edges, losses []*logpb.Edge
	alive, silent := 0, 0
	for _, f := range hosts {
		last, spoke := l.last(f, h)
		quiet := now - last
		if f.lost {
			if spoke && quiet < lostAfter {
				edges = append(edges, &logpb.Edge{Host: f.id})
			}
			continue
		}
		if quiet >= lostAfter {
			losses = append(losses, &logpb.Edge{Host: f.id, Lost: true})
		}
		if f.quarantined { // we cut it off ourselves: it says nothing about our own link
			continue
		}
		alive++
		if quiet >= silentAfter {
			silent++
		}
	}
	us := alive >= leastHosts && 2*silent > alive
	switch {
	case l.cutOff && !us: // those that are still silent get as much time as after an election
		l.cutOff, l.since = false, now
	case us && (l.cutOff || len(losses) > 0):
		l.cutOff = true
	default:
		edges = append(edges, losses...)
	}
	return edges
}

// last is when the host's last round trip began, or silence began to count, and whether there was one in the
// session that counts.
func (l *listener) last(f fact, h *hearing) (time.Duration, bool) {
	if e, ok := h.hosts[f.id]; ok && e.epoch == f.epoch {
		return max(e.at, l.since), e.at >= l.since
	}
	return l.since, false
}

// commands are the edges in pieces that fit into entries.
func commands(edges []*logpb.Edge) []*logpb.Command {
	var out []*logpb.Command
	for len(edges) > 0 {
		n := min(len(edges), maxEdges)
		out = append(out, &logpb.Command{What: &logpb.Command_Edges{Edges: &logpb.Edges{Edge: edges[:n]}}})
		edges = edges[n:]
	}
	return out
}

// fact is what judge has to know of a host.
type fact struct {
	id          string
	epoch       uint64
	lost        bool
	quarantined bool
}

// facts are the hosts that are not removed, in the place of old ones.
func facts(r Replica, old []fact) []fact {
	old = old[:0]
	r.View(func(s *state.State) {
		for _, h := range s.Hosts() {
			if !h.GetRemoved() {
				old = append(old, fact{h.GetId(), h.GetEpoch(), h.GetLost(), h.GetQuarantined() != ""})
			}
		}
	})
	return old
}
