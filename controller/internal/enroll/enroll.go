// Package enroll gives hosts their certificates: the first one for a token, each next one for the one before. A
// certificate leaves this node only after the log has it, so that a token is used once, whoever leads, and who was
// shut out gets no more.
package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/limit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Limits of asking: a fleet behind one address may come at once, and nobody may come for ever.
const (
	askBurst, askEvery       = 50, time.Second
	askAllBurst, askAllEvery = 500, 20 * time.Millisecond
	// One host renews once in two thirds of its certificate's life; a few times in a row if answers are lost.
	renewBurst, renewEvery = 5, time.Minute
	renewShare             = 4 // of a short life
	maxName                = 256
)

// Proposer brings a command into the log. Only the leader's does.
type Proposer interface {
	Propose(ctx context.Context, c *logpb.Command) (*logpb.Result, uint64, error)
	// Ready fails where another node leads; on the leader the copy of the state is complete once it returns.
	Ready(ctx context.Context) error
}

// Options of New. Proposer and Roots are mandatory.
type Options struct {
	Proposer Proposer
	// Authority signs; nil: this node has no key of one and gives no certificates.
	Authority func() *authority.Authority
	// Known is this node's copy of the state: whoever guesses tokens does not fill the log. A node that does not lead may
	// lack the newest ones, so only the leader says no by it. nil: the log judges alone.
	Known interface{ View(func(*state.State)) }
	// Roots are the authorities that may name a node, as PEM.
	Roots func() []byte
	// Life of a host's certificate; 0: authority.HostLife.
	Life time.Duration
	// NodeLife is that of a node's; 0: authority.NodeLife.
	NodeLife time.Duration
	Log      hclog.Logger
	Now      func() time.Time // nil: the wall clock
}

// Server answers agents.
type Server struct {
	agentpb.UnimplementedEnrollmentServer
	o    Options
	log  hclog.Logger
	asks *limit.Limiter
	news *limit.Limiter // renewals, by host

	refused atomic.Uint64
}

// Refused is how many enrolments were refused since the start: for their token, or because too many had come.
func (s *Server) Refused() uint64 { return s.refused.Load() }

var _ agentpb.EnrollmentServer = (*Server)(nil)

// New makes the service.
func New(o Options) (*Server, error) {
	switch {
	case o.Proposer == nil:
		return nil, errors.New("start enrolment: option Proposer is missing")
	case o.Roots == nil:
		return nil, errors.New("start enrolment: option Roots is missing")
	}
	if o.Life == 0 {
		o.Life = authority.HostLife
	}
	if o.NodeLife == 0 {
		o.NodeLife = authority.NodeLife
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = clock.Wall
	}
	return &Server{o: o, log: o.Log.Named("enroll"),
		asks: limit.New(askBurst, askEvery, askAllBurst, askAllEvery),
		news: limit.New(renewBurst, min(renewEvery, min(o.Life, o.NodeLife)/renewShare), askAllBurst, askAllEvery)}, nil
}

// Register adds the service to a gRPC server.
func (s *Server) Register(g *grpc.Server) { agentpb.RegisterEnrollmentServer(g, s) }

// errIssues is the answer of a node that cannot sign.
var errIssues = status.Error(codes.FailedPrecondition,
	"this node has no key of an authority (tls.ca_key), so it gives no "+
		"certificates: they come from the authority that the tls block of the nodes' files names")

