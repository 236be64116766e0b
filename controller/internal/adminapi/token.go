package adminapi

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// Authorities are those that this node is known by.
type Authorities interface {
	// Pin is the fingerprint of the authority that signed this node's certificate, nil: it has none.
	Pin() []byte
	// Roots are all that may name a node, as PEM.
	Roots() []byte
}

// CreateToken implements adminpb.AdminServer. The secret is made here and leaves with the answer; the log gets its
// hash.
func (s *Server) CreateToken(ctx context.Context, r *adminpb.CreateTokenRequest) (*adminpb.CreateTokenResponse, error) {
	who, err := by(r.GetBy())
	long, errFor := span("for", r.GetFor())
	if err := first(err, errFor); err != nil {
		return nil, err
	}
	t := identity.Token{Use: identity.Use(r.GetUse()), Secret: make([]byte, identity.SecretLen)}
	id := make([]byte, identity.SecretLen)
	rand.Read(id) // never fails
	rand.Read(t.Secret)
	t.ID = identity.TokenID(id)
	n := &logpb.AccessToken{Id: t.ID, Hash: t.Hash()}
	switch t.Use {
	case identity.Enroll:
		err = s.invitation(ctx, r, n)
	case identity.Access:
		n.Use, n.Name, n.Role = logpb.TokenUse_TOKEN_USE_ACCESS, r.GetName(), r.GetRole()
	default:
		err = invalid("use %q: it must be enroll or access", r.GetUse())
	}
	if err != nil {
		return nil, err
	}
	if s.o.Authorities != nil {
		t.Pin = s.o.Authorities.Pin()
	}
	if t.Use == identity.Enroll && t.Pin == nil {
		return nil, precondition("this controller speaks plain text and gives no certificates, so there is nothing to enrol for; " +
			"salve-controller init makes an authority")
	}
	_, at, err := s.propose(ctx, &logpb.Command{What: &logpb.Command_MakeToken{MakeToken: &logpb.MakeToken{Token: n,
		By: who, For: long}}})
	if err != nil {
		return nil, err
	}
	out := &adminpb.CreateTokenResponse{At: at, Id: t.ID, Token: t.String()}
	s.o.Store.View(func(st *state.State) { out.Until = tokenOf(st, t.ID).GetUntil() })
	return out, nil
}

func tokenOf(st *state.State, id string) *logpb.AccessToken {
	for _, t := range st.Tokens() {
		if t.GetId() == id {
			return t
		}
	}
	return nil
}

// invitation fills in what an enrolment token says.
func (s *Server) invitation(ctx context.Context, r *adminpb.CreateTokenRequest, n *logpb.AccessToken) (err error) {
	n.Use = logpb.TokenUse_TOKEN_USE_ENROLL
	if len(r.GetLabels()) > maxMatchers {
		return invalid("%d labels, and %d are the most", len(r.GetLabels()), maxMatchers)
	}
	for _, l := range r.GetLabels() {
		key, err := name("label", l.GetName())
		value, errValue := text("label's value", l.GetValue(), maxName)
		if err := first(err, errValue); err != nil {
			return err
		}
		n.Labels = append(n.Labels, &logpb.Label{Name: key, Value: value})
	}
	if r.GetHost() != "" {
		n.Host, err = s.host(ctx, r.GetHost())
	}
	return err
}

// ListTokens implements adminpb.AdminServer.
func (s *Server) ListTokens(ctx context.Context, r *adminpb.ListTokensRequest) (*adminpb.ListTokensResponse, error) {
	out := &adminpb.ListTokensResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		for _, t := range st.Tokens() {
			t = proto.CloneOf(t)
			t.Hash, t.UsedKey = nil, nil
			out.Tokens = append(out.Tokens, t)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// EndToken implements adminpb.AdminServer.
func (s *Server) EndToken(ctx context.Context, r *adminpb.EndTokenRequest) (*adminpb.EndTokenResponse, error) {
	who, err := by(r.GetBy())
	id, errID := name("token's ID", r.GetId())
	why, errWhy := because(r.GetReason())
	if err := first(err, errID, errWhy); err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_EndToken{EndToken: &logpb.EndToken{Id: id, By: who,
		Reason: why}}})
	return &adminpb.EndTokenResponse{At: at}, err
}

// RevokeIdentity implements adminpb.AdminServer.
func (s *Server) RevokeIdentity(
	ctx context.Context, r *adminpb.RevokeIdentityRequest,
) (*adminpb.RevokeIdentityResponse, error) {
	who, err := by(r.GetBy())
	said, errWhat := name("name of who is shut out", r.GetWhat())
	why, errWhy := because(r.GetReason())
	if err := first(err, errWhat, errWhy); err != nil {
		return nil, err
	}
	what, err := s.shutOut(ctx, said)
	if err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_RevokeIdentity{RevokeIdentity: &logpb.RevokeIdentity{
		What: what, By: who, Reason: why,
	}}})
	return &adminpb.RevokeIdentityResponse{At: at, What: what}, err
}

// shutOut is what somebody means: KIND/NAME, a serial number, or a host.
func (s *Server) shutOut(ctx context.Context, said string) (string, error) {
	var id string
	err := s.look(ctx, func(st *state.State) error {
		h, err := findHost(st, said)
		id = h.GetId()
		return err
	})
	serial := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(said, "serial/"), ":", ""))
	switch _, _, wrong := identity.ParseShort(said); {
	case err == nil:
		return "host/" + id, nil
	case wrong == nil:
		return said, nil
	case len(serial) >= 8 && identity.ValidSerial(serial):
		return "serial/" + serial, nil
	case strings.Contains(said, "/"):
		return "", invalid("%q: it must be a host, operator/NAME, controller/NODE, or the serial number of a certificate",
			said)
	}
	return "", err
}

// ListRevocations implements adminpb.AdminServer.
func (s *Server) ListRevocations(
	ctx context.Context, r *adminpb.ListRevocationsRequest,
) (*adminpb.ListRevocationsResponse, error) {
	out := &adminpb.ListRevocationsResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) { out.Revocations = copies(st.Revocations()) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// WhoAmI implements adminpb.AdminServer. Any node answers, with a leader or without.
func (s *Server) WhoAmI(ctx context.Context, _ *adminpb.WhoAmIRequest) (*adminpb.WhoAmIResponse, error) {
	out := &adminpb.WhoAmIResponse{ByWhat: string(access.ByNothing), Role: identity.Admin.String(),
		Node: s.o.Node.Standing().ID}
	if c, ok := access.Of(ctx); ok && c.How != "" {
		out.Name, out.Role, out.ByWhat = c.Name.ID, c.Name.Role.String(), string(c.How)
		if !c.Until.IsZero() {
			out.Until = c.Until.Round(time.Second).UnixNano()
		}
	}
	if s.o.Authorities != nil {
		out.Roots = s.o.Authorities.Roots()
	}
	return out, nil
}
