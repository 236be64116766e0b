package adminapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// ListHosts implements adminpb.AdminServer.
func (s *Server) ListHosts(ctx context.Context, r *adminpb.ListHostsRequest) (*adminpb.ListHostsResponse, error) {
	out := &adminpb.ListHostsResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		for _, h := range st.Hosts() {
			if h.GetRemoved() && !r.GetRemoved() {
				continue
			}
			out.Hosts = append(out.Hosts, &adminpb.HostStatus{Host: proto.CloneOf(h), Heard: -1})
		}
	})
	if err != nil {
		return nil, err
	}
	for _, h := range out.GetHosts() {
		connected, ago, ok := s.o.Sessions.Heard(h.GetHost().GetId())
		h.Connected = connected
		if ok {
			h.Heard = ago.Nanoseconds()
		}
	}
	return out, nil
}

// AdoptHost implements adminpb.AdminServer.
func (s *Server) AdoptHost(ctx context.Context, r *adminpb.AdoptHostRequest) (*adminpb.AdoptHostResponse, error) {
	who, err := by(r.GetBy())
	print, errPrint := optionalName("fingerprint", r.GetFingerprint())
	if err := first(err, errPrint); err != nil {
		return nil, err
	}
	id, err := s.hostThat(ctx, r.GetHost(), func(h *logpb.Host) error { return meant(h, print) })
	if err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_AdoptHost{AdoptHost: &logpb.AdoptHost{
		Host: id, By: who, Fingerprint: print,
	}}})
	return &adminpb.AdoptHostResponse{At: at}, err
}

// meant refuses to guess which of two machines is the host: the newer one may be new hardware, or a thief.
func meant(h *logpb.Host, print string) error {
	known, other := h.GetFingerprint(), h.GetStranger()
	switch {
	case h.GetQuarantined() == "" || other == "" || other == known, print == known, print == other:
		return nil
	}
	return invalid("fingerprint %q: say which machine is %s: %s has been it so far, %s was turned away",
		print, h.GetName(), known, other)
}

// RemoveHost implements adminpb.AdminServer.
func (s *Server) RemoveHost(ctx context.Context, r *adminpb.RemoveHostRequest) (*adminpb.RemoveHostResponse, error) {
	who, err := by(r.GetBy())
	why, errWhy := because(r.GetReason())
	if err := first(err, errWhy); err != nil {
		return nil, err
	}
	h, err := s.host(ctx, r.GetHost())
	if err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: &logpb.RemoveHost{
		Host: h, By: who, Gone: r.GetGone(), Reason: why,
	}}})
	return &adminpb.RemoveHostResponse{At: at}, err
}

// host is the ID of the host that a person means.
func (s *Server) host(ctx context.Context, said string) (string, error) {
	return s.hostThat(ctx, said, func(*logpb.Host) error { return nil })
}

// hostThat is the ID of a host, unless fit objects to it.
func (s *Server) hostThat(ctx context.Context, said string, fit func(*logpb.Host) error) (string, error) {
	var id string
	err := s.look(ctx, func(st *state.State) error {
		h, err := findHost(st, said)
		if err != nil {
			return err
		}
		id = h.GetId()
		return fit(h)
	})
	return id, err
}

// look is a linearizable read that can fail.
func (s *Server) look(ctx context.Context, f func(*state.State) error) error {
	var failed error
	if _, err := s.read(ctx, false, func(st *state.State) { failed = f(st) }); err != nil {
		return err
	}
	return failed
}
