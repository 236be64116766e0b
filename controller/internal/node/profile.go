package node

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Snapshots are taken every two minutes or so if this many entries came since; a node that fell behind by fewer
// than the trailing ones gets entries and no snapshot.
const (
	snapshotEntries = 8192
	trailingEntries = 8192
)

// configuration is Raft's, for a profile.
//
// default: followers notice a lost leader after half a second to one; a disk that stalls for a fifth of a second
// is not noticed, for heartbeats do not touch the disk.
//
// fast: a quarter of that, for machines that are neither far apart nor overloaded.
func configuration(profile string, log hclog.Logger) (*raft.Config, error) {
	c := raft.DefaultConfig()
	switch profile {
	case "", "default":
		c.HeartbeatTimeout, c.ElectionTimeout = 500*time.Millisecond, 500*time.Millisecond
		c.LeaderLeaseTimeout = 400 * time.Millisecond
	case "fast":
		c.HeartbeatTimeout, c.ElectionTimeout = 125*time.Millisecond, 125*time.Millisecond
		c.LeaderLeaseTimeout = 100 * time.Millisecond
	default:
		return nil, fmt.Errorf("raft profile %q: there are \"default\" and \"fast\"", profile)
	}
	c.MaxAppendEntries = 1024
	c.BatchApplyCh = true
	c.SnapshotThreshold = snapshotEntries
	c.TrailingLogs = trailingEntries
	c.ShutdownOnRemove = false // a removed leader goes on as a follower and says that it is no member
	c.NoLegacyTelemetry = true
	c.Logger = log
	return c, nil
}
