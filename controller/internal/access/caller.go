package access

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/limit"
)

// How a caller is known.
type How string

// Ways to know a caller.
const (
	ByCertificate How = "certificate"
	ByToken       How = "token"
	ByNothing     How = "nothing" // plain text on this machine: anybody may do anything
)

// Caller is who makes a call.
type Caller struct {
	Name  identity.Name // zero: nobody that is known
	How   How
	Until time.Time // the end of the certificate, or in log time of the token; zero: none

	cert   *x509.Certificate // nil: the caller showed none
	serial string            // of it
	token  identity.Token
}

// Shown is what came with a call over HTTP.
type Shown struct {
	Peer    *x509.Certificate // nil: none
	Bearer  string            // token, "": none
	Address string
}

// Serial is the number of the caller's certificate, "" if it showed none.
func (c Caller) Serial() string { return c.serial }

// Certificate is the caller's, nil if it showed none. It is not to be changed.
func (c Caller) Certificate() *x509.Certificate { return c.cert }

// certified is the caller whom a certificate names.
func certified(name identity.Name, c *x509.Certificate) Caller {
	return Caller{Name: name, How: ByCertificate, Until: c.NotAfter, cert: c, serial: identity.Serial(c)}
}

type callerKey struct{}
type shownKey struct{}

// Of is the caller of the call with this context.
func Of(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// With says what came with a call that did not come over gRPC.
func With(ctx context.Context, s Shown) context.Context { return context.WithValue(ctx, shownKey{}, s) }

// shown is what came with a call.
func shown(ctx context.Context) Shown {
	if s, ok := ctx.Value(shownKey{}).(Shown); ok {
		return s
	}
	var s Shown
	if p, ok := peer.FromContext(ctx); ok {
		s.Address = p.Addr.String()
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
			s.Peer = info.State.PeerCertificates[0]
		}
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if values := md.Get("authorization"); len(values) > 0 {
			s.Bearer = Bearer(values[0])
		}
	}
	return s
}

// Bearer is the token in an Authorization header, "" if there is none.
func Bearer(header string) string {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

// known says who shows this. Somebody who shows nothing is nobody, and no error.
func (g *Gate) known(s Shown) (Caller, error) {
	switch {
	case g.o.Plain:
		return Caller{Name: identity.Name{Kind: identity.Operator, Role: identity.Admin}, How: ByNothing}, nil
	case s.Peer != nil && s.Bearer == "":
		name, err := g.name(s.Peer)
		if err != nil {
			return Caller{}, status.Error(codes.Unauthenticated, err.Error())
		}
		return certified(name, s.Peer), nil
	case s.Bearer != "":
		return g.byToken(s)
	}
	return Caller{}, nil
}

// Peer judges a certificate whose signature is good, for pkg/transport: whoever was shut out does not come through
// the handshake.
func (g *Gate) Peer(c *x509.Certificate) error {
	_, err := g.name(c)
	return err
}

// PeerOf is Peer for a port that only one kind may use.
func (g *Gate) PeerOf(kind identity.Kind) func(*x509.Certificate) error {
	return func(c *x509.Certificate) error {
		name, err := g.name(c)
		if err == nil && name.Kind != kind {
			err = errors.New("this is for a " + string(kind) + ", and not for " + name.Short())
		}
		return err
	}
}

func (g *Gate) name(c *x509.Certificate) (identity.Name, error) {
	name, err := identity.Of(c)
	if err != nil {
		return identity.Name{}, err
	}
	why := ""
	g.o.Replica.View(func(st *state.State) { why = st.Barred(name.Short(), identity.Serial(c)) })
	if why != "" {
		return identity.Name{}, errors.New(why)
	}
	if g.o.Now().After(c.NotAfter) { // on a connection that is older
		return identity.Name{}, errors.New("the certificate of " + name.Short() + " has ended")
	}
	return name, nil
}

// byToken looks a token up. Who failed too often is not listened to for a while.
func (g *Gate) byToken(s Shown) (Caller, error) {
	now := g.o.Now()
	if !g.failures.Ok(limit.Origin(s.Address), now) {
		g.limited.Add(1)
		return Caller{}, status.Error(codes.ResourceExhausted, "too many wrong tokens; try again in a moment")
	}
	t, err := identity.ParseToken(s.Bearer)
	var c Caller
	ok := false
	if err == nil && t.Use == identity.Access {
		c, ok = g.holder(t)
	}
	if !ok {
		g.wrong.Add(1)
		g.failures.Take(limit.Origin(s.Address), now)
		g.log.Warn("wrong token", "from", s.Address, "token", t.ID)
		return Caller{}, status.Error(codes.Unauthenticated, "the token is wrong, or it has ended")
	}
	return c, nil
}

// holder is who holds a token now.
func (g *Gate) holder(t identity.Token) (c Caller, ok bool) {
	g.o.Replica.View(func(st *state.State) {
		var until int64
		c.Name, until, ok = st.Access(t.ID, t.Hash())
		c.How, c.token, c.Until = ByToken, t, time.Unix(0, until)
	})
	return c, ok
}

// ended reports whether the certificate of a caller has. A token ends by log time.
func (g *Gate) ended(c Caller) bool { return c.How == ByCertificate && g.o.Now().After(c.Until) }

// still reports whether a caller who was let in may stay.
func (g *Gate) still(c Caller) bool {
	switch c.How {
	case ByCertificate:
		why := ""
		g.o.Replica.View(func(st *state.State) { why = st.Barred(c.Name.Short(), c.serial) })
		return why == "" && !g.ended(c)
	case ByToken:
		now, ok := g.holder(c.token)
		return ok && now.Name == c.Name
	}
	return true
}
