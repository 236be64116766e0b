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
		command(&logpb.NewGeneration{Id: "first", Bootstrap: true}),
		command(&logpb.Configure{Config: &logpb.Config{Escalations: people(), Digest: []byte("d")}})}}
	for n := range 5000 {
		e.Commands = append(e.Commands, command(&logpb.Hello{
			Host: fmt.Sprint("h", n), Name: fmt.Sprint("h", n), Fingerprint: "f", Nonce: "n", Stream: "s",
			Services: []*logpb.ServiceReport{{Service: []string{"web", "db"}[n%2], Serving: logpb.Serving_SERVING_YES,
				DependsOn: []string{"db", ""}[n%2 : n%2+1]}}}))
	}
	if _, err := s.Apply(1, e); err != nil {
		b.Fatal(err)
	}
	return s
}

// says is one event of a host's journal as an entry.
func says(s *State, n int, e *logpb.Event) *logpb.Entry {
	h := s.Host(fmt.Sprint("h", n))
	return &logpb.Entry{At: s.at + second/1000, Commands: []*logpb.Command{command(&logpb.Events{
		Host: h.GetId(), Epoch: h.GetEpoch(), Stream: "s", Event: []*logpb.Event{e}})}}
}

// each has every host say something.
func each(b *testing.B, s *State, event func(n int) *logpb.Event) {
	for n := range 5000 {
		if _, err := s.Apply(s.index+1, says(s, n, event(n))); err != nil {
			b.Fatal(err)
		}
	}
}

func slow(n int) *logpb.Event {
	return &logpb.Event{N: 1, What: &logpb.Event_Fired{Fired: &logpb.Alert{
		Rule: "slow", Service: []string{"web", "db"}[n%2], Local: "L", Condition: "metric.error_rate > 5 * percent"}}}
}

func fine(int) *logpb.Event {
	return &logpb.Event{N: 2, What: &logpb.Event_Resolved{
		Resolved: &logpb.AlertEnd{Key: &logpb.AlertKey{Stream: "s", N: 1}}}}
}

// BenchmarkEveryHostFires is one alert on each of 5,000 hosts, and its end.
func BenchmarkEveryHostFires(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := big(b)
		b.StartTimer()
		each(b, s, slow)
		each(b, s, fine)
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
	each(b, s, slow)
	for b.Loop() {
		s.Due()
	}
}

func BenchmarkStandingOrders(b *testing.B) {
	s := big(b)
	each(b, s, slow)
	for b.Loop() {
		s.StandingOrders("h7")
	}
}
