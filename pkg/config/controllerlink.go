package config

import (
	"net"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
)

// linkController settles what the parts of controller.hcl say about each other.
func (l *loader) linkController() {
	f := l.file
	f.Notifiers, f.Escalations = l.people.notifiers, l.people.escalations
	f.Windows, f.Heartbeat = l.people.windows, l.people.heartbeat
	l.linkPeers()
	l.checkTold()
	var known []string
	for _, e := range f.Escalations {
		known = append(known, e.Name)
	}
	for _, w := range l.fleet.escalations {
		if !slices.Contains(known, w.text) {
			l.fail(w.at, "Unknown escalation", "There is no escalation %q.%s", w.text, meant(w.text, known))
		}
	}
	if !slices.Contains(known, defaults.EscalateTo) {
		at := hcl.Range{Filename: l.sources.names[0], Start: hcl.InitialPos, End: hcl.InitialPos}
		l.warn(at, "Nobody to tell", "There is no escalation %q: nobody would hear of incidents whose rule and service "+
			"name none.", defaults.EscalateTo)
	}
}

// linkPeers finds this node among the peers, and sees to it that they can form one cluster and only one.
func (l *loader) linkPeers() {
	r, listen := &l.file.Raft, &l.file.Listen
	if len(r.Peers) == 0 {
		r.Peers = []Peer{{ID: l.file.Node, Address: listen.Raft}}
	} else if !l.linkOwn() {
		return
	}
	n := len(r.Peers)
	if !l.fleet.expectSet {
		r.BootstrapExpect = n
	}
	if r.BootstrapExpect != 0 && r.BootstrapExpect != n {
		l.fail(l.fleet.expectAt, "Out of bounds", "bootstrap_expect is %d, and peers lists %d: it names all nodes "+
			"that form the cluster together (1 with no raft peers). 0 is for a node that is added to a cluster later.",
			r.BootstrapExpect, n)
	}
	if n%2 == 0 {
		l.warn(l.fleet.peers[0].at, "Even number of peers", "%d nodes bear the loss of no more nodes than %d do.", n, n-1)
	}
}

// linkOwn compares this node's entry among the peers with its listener.
func (l *loader) linkOwn() bool {
	listen := &l.file.Listen
	var ids []string
	for _, p := range l.fleet.peers {
		ids = append(ids, p.ID)
		if p.ID != l.file.Node {
			continue
		}
		if !l.fleet.raftSet {
			listen.Raft = p.Address
		}
		if port(p.Address) != port(listen.Raft) {
			l.warn(l.fleet.raftAt, "Another port", "This node listens on %s for its peers, which look for it at %s.",
				listen.Raft, p.Address)
		}
		return true
	}
	l.fail(l.fleet.peers[0].at, "Not a peer", "This node, %q, is not among the peers; each is written as HOST:PORT, where "+
		"HOST is its node name, or as NODE=HOST:PORT.%s", l.file.Node, meant(l.file.Node, ids))
	return false
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
