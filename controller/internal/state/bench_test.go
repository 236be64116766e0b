package state

import (
	"fmt"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// BenchmarkPermit is a request and its settlement in a fleet of that many hosts, three to a service.
func BenchmarkPermit(b *testing.B) {
	for _, hosts := range []int{30, 3000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			f := benchFleet(b, hosts)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				at := i % hosts
				f.n[host(at)]++
				r := f.only(&logpb.Command{What: &logpb.Command_Request{Request: &logpb.Request{Host: host(at),
					Epoch: f.epoch[host(at)], N: f.n[host(at)], Service: part(at), Rule: "slow", Remedy: "restart-app",
					Digest: []byte("digest")}}})
				if r.GetGrant() == nil {
					b.Fatal(r)
				}
				f.only(f.settles(host(at), r.GetGrant(), servingAgain))
			}
		})
	}
}

func part(i int) string { return fmt.Sprint("service-", i/3) }

func benchFleet(b *testing.B, hosts int) *fleet {
	f := &fleet{s: New(), at: 3600 * second, epoch: map[string]uint64{}, n: map[string]uint64{}}
	f.only(&logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
		Id: "11111111111111111111111111111111", Bootstrap: true}}})
	for i := range hosts {
		f.epoch[host(i)] = f.only(f.greet(host(i), part(i))).GetWelcome().GetEpoch()
	}
	for i := range hosts {
		f.only(&logpb.Command{What: &logpb.Command_ConfirmStanding{ConfirmStanding: &logpb.ConfirmStanding{Host: host(i),
			Epoch: f.epoch[host(i)], Generation: f.s.generation, Index: f.index}}})
	}
	if len(f.s.hosts) != hosts {
		b.Fatalf("%d hosts", len(f.s.hosts))
	}
	return f
}

// only applies a command and checks nothing.
func (f *fleet) only(c *logpb.Command) *logpb.Result {
	f.index++
	rs, err := f.s.Apply(f.index, &logpb.Entry{Format: 1, At: f.at, Commands: []*logpb.Command{c}})
	if err != nil {
		panic(err)
	}
	return rs[0]
}
