package node

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"go.etcd.io/bbolt"
)

// contenders are the log stores that were measured for DESIGN.md; the product has the first.
var contenders = []struct {
	name string
	open func(dir string) (raft.LogStore, func() error, error)
}{
	{"boltdb", func(dir string) (raft.LogStore, func() error, error) {
		s, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "log.db")})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}},
	{"boltdb-nofreelistsync", func(dir string) (raft.LogStore, func() error, error) {
		s, err := raftboltdb.New(raftboltdb.Options{
			Path:        filepath.Join(dir, "log.db"),
			BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
		})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}},
	{"wal", func(dir string) (raft.LogStore, func() error, error) {
		s, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()))
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}},
}

// BenchmarkAppend measures how long a durable append takes, with the cuts of old entries that snapshots make.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{256, 64 << 10} {
		for _, batch := range []int{1, 16, 64} {
			for _, c := range contenders {
				b.Run(fmt.Sprintf("%d-bytes/%d-entries/%s", size, batch, c.name), func(b *testing.B) {
					store, closeStore, err := c.open(b.TempDir())
					if err != nil {
						b.Fatal(err)
					}
					defer func() { _ = closeStore() }()
					appendTo(b, store, batch, size)
				})
			}
		}
	}
}

func appendTo(b *testing.B, store raft.LogStore, batch, size int) {
	const keep = 4096
	data := make([]byte, size)
	index, first := uint64(0), uint64(1)
	b.SetBytes(int64(batch * size))
	for b.Loop() {
		logs := make([]*raft.Log, batch)
		for i := range logs {
			index++
			logs[i] = &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data}
		}
		if err := store.StoreLogs(logs); err != nil {
			b.Fatal(err)
		}
		if index-first >= 2*keep { // as a snapshot does
			if err := store.DeleteRange(first, index-keep); err != nil {
				b.Fatal(err)
			}
			first = index - keep + 1
		}
	}
}
