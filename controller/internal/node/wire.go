package node

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	rpcTimeout = 5 * time.Second // of one exchange; Raft allows more for a snapshot
	maxPool    = 4               // connections kept for a peer
	maxAppend  = 4 << 20         // bytes of entries in one message, at least one entry
)

// wire is Raft's transport, with three additions. Raft dials addresses, and whoever answers there may not be the peer
// that is meant; so the address carries the peer's ID, and the line compares. Raft bounds how many entries it sends at
// once, but not how long they are. And Raft keeps connections: those to a peer that was restarted are dead, and each
// that a candidate picks would cost him an election; so what failed on a dead one is asked again.
//
// There is no pipelining: after a follower's "no", Raft can go on sending into a pipeline that nobody reads any more,
// and that follower gets no entries until there is another leader, and Raft never stops.
type wire struct {
	*raft.NetworkTransport
}

var (
	_ raft.Transport   = wire{}
	_ raft.WithPreVote = wire{}
	_ raft.WithClose   = wire{}
)

func newWire(l *line, log hclog.Logger) wire {
	return wire{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: l, MaxPool: maxPool, Timeout: rpcTimeout, Logger: log, MaxRPCsInFlight: 1,
	})}
}

// given is a transport of a test's.
type given interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// unpiped is one without pipelining, for the reason above.
type unpiped struct{ given }

func (unpiped) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// meant is the address of a peer with its ID.
func meant(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + address
}

// bound cuts off the entries that are too many for one message. Raft sends the rest in the next, for it goes on
// after the last entry of the request, which is shared with it.
func bound(r *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	size := 0
	for i, e := range r.Entries {
		size += len(e.Data)
		if i > 0 && size > maxAppend {
			r.Entries = r.Entries[:i]
			break
		}
	}
	return r
}

// again asks until the answer came over a connection that was alive. Votes and entries may be asked for twice.
func again(ask func() error) (err error) {
	for range maxPool + 1 {
		if err = ask(); !dead(err) {
			return err
		}
	}
	return err
}

// dead reports whether a connection was closed by the other end.
func dead(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (w wire) AppendEntries(id raft.ServerID, at raft.ServerAddress, q *raft.AppendEntriesRequest,
	a *raft.AppendEntriesResponse) error {
	return again(func() error { return w.NetworkTransport.AppendEntries(id, meant(id, at), bound(q), a) })
}

func (w wire) RequestVote(id raft.ServerID, at raft.ServerAddress, q *raft.RequestVoteRequest,
	a *raft.RequestVoteResponse) error {
	return again(func() error { return w.NetworkTransport.RequestVote(id, meant(id, at), q, a) })
}

func (w wire) RequestPreVote(id raft.ServerID, at raft.ServerAddress, q *raft.RequestPreVoteRequest,
	a *raft.RequestPreVoteResponse) error {
	return again(func() error { return w.NetworkTransport.RequestPreVote(id, meant(id, at), q, a) })
}

func (w wire) InstallSnapshot(id raft.ServerID, at raft.ServerAddress, q *raft.InstallSnapshotRequest,
	a *raft.InstallSnapshotResponse, data io.Reader) error {
	return w.NetworkTransport.InstallSnapshot(id, meant(id, at), q, a, data)
}

func (w wire) TimeoutNow(id raft.ServerID, at raft.ServerAddress, q *raft.TimeoutNowRequest,
	a *raft.TimeoutNowResponse) error {
	return again(func() error { return w.NetworkTransport.TimeoutNow(id, meant(id, at), q, a) })
}
