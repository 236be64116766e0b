package query

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/promql"
)

// late is the age from which an answer does not count, by the clocks of both sides.
const late = time.Minute

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
	if old := now.Wall.Sub(f.At); err == nil && f.Known && old > late {
		err = fmt.Errorf("the answer is %s old by this host's clock: something keeps answers, or a clock is wrong",
			old.Round(time.Second))
	}
	out.value, out.known = f.Value, f.Known
	return out, err
}
