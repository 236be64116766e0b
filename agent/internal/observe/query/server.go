package query

import (
	"context"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/promql"
)

// server is a Prometheus server.
type server struct {
	client *promql.Client
	host   string
}

func newServer(t Target) origin { return &server{promql.New(t.Server), t.Host} }

func (s *server) close() { s.client.Close() }

// ask implements origin. The figure is of the moment before the server was asked.
func (s *server) ask(ctx context.Context, now clock.Instant) (figure, error) {
	answer, err := s.client.Ask(ctx)
	if err != nil {
		return figure{}, err
	}
	out := figure{at: now.Boot, warnings: answer.Warnings}
	f, err := answer.Figure(s.host)
	if err == nil {
		err = f.Late(now.Wall)
	}
	out.value, out.known = f.Value, f.Known
	return out, err
}
