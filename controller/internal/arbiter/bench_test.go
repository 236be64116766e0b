package arbiter

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/proto/logpb"
)

// BenchmarkPropose is what the arbiter and the state machine cost without Raft and its disks.
func BenchmarkPropose(b *testing.B) {
	for _, callers := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprintf("callers-%d", callers), func(b *testing.B) {
			j := arbitertest.NewJournal(b)
			seat := arbitertest.NewSeat(j, "n1")
			a, err := New(Options{Node: seat, Replica: j, Clock: arbitertest.NewWatch(0), ID: "n1", Data: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- a.Run(ctx) }()
			seat.Elect("n1", false)
			for leads, changed := a.Leads(); !leads; leads, changed = a.Leads() {
				<-changed
			}
			var hosts atomic.Int64
			b.SetParallelism(callers / 2) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				c := hello(fmt.Sprintf("h%d", hosts.Add(1)))
				c.GetHello().Services = nil
				for pb.Next() {
					if _, _, err := a.Propose(ctx, c); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/float64(len(j.All())), "commands/entry")
			cancel()
			<-done
		})
	}
}

// FuzzSeal: whatever command is sealed can be decoded by a replica, says something, and fits an entry.
func FuzzSeal(f *testing.F) {
	for _, c := range []*logpb.Command{hello("h1"), pause("all", "x", 1), {}} {
		b, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xf8, 0x07, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := new(logpb.Command)
		if proto.Unmarshal(b, c) != nil {
			return
		}
		sealed, err := seal(c)
		if err != nil {
			return
		}
		data, err := entry(1, 1, "n1", [][]byte{sealed})
		if err != nil || len(data) > maxEntry {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		e := new(logpb.Entry)
		if err := proto.Unmarshal(data, e); err != nil || len(e.GetCommands()) != 1 || e.GetCommands()[0].GetWhat() == nil {
			t.Fatalf("entry %v, %v", e, err)
		}
	})
}
