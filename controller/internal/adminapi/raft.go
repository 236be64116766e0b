package adminapi

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

const (
	// maxBackup bounds what a restore takes in.
	maxBackup = 4 << 30
	// answerWithin is how long the voters that stay have to show that they live.
	answerWithin = 2 * time.Second
	// afterwards is how long a record of what failed may take.
	afterwards = 2 * time.Second
)

// record puts into the audit what somebody does with the nodes.
func (s *Server) record(ctx context.Context, who, what, text string) error {
	_, err := s.do(ctx, &logpb.Command{What: &logpb.Command_Note{Note: &logpb.Note{By: who, What: what, Text: text}}})
	return err
}

// recorded does something with the nodes. It is in the audit before, because this node may lead no longer
// afterwards; that it failed is put there, too, if that can be.
func (s *Server) recorded(ctx context.Context, who, what, text string, act func() error) error {
	if err := s.record(ctx, who, what, text); err != nil {
		return err
	}
	err := act()
	if err == nil {
		return nil
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if missing := s.record(late, who, what, text+": it failed: "+err.Error()); missing != nil {
		s.log.Warn("failure is not in the audit", "what", text, "error", missing)
	}
	return s.clusterFault(err)
}

// ListPeers implements adminpb.AdminServer.
func (s *Server) ListPeers(ctx context.Context, _ *adminpb.ListPeersRequest) (*adminpb.ListPeersResponse, error) {
	at, err := s.read(ctx, false, nil)
	if err != nil {
		return nil, err
	}
	peers, err := s.o.Cluster.Peers()
	if err != nil {
		return nil, err
	}
	return &adminpb.ListPeersResponse{At: at, Peers: peers}, nil
}

// AddPeer implements adminpb.AdminServer. The same peer again is no error.
func (s *Server) AddPeer(ctx context.Context, r *adminpb.AddPeerRequest) (*adminpb.AddPeerResponse, error) {
	who, err := by(r.GetBy())
	id, errID := name("node", r.GetId())
	address, errAddress := name("address", r.GetAddress())
	if err := first(err, errID, errAddress); err != nil {
		return nil, err
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return nil, invalid("address %q: it must be host:port, where the node's Raft listens", address)
	}
	if err := s.leading.prove(ctx); err != nil {
		return nil, err
	}
	if err := s.recorded(ctx, who, "peer", "add node "+id+" at "+address, func() error {
		return s.o.Cluster.AddPeer(ctx, id, address)
	}); err != nil {
		return nil, err
	}
	s.log.Info("peer added", "peer", id, "address", address, "by", who)
	return &adminpb.AddPeerResponse{At: s.at(nil)}, nil
}

// RemovePeer implements adminpb.AdminServer. What would leave the cluster without a quorum is refused.
func (s *Server) RemovePeer(ctx context.Context, r *adminpb.RemovePeerRequest) (*adminpb.RemovePeerResponse, error) {
	who, err := by(r.GetBy())
	id, errID := name("node", r.GetId())
	if err := first(err, errID); err != nil {
		return nil, err
	}
	if err := s.leading.prove(ctx); err != nil {
		return nil, err
	}
	if err := s.removable(ctx, id); err != nil {
		return nil, err
	}
	if err := s.recorded(ctx, who, "peer", "remove node "+id, func() error {
		return s.o.Cluster.RemovePeer(ctx, id)
	}); err != nil {
		return nil, err
	}
	s.log.Info("peer removed", "peer", id, "by", who)
	return &adminpb.RemovePeerResponse{At: s.at(nil)}, nil
}

// clusterFault is what the cluster could not do, or would not. A leader that lost its office over it cannot
// tell what became of it.
func (s *Server) clusterFault(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return proposeFault(err)
	case s.o.Node.Standing().Role != roleLeader:
		return reason.Error(codes.Unknown, reason.Unknown, nil, 0, err.Error()+
			": it may have been done, or may yet be; look before you try again")
	}
	return precondition("%v", err)
}

