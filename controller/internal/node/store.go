package node

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// cacheEntries is how many of the newest entries are kept in memory, for followers that are nearly up to date.
const cacheEntries = 256

// openStore opens the log of a data folder. The choice of store is explained in DESIGN.md.
func openStore(dir string) (Store, error) {
	path := filepath.Join(dir, logFile)
	s, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{Timeout: time.Second}})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

// openSnapshots opens the snapshots of a data folder.
func openSnapshots(dir string, log hclog.Logger) (raft.SnapshotStore, error) {
	if err := sweep(dir); err != nil {
		return nil, err
	}
	s, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, log)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	return s, nil
}
