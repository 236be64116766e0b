package node

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/proto/logpb"
)

// Backup writes the state as this node has it. For one that misses nothing, call VerifyLeader before.
func (n *Node) Backup(w io.Writer) error {
	image, err := n.fsm.Image()
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if _, err := w.Write(image); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// Restore replaces the state of the whole cluster by a backup and begins a new generation, in one step: there is no
// moment, and no crash that leads to one, in which the backup's generation could give out tokens that were used
// since. Only the leader can. Nothing is touched unless the backup is whole. Errors: fsm.ErrImage, state.ErrStop,
// Raft's.
func (n *Node) Restore(ctx context.Context, backup io.Reader) error {
	image, index, err := fsm.Begin(backup, &logpb.Entry{Node: n.o.Name, Commands: []*logpb.Command{{
		What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{Id: random(), Reason: "a backup was restored"}},
	}}})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: index, Term: 1, Size: int64(len(image))}
	return await(ctx, "restore", func() error { return n.raft.Restore(meta, bytes.NewReader(image), enqueue) })
}