// removable says whether the voters that stay are enough to go on. Only those count that were heard after the
// question came: a change of members that finds no quorum can be stuck for good.
func (s *Server) removable(ctx context.Context, id string) error {
	begun := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		peers, err := s.o.Cluster.Peers()
		if err != nil {
			return err
		}
		voters, alive, known := 0, 0, false
		for _, p := range peers {
			switch {
			case p.GetId() == id:
				known = true
			case !p.GetVoter():
			case p.GetLeader() || p.GetHeard() >= 0 && time.Duration(p.GetHeard()) < time.Since(begun):
				alive++
				fallthrough
			default:
				voters++
			}
		}
		switch {
		case !known:
			return notFound("node %s not found", id)
		case voters == 0:
			return precondition("node %s is the only voter: nothing would be left", id)
		case alive > voters/2:
			return nil
		case time.Since(begun) > answerWithin:
			return precondition("without node %s there are %d voters, and only %d of them answer: that is no quorum",
				id, voters, alive)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// peers are the nodes, as the leader knows them.
func (s *Server) peers(ctx context.Context) ([]*adminpb.Peer, error) {
	if err := s.leading.prove(ctx); err != nil {
		return nil, err
	}
	return s.o.Cluster.Peers()
}

// TransferLeadership implements adminpb.AdminServer.
func (s *Server) TransferLeadership(
	ctx context.Context, r *adminpb.TransferLeadershipRequest,
) (*adminpb.TransferLeadershipResponse, error) {
	who, err := by(r.GetBy())
	to, errTo := optionalName("node", r.GetTo())
	if err := first(err, errTo); err != nil {
		return nil, err
	}
	peers, err := s.peers(ctx)
	if err != nil {
		return nil, err
	}
	if err := transferable(peers, to); err != nil {
		return nil, err
	}
	st := s.o.Node.Standing()
	if to != st.ID {
		what := "hand the leadership over to " + cmp.Or(to, "the most up to date")
		if err := s.recorded(ctx, who, "transfer", what, func() error {
			return s.o.Cluster.Transfer(ctx, to)
		}); err != nil {
			return nil, err
		}
		s.log.Info("leadership handed over", "to", to, "by", who)
	}
	return &adminpb.TransferLeadershipResponse{Leader: s.newLeader(ctx, st, to)}, nil
}

func transferable(peers []*adminpb.Peer, to string) error {
	others := 0
	for _, p := range peers {
		if p.GetId() == to {
			if !p.GetVoter() {
				return precondition("node %s has no vote, so it cannot lead", to)
			}
			return nil
		}
		if p.GetVoter() && !p.GetLeader() {
			others++
		}
	}
	switch {
	case to != "":
		return notFound("node %s not found", to)
	case others == 0:
		return precondition("there is no other voter that could lead")
	}
	return nil
}

// newLeader is who leads after a transfer. It may take a moment until this node hears of it.
func (s *Server) newLeader(ctx context.Context, before Standing, to string) string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(verifyWithin)
	defer over.Stop()
	for {
		st := s.o.Node.Standing()
		if st.Leader != "" && (st.Leader != before.ID || st.Leader == to) {
			return st.Leader
		}
		select {
		case <-tick.C:
		case <-over.C:
			return st.Leader
		case <-ctx.Done():
			return st.Leader
		}
	}
}

// Snapshot implements adminpb.AdminServer.
func (s *Server) Snapshot(m *adminpb.SnapshotRequest, out grpc.ServerStreamingServer[adminpb.SnapshotResponse]) error {
	ctx, cancel := s.streamContext(out.Context())
	defer cancel()
	who, err := by(m.GetBy())
	if err != nil {
		return err
	}
	if err := s.leading.prove(ctx); err != nil {
		return err
	}
	if err := s.record(ctx, who, "backup", "takes a backup of the whole state"); err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(s.o.Backups.Backup(ctx, w)) }()
	defer r.Close()
	return send(r, func(piece []byte, _ bool) error { return out.Send(&adminpb.SnapshotResponse{Chunk: piece}) })
}

// Restore implements adminpb.AdminServer.
func (s *Server) Restore(in grpc.ClientStreamingServer[adminpb.RestoreRequest, adminpb.RestoreResponse]) error {
	ctx, cancel := s.streamContext(in.Context())
	defer cancel()
	m, err := in.Recv()
	if err != nil {
		return err
	}
	who, err := by(m.GetBy())
	if err != nil {
		return err
	}
	if !m.GetConfirmed() {
		return invalid("a restore replaces everything that this cluster knows; it has to be confirmed")
	}
	if err := s.leading.prove(ctx); err != nil {
		return err
	}
	before := s.at(nil).GetGeneration()
	if err := s.o.Backups.Restore(ctx, &pieces{in: in, piece: m.GetChunk(), left: maxBackup}, who); err != nil {
		return s.clusterFault(err)
	}
	at := s.newGeneration(ctx, before)
	// The restored log has it by the reason of its generation, too: a record that does not come is no failure.
	if err := s.record(ctx, who, "restore", "replaced the whole state by a backup"); err != nil {
		s.log.Warn("restore is not in the audit under the name of who asked", "by", who, "error", err)
	}
	s.log.Warn("restored from a backup: everything is paused until a person resumes", "by", who,
		"generation", at.GetGeneration())
	return in.SendAndClose(&adminpb.RestoreResponse{At: at, Generation: at.GetGeneration()})
}

// newGeneration waits until the generation is another one: the leader begins it after a restore.
func (s *Server) newGeneration(ctx context.Context, before string) *adminpb.At {
	over := time.NewTimer(verifyWithin)
	defer over.Stop()
	for {
		changed := s.o.Store.Changed()
		at := s.at(nil)
		if at.GetGeneration() != before {
			return at
		}
		select {
		case <-changed:
		case <-over.C:
			return at
		case <-ctx.Done():
			return at
		}
	}
}

// pieces is a backup that arrives in messages.
type pieces struct {
	in    grpc.ClientStreamingServer[adminpb.RestoreRequest, adminpb.RestoreResponse]
	piece []byte
	left  int64
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(p.piece) == 0 {
		m, err := p.in.Recv()
		if err != nil {
			return 0, err // io.EOF at its end
		}
		p.piece = m.GetChunk()
	}
	n := copy(b, p.piece)
	p.piece = p.piece[n:]
	if p.left -= int64(n); p.left < 0 {
		return 0, errors.New("the backup is larger than a state can be")
	}
	return n, nil
}
