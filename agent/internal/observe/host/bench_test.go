package host

import (
	"testing"
	"time"

	pscpu "github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"

	"github.com/salveops/salve/agent/internal/observe/source"
)

func BenchmarkHostSample(b *testing.B) {
	b.Run("salve", func(b *testing.B) {
		book := source.NewBook()
		s := New(Options{Book: book})
		defer s.Close()
		now := time.Duration(0)
		b.ReportAllocs()
		for b.Loop() {
			now += time.Second
			batch := book.Batch()
			s.Sample(now, batch)
			batch.Release()
		}
	})
	// The part of the same that gopsutil has: no pressure, no OOM kills, no connection tracking, no clock.
	b.Run("gopsutil", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err1 := pscpu.Times(false)
			_, err2 := load.Avg()
			_, err3 := mem.VirtualMemory()
			_, err4 := mem.SwapMemory()
			_, err5 := disk.IOCounters()
			_, err6 := net.IOCounters(true)
			_, err7 := net.ProtoCounters([]string{"tcp"})
			for _, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
