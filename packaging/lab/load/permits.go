package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// permits is a caller that asks for a permit, gets it, settles it as if the service served again, and asks
// for the next. It lives through lost sessions as an agent does: what the next welcome lists is settled.
type permits struct {
	a    *agent
	open *logpb.Grant // granted and not settled
}

var _ Caller = (*permits)(nil)

// Next asks for a permit, or settles the one that it has.
func (p *permits) Next(ctx context.Context) (Op, time.Duration, error) {
	start := time.Now()
	if p.open == nil {
		err := p.request(ctx)
		return Grant, time.Since(start), err
	}
	err := p.settle(ctx)
	return Settle, time.Since(start), err
}

// Finish settles what is open.
func (p *permits) Finish(ctx context.Context) error {
	if p.open == nil {
		return nil
	}
	return p.settle(ctx)
}

// request asks until it is granted.
func (p *permits) request(ctx context.Context) error {
	for {
		s, err := p.a.await(ctx)
		if err != nil {
			return err
		}
		if err = p.giveBack(ctx, s); err == nil {
			err = p.once(ctx, s)
		}
		switch {
		case err == nil && p.open != nil:
			return nil
		case err != nil && !errors.Is(err, errOver):
			return err
		}
		p.after(ctx, s, err)
	}
}

// once asks once; without an error, p.open says whether it was granted.
func (p *permits) once(ctx context.Context, s *session) error {
	n, ok := p.a.number(s.epoch)
	if !ok {
		return errOver
	}
	answer, err := s.ask(ctx, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Request{
		Request: p.a.text.request(&p.a.host, s.epoch, n),
	}})
	if err != nil {
		return err
	}
	g := answer.GetGrant()
	switch {
	case answer.GetN() != n:
		return fmt.Errorf("%s asked with number %d and the answer is to %d", p.a.host.name, n, answer.GetN())
	case g == nil && answer.GetRefusal() == nil:
		return fmt.Errorf("the answer to a request is %T", answer.GetWhat())
	case g == nil:
		p.a.fleet.refused(answer.GetRefusal().GetCode())
		sleep(ctx, max(time.Duration(answer.GetRefusal().GetRetryAfter()), 10*time.Millisecond))
		return nil
	case g.GetEpoch() != s.epoch || g.GetToken().GetN() == 0 || g.GetStartBy() <= 0 || g.GetRunFor() <= 0:
		return fmt.Errorf("a grant that cannot be acted on: %v", g)
	}
	p.a.fleet.grants.Add(1)
	p.open = g
	return nil
}

// giveBack settles permits of earlier sessions whose grant never arrived.
func (p *permits) giveBack(ctx context.Context, s *session) error {
	for len(s.permits) > 0 {
		left := s.permits[0]
		err := p.end(ctx, s, left.GetToken(), left.GetEpoch(), logpb.Settlement_SETTLEMENT_UNUSED)
		if err != nil {
			return err
		}
		p.a.fleet.leftOvers.Add(1)
		s.permits = s.permits[1:]
	}
	return nil
}

// settle ends the open permit, in a later session if it must be.
func (p *permits) settle(ctx context.Context) error {
	for {
		s, err := p.a.await(ctx)
		if err != nil {
			return err
		}
		if s.epoch != p.open.GetEpoch() && !takeOut(s, p.open.GetToken()) {
			p.open = nil // it was settled; only the answer was lost
			return nil
		}
		err = p.end(ctx, s, p.open.GetToken(), p.open.GetEpoch(), logpb.Settlement_SETTLEMENT_SERVING)
		if err == nil {
			p.a.fleet.settles.Add(1)
			p.open = nil
			return nil
		}
		if !errors.Is(err, errOver) {
			return err
		}
		p.after(ctx, s, err)
	}
}

// takeOut reports whether a welcome listed the permit, and strikes it off that list.
func takeOut(s *session, token *logpb.Token) bool {
	for i, held := range s.permits {
		if proto.Equal(held.GetToken(), token) {
			s.permits = append(s.permits[:i:i], s.permits[i+1:]...)
			return true
		}
	}
	return false
}

// end settles one permit.
func (p *permits) end(ctx context.Context, s *session, token *logpb.Token, epoch uint64, how logpb.Settlement) error {
	answer, err := s.ask(ctx, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Settle{
		Settle: p.a.text.settle(&p.a.host, s.epoch, epoch, token, how),
	}})
	switch {
	case err != nil:
		return err
	case !proto.Equal(answer.GetToken(), token):
		return fmt.Errorf("%s settled permit %v and the answer is about %v", p.a.host.name, token, answer.GetToken())
	case answer.GetSettled() == nil:
		return fmt.Errorf("%s may not settle: %v", p.a.host.name, answer)
	}
	return nil
}

// after waits for the end of a session that failed, so that the next one is another.
func (p *permits) after(ctx context.Context, s *session, err error) {
	if err == nil {
		return
	}
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}
