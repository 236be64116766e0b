package node

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

// TestBound: one message has a bound, and never no entry at all.
func TestBound(t *testing.T) {
	tests := []struct{ entries, size, want int }{
		{0, 0, 0}, {1, 2 * maxAppend, 1}, {1024, 100, 1024}, {64, MaxEntry, maxAppend / MaxEntry}, {3, maxAppend, 1},
	}
	for _, tc := range tests {
		q := &raft.AppendEntriesRequest{}
		for i := range tc.entries {
			q.Entries = append(q.Entries, &raft.Log{Index: uint64(i) + 1, Data: make([]byte, tc.size)})
		}
		if got := len(bound(q).Entries); got != tc.want {
			t.Errorf("of %d entries of %d bytes %d are sent, want %d", tc.entries, tc.size, got, tc.want)
		}
	}
}

// TestLongEntriesArrive: a follower that missed more than one message holds gets it all, in order.
func TestLongEntriesArrive(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	late := f.followers()[0].Name()
	f.abort(late)
	long := strings.Repeat("x", MaxEntry/2)
	var index uint64
	for i := range 3 * maxAppend / MaxEntry * 2 {
		index = f.commit(pause(fmt.Sprintf("%d-%s", i, long)))
	}
	f.start(late)
	f.agree(index)
}

// TestVoteReachesARestartedPeer: the connections kept for a peer are dead once its process was another one. Raft
// would count each of them as a vote refused, and wait for the next election with each.
func TestVoteReachesARestartedPeer(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	from, to := f.nodes["ctl-1"], f.nodes["ctl-2"]
	ask := func() error {
		q := &raft.RequestPreVoteRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(from.id()),
			Addr: []byte(from.Address())}}
		return from.trans.(wire).RequestPreVote(to.id(), raft.ServerAddress(to.Address()), q, &raft.RequestPreVoteResponse{})
	}
	var asking sync.WaitGroup
	for range 4 * maxPool { // side by side, so that the pool is full
		asking.Go(func() {
			if err := ask(); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	f.abort("ctl-2")
	f.start("ctl-2")
	if err := ask(); err != nil {
		t.Errorf("a peer that runs again was not reached: %v", err)
	}
}