// Enroll implements agentpb.EnrollmentServer.
func (s *Server) Enroll(ctx context.Context, r *agentpb.EnrollRequest) (*agentpb.EnrollResponse, error) {
	from := ""
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	if !s.asks.Try(from, s.o.Now()) {
		s.refused.Add(1)
		return nil, reason.Error(codes.ResourceExhausted, reason.Busy, nil, askEvery,
			"too many enrolments; try again in a moment")
	}
	token, err := identity.ParseToken(r.GetToken())
	if err != nil || token.Use != identity.Enroll {
		return nil, status.Error(codes.InvalidArgument, "this is no enrolment token")
	}
	invited, err := s.invited(ctx, token)
	if err != nil {
		return nil, failed(err)
	}
	if !invited {
		s.refused.Add(1)
		s.log.Warn("enrolment refused", "from", from, "host", r.GetHost(), "token", token.ID)
		return nil, reason.Error(codes.PermissionDenied, "token", nil, 0, state.BadToken)
	}
	if len(r.GetName()) > maxName {
		return nil, status.Errorf(codes.InvalidArgument, "a name of more than %d bytes", maxName)
	}
	key, cert, err := s.sign(r.GetHost(), r.GetRequest())
	if err != nil {
		return nil, err
	}
	origin := &logpb.Origin{Address: access.Origin(ctx).GetAddress(), Credential: access.TokenCredential(token.ID)}
	err = s.propose(ctx, &logpb.Command{From: origin, What: &logpb.Command_Enroll{Enroll: &logpb.Enroll{
		Token: token.ID, Hash: token.Hash(), Host: r.GetHost(), Name: r.GetName(), Key: key, Certificate: record(cert),
	}}})
	if status.Code(err) == codes.PermissionDenied { // and not because another node leads, which the agent asks next
		s.refused.Add(1)
		s.log.Warn("enrolment refused", "from", from, "host", r.GetHost(), "token", token.ID, "error", err)
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("host enrolled", "from", from, "host", r.GetHost(), "name", r.GetName(), "token", token.ID,
		"serial", identity.Serial(cert))
	return &agentpb.EnrollResponse{Issued: s.issued(cert)}, nil
}

// invited reports whether the token is known. Only the leader says no: others may not have heard of it yet.
func (s *Server) invited(ctx context.Context, t identity.Token) (ok bool, err error) {
	if s.o.Known == nil {
		return true, nil
	}
	look := func(st *state.State) { ok = st.Invited(t.ID, t.Hash()) }
	if s.o.Known.View(look); !ok {
		if err := s.o.Proposer.Ready(ctx); err != nil {
			return false, err
		}
		s.o.Known.View(look)
	}
	return ok, nil
}

// Renew implements agentpb.EnrollmentServer.
func (s *Server) Renew(ctx context.Context, r *agentpb.RenewRequest) (*agentpb.RenewResponse, error) {
	c, ok := access.Of(ctx)
	if !ok || c.How != access.ByCertificate {
		return nil, status.Error(codes.Unauthenticated, "a certificate is renewed by showing it")
	}
	if !s.news.TryKey(asKey(c.Name.ID), s.o.Now()) {
		return nil, reason.Error(codes.ResourceExhausted, reason.Busy, nil, renewEvery, "renewed too often; try again later")
	}
	if c.Name.Kind == identity.Controller {
		return s.renewNode(c, r.GetRequest())
	}
	_, cert, err := s.sign(c.Name.ID, r.GetRequest())
	if err != nil {
		return nil, err
	}
	err = s.propose(ctx, &logpb.Command{From: access.Origin(ctx), What: &logpb.Command_Renew{Renew: &logpb.Renew{
		Host: c.Name.ID, Old: c.Serial(), Certificate: record(cert),
	}}})
	if err != nil {
		return nil, err
	}
	s.log.Debug("certificate renewed", "host", c.Name.ID, "serial", identity.Serial(cert))
	return &agentpb.RenewResponse{Issued: s.issued(cert)}, nil
}

// sign makes the certificate that is given if the log agrees.
func (s *Server) sign(host string, request []byte) (key []byte, c *x509.Certificate, err error) {
	name := identity.Name{Kind: identity.Host, ID: host}
	if err := name.Check(); err != nil {
		return nil, nil, status.Error(codes.InvalidArgument, err.Error())
	}
	pub, err := keyOf(request)
	if err != nil {
		return nil, nil, err
	}
	a := s.authority()
	if a == nil {
		return nil, nil, errIssues
	}
	if c, err = s.issue(a, authority.Order{Name: name, Key: pub, Life: s.o.Life}); err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return sum[:], c, nil
}

func record(c *x509.Certificate) *logpb.Certificate {
	return &logpb.Certificate{Serial: identity.Serial(c), NotAfter: c.NotAfter.UnixNano()}
}

func (s *Server) issued(c *x509.Certificate) *agentpb.Issued {
	return &agentpb.Issued{Chain: credential.EncodeCerts(c), Roots: s.o.Roots()}
}

// propose brings the command into the log, or says why it is not there.
func (s *Server) propose(ctx context.Context, c *logpb.Command) error {
	r, _, err := s.o.Proposer.Propose(ctx, c)
	switch {
	case err != nil:
		return failed(err)
	case r.GetRefusal() != nil:
		return reason.Error(codes.PermissionDenied, r.GetRefusal().GetCode(), nil, 0, r.GetRefusal().GetText())
	}
	return nil
}

// failed is the answer where the log could not be asked.
func failed(err error) error {
	var other arbiter.ErrNotLeader
	if !errors.As(err, &other) {
		return status.Error(codes.Unavailable, err.Error())
	}
	return reason.Error(codes.FailedPrecondition, reason.NotLeader,
		map[string]string{"leader": other.ID, "address": other.Address}, 0, other.Error())
}

// asKey is a host's or node's ID as what limits count.
func asKey(id string) netip.Addr {
	sum := sha256.Sum256([]byte(id))
	return netip.AddrFrom16([16]byte(sum[:16]))
}
