package config

import (
	"fmt"
	"net"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// peerDraft is a peer and where it stands.
type peerDraft struct {
	Peer
	at hcl.Range
}

// fleetDraft is what of controller.hcl is judged once all of it was read.
type fleetDraft struct {
	peers       []peerDraft
	raftSet     bool // listen.raft
	raftAt      hcl.Range
	expectSet   bool
	expectAt    hcl.Range
	escalations []word // that services name
}

func (l *loader) decodeListen(b *block) {
	l.file.Listen = Listen{
		GRPC: b.checked("grpc", l.checkLine),
		Raft: b.checked("raft", l.checkLine),
		HTTP: b.checked("http", func(s string) string {
			if s == "" {
				return ""
			}
			return l.checkLine(s)
		}),
	}
	l.fleet.raftSet, l.fleet.raftAt = b.has("raft"), b.at("raft")
	switch listen := l.file.Listen; {
	case listen.Raft == listen.GRPC:
		b.fail("raft", "Duplicate address", "%s is the address of grpc, too.", listen.Raft)
	case listen.HTTP == listen.GRPC:
		b.fail("http", "Duplicate address", "%s is the address of grpc, too.", listen.HTTP)
	case listen.HTTP == listen.Raft:
		b.fail("http", "Duplicate address", "%s is the address of raft, too.", listen.HTTP)
	}
}

func (l *loader) decodeRaft(b *block) {
	r := &l.file.Raft
	r.Profile, r.BootstrapExpect = b.text("profile"), b.integer("bootstrap_expect")
	l.fleet.expectSet, l.fleet.expectAt = b.has("bootstrap_expect"), b.at("bootstrap_expect")
	list := b.texts("peers")
	if b.has("peers") && len(list) == 0 {
		b.fail("peers", "No peers", "An empty list is no cluster; leave peers out for a single node.")
	}
	if len(list) > maxPeers {
		b.fail("peers", "Too many peers", "A cluster has at most %d nodes; three or five are right.", maxPeers)
	}
	for _, w := range list {
		p, wrong := l.parsePeer(w.text)
		if wrong != "" {
			l.fail(w.at, "Wrong value", "peers: %s.", wrong)
			continue
		}
		l.addPeer(peerDraft{p, w.at})
	}
}

// addPeer notes a peer, unless it is there already.
func (l *loader) addPeer(p peerDraft) {
	for _, other := range l.fleet.peers {
		switch {
		case other.ID == p.ID:
			l.fail(p.at, "Duplicate peer", "%q is a peer already; where nodes share a host name or address, write "+
				"NODE=HOST:PORT.", p.ID)
			return
		case other.Address == p.Address:
			l.fail(p.at, "Duplicate peer", "%s is the address of the peer %q already.", p.Address, other.ID)
			return
		}
	}
	l.fleet.peers = append(l.fleet.peers, p)
	l.file.Raft.Peers = append(l.file.Raft.Peers, p.Peer)
}

// parsePeer reads "NODE=HOST:PORT", or "HOST:PORT" for a node that is called as its host.
func (l *loader) parsePeer(s string) (p Peer, wrong string) {
	id, address, named := strings.Cut(s, "=")
	if !named {
		address = s
	}
	if wrong = l.checkLine(address); wrong != "" {
		return p, wrong
	}
	if !named {
		id, _, _ = net.SplitHostPort(address)
	}
	if wrong = checkNode(id); wrong != "" {
		return p, fmt.Sprintf("%q: %s", s, wrong)
	}
	return Peer{ID: id, Address: address}, ""
}

// checkNode is for the name of a node, which is its ID for Raft.
func checkNode(s string) string {
	if strings.Contains(s, "=") {
		return "the name of a node holds no ="
	}
	return checkHost(s)
}

func (l *loader) decodeBreaker(b *block) {
	l.file.Breaker = BreakerLimits{Share: b.share("share"), Window: b.duration("window")}
	if b.has("share") && l.file.Breaker.Share == 0 {
		b.fail("share", "Out of bounds", "share must be above 0; a breaker opens at 3 hosts or more in any case.")
	}
}

func (l *loader) decodeFleetService(b *block) {
	s := &FleetService{
		Name: b.name("service", checkName), MaxUnavailable: b.limit("max_unavailable"),
		Autonomy: Autonomy(b.text("autonomy")), Owners: b.text("owners"), Escalation: b.text("escalation"), Range: b.header,
	}
	s.PermitAlways, s.Alone, s.UnsafeAlone = b.permit()
	if b.has("escalation") {
		l.fleet.escalations = append(l.fleet.escalations, word{s.Escalation, b.at("escalation")})
	}
	l.file.Services = append(l.file.Services, s)
}
