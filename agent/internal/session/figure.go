package session

import (
	"context"
	"errors"

	"github.com/salveops/salve/proto/agentpb"
)

// errNoSession is for who asks the controller while there is none.
var errNoSession = errors.New("there is no session with the controller")

// Figure asks the controller for the answer to one of its queries; name is that of the query.
func (s *Session) Figure(ctx context.Context, name string) (*agentpb.ReadFigureResponse, error) {
	line, err := s.established()
	if err != nil {
		return nil, err
	}
	return line.Figure(ctx, &agentpb.ReadFigureRequest{Query: name, Host: s.o.Name})
}

// established is the line of the session that there is now.
func (s *Session) established() (Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil {
		return nil, errNoSession
	}
	return s.line, nil
}
