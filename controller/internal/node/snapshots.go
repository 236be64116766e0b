package node

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/fsm"
)

// checkSnapshots makes sure that Raft can start from the newest snapshot. Raft itself would fall back to an older
// one without a word, and end in a panic if the entries in between are gone.
func checkSnapshots(snapshots raft.SnapshotStore, log raft.LogStore) error {
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	var from uint64
	if len(list) > 0 {
		if err := checkSnapshot(snapshots, list[0].ID); err != nil {
			return fmt.Errorf("%w: snapshot %s: %w: move the data folder away, `salve raft remove` this node, and let it "+
				"join anew; a node that is alone needs a backup", ErrFolder, list[0].ID, err)
		}
		from = list[0].Index
	}
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if first > from+1 {
		return fmt.Errorf("%w: the log begins with entry %d and the newest snapshot ends with %d", ErrFolder, first, from)
	}
	return nil
}

func checkSnapshot(snapshots raft.SnapshotStore, id string) error {
	_, source, err := snapshots.Open(id)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	_, err = fsm.Read(source)
	return err
}
