package controller

import (
	"context"
	"io"
	"time"

	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/controller/internal/agentapi"
	"github.com/salveops/salve/controller/internal/node"
	"github.com/salveops/salve/controller/internal/notify"
	"github.com/salveops/salve/proto/adminpb"
)

// leader is who leads, as agents need to know it.
func (c *controller) leader() agentapi.Leader {
	name, _ := c.node.Leader()
	return agentapi.Leader{
		Self: c.node.IsLeader(), Address: c.node.API(name), Silent: c.node.Standing().Silent,
	}
}

// quorum is whether there is one, as far as this node knows.
func (c *controller) quorum() notify.Quorum {
	name, _ := c.node.Leader()
	s := c.node.Standing()
	return notify.Quorum{Leader: name != "", Term: s.Term, Silent: s.Silent}
}

// peerFormat is the newest log format that every member knows, 0 while one was not heard yet.
func (c *controller) peerFormat() uint32 {
	var least uint32
	for i, p := range c.node.Peers() {
		if i == 0 || p.Format < least {
			least = p.Format
		}
	}
	return least
}

// standing is the node as the operators' API asks for it.
type standing struct{ c *controller }

var _ adminapi.Node = standing{}

func (s standing) Standing() adminapi.Standing {
	n := s.c.node.Standing()
	leader, _ := s.c.node.Leader()
	refused, refusals := s.c.reloads.last()
	problem := ""
	if err := s.c.node.Healthy(); err != nil {
		problem = err.Error()
	}
	return adminapi.Standing{
		Problem: problem,
		ID:      s.c.node.Name(), Role: n.Role, Leader: leader, LeaderAddress: s.c.node.API(leader), Term: n.Term,
		Silent: n.Silent, Behind: n.Behind, Refused: refused, Refusals: refusals, Certificate: s.c.ending(),
	}
}

func (s standing) Barrier(ctx context.Context) error      { return s.c.node.Barrier(ctx) }
func (s standing) VerifyLeader(ctx context.Context) error { return s.c.node.VerifyLeader(ctx) }

// cluster is who takes part.
type cluster struct{ *node.Node }

var _ adminapi.Cluster = cluster{}

func (c cluster) Peers() ([]*adminpb.Peer, error) {
	var out []*adminpb.Peer
	for _, p := range c.Node.Peers() {
		heard := int64(-1)
		if !p.LastContact.IsZero() {
			heard = int64(max(0, time.Since(p.LastContact)))
		}
		out = append(out, &adminpb.Peer{Id: p.Name, Address: p.Address, Voter: p.Voter, Leader: p.Leader, Heard: heard})
	}
	return out, nil
}

// backups write the whole state out and take it in.
type backups struct{ c *controller }

var _ adminapi.Backups = backups{}

func (b backups) Backup(_ context.Context, w io.Writer) error { return b.c.node.Backup(w) }

func (b backups) Restore(ctx context.Context, r io.Reader, by string) error {
	_, err := b.c.arbiter.Restore(ctx, r, by)
	return err
}
