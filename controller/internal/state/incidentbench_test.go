package state

import (
	"fmt"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// big is a fleet of 5,000 hosts with two services that depend on one another.
func big(b *testing.B) *State {
	s := New()
	e := &logpb.Entry{At: 3600 * second, Commands: []*logpb.Command{
		{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{Id: "first", Bootstrap: true}}},
		{What: &logpb.Command_Configure{Configure: &logpb.Configure{Config: &logpb.Config{Escalations: people(), Digest: []byte("d")}}}}}}
	for n := range 5000 {
		e.Commands = append(e.Commands, &logpb.Command{What: &logpb.Command_Hello{Hello: &logpb.Hello{
			Host: fmt.Sprint("h", n), Name: fmt.Sprint("h", n), Fingerprint: "f", Nonce: "n", Stream: "s",
			Services: []*logpb.ServiceReport{{Service: []string{"web", "db"}[n%2], Serving: logpb.Serving_SERVING_YES,
				DependsOn: []string{"db", ""}[n%2 : n%2+1]}}}}})
	}
	if _, err := s.Apply(1, e); err != nil {
		b.Fatal(err)
	}
	return s
}

func fired(s *State, n int, number uint64) *logpb.Command {
	h := s.Host(fmt.Sprint("h", n))
	return &logpb.Command{What: &logpb.Command_Events{Events: &logpb.Events{Host: h.GetId(), Epoch: h.GetEpoch(), Stream: "s",
		Event: []*logpb.Event{{N: number, What: &logpb.Event_Fired{Fired: &logpb.Alert{Rule: "slow", Service: []string{"web", "db"}[n%2],
			Local: "L", Condition: "metric.error_rate > 5 * percent"}}}}}}}
}

// BenchmarkEveryHostFires is one alert on each of 5,000 hosts, and its end.
func BenchmarkEveryHostFires(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := big(b)
		b.StartTimer()
		for n := range 5000 {
			if _, err := s.Apply(uint64(n+2), &logpb.Entry{At: s.at + second/1000, Commands: []*logpb.Command{fired(s, n, 1)}}); err != nil {
				b.Fatal(err)
			}
		}
		for n := range 5000 {
			h := s.Host(fmt.Sprint("h", n))
			c := &logpb.Command{What: &logpb.Command_Events{Events: &logpb.Events{Host: h.GetId(), Epoch: h.GetEpoch(), Stream: "s",
				Event: []*logpb.Event{{N: 2, What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{Key: &logpb.AlertKey{Stream: "s", N: 1}}}}}}}}
			if _, err := s.Apply(uint64(n+5002), &logpb.Entry{At: s.at + second/1000, Commands: []*logpb.Command{c}}); err != nil {
				b.Fatal(err)
			}
		}
		if len(s.derived.fires) != 0 {
			b.Fatal("something fires")
		}
	}
}

func BenchmarkHellos(b *testing.B) {
	for b.Loop() {
		big(b)
	}
}

func BenchmarkDue(b *testing.B) {
	s := big(b)
	for n := range 5000 {
		if _, err := s.Apply(uint64(n+2), &logpb.Entry{At: s.at, Commands: []*logpb.Command{fired(s, n, 1)}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s.Due()
	}
}

func BenchmarkStandingOrders(b *testing.B) {
	s := big(b)
	for n := range 5000 {
		if _, err := s.Apply(uint64(n+2), &logpb.Entry{At: s.at, Commands: []*logpb.Command{fired(s, n, 1)}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s.StandingOrders("h7")
	}
}
