package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/agentpb"
)

// errForeign: whoever made the certificate makes the next one.
var errForeign = errors.New("the certificate comes from another authority than the one whose key is here (tls.ca_key); " +
	"who made it has to renew it")

// renewNode gives another node its next certificate. Nothing of it is in the log: whoever revokes a node revokes its
// name, which each of its certificates has.
func (s *Server) renewNode(c access.Caller, request []byte) (*agentpb.RenewResponse, error) {
	issued, err := s.node(c.Certificate(), request)
	switch {
	case errors.Is(err, errForeign):
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case err != nil:
		return nil, err
	}
	s.log.Info("certificate of a node renewed", "node", c.Name.ID, "old", c.Serial())
	return &agentpb.RenewResponse{Issued: issued}, nil
}

// Own is an enroll.Ask of this node itself, for the certificate that it has now.
func (s *Server) Own(now func() *x509.Certificate) func(context.Context, []byte) (*agentpb.Issued, error) {
	return func(_ context.Context, request []byte) (*agentpb.Issued, error) { return s.node(now(), request) }
}

// node signs a node's next certificate: for the names and addresses that the old one has.
func (s *Server) node(old *x509.Certificate, request []byte) (*agentpb.Issued, error) {
	name, err := identity.Of(old)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	key, err := keyOf(request)
	if err != nil {
		return nil, err
	}
	a := s.authority()
	switch {
	case a == nil:
		return nil, errIssues
	case old.CheckSignatureFrom(a.Certificate()) != nil:
		return nil, errForeign
	}
	addresses := append([]string{}, old.DNSNames...)
	for _, ip := range old.IPAddresses {
		addresses = append(addresses, ip.String())
	}
	c, err := s.issue(a, authority.Order{Name: name, Key: key, Addresses: addresses, Life: s.o.NodeLife})
	if err != nil {
		return nil, err
	}
	return s.issued(c), nil
}

// authority is the one whose key is here, nil if there is none.
func (s *Server) authority() *authority.Authority {
	if s.o.Authority == nil {
		return nil
	}
	return s.o.Authority()
}

// issue signs, or says in the log why it cannot.
func (s *Server) issue(a *authority.Authority, o authority.Order) (*x509.Certificate, error) {
	o.Now = s.o.Now()
	c, err := a.Issue(o)
	if err != nil {
		s.log.Error("cannot sign", "for", o.Name.Short(), "error", err)
		return nil, status.Error(codes.Internal, "the certificate could not be signed; the log of this node says why")
	}
	return c, nil
}

// keyOf is the key that a request asks for.
func keyOf(request []byte) (*ecdsa.PublicKey, error) {
	key, err := credential.ParseRequest(request)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return key, nil
}
