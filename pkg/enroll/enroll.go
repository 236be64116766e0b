// Package enroll gets a program its identity and keeps it: a key that is made here and never leaves, for a host its
// first certificate for a token, and for hosts and nodes of the controller each next one for the one before.
package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
)

const (
	askTime = 15 * time.Second // of one node
	maxHops = 8

	electionTime  = 30 * time.Second // how long Enroll waits for a leader
	electionPause = 500 * time.Millisecond
)

// errNoLeader: each node that answered said that it does not lead, so that nothing was done.
var errNoLeader = errors.New("no node of the controller leads")

// ErrPlain: the token is of a controller that speaks plain text.
var ErrPlain = errors.New("this token names no authority: its controller speaks plain text, and there is nothing to enrol for")

// Options of Enroll. All are mandatory.
type Options struct {
	Addresses []string // nodes of the controller
	Token     string
	Host      string // ID
	Name      string
	Path      string // of the file with key, certificate and authorities
}

// Enroll makes a key, gets a certificate for it, and writes both down. A machine that has one already gets another. While
// the controller elects a leader it waits, for 30 s at most.
func Enroll(ctx context.Context, o Options) error {
	token, err := identity.ParseToken(o.Token)
	switch {
	case err != nil:
		return err
	case token.Use != identity.Enroll:
		return errors.New("this token is an operator's, and none for an enrolment")
	case len(token.Pin) == 0:
		return ErrPlain
	}
	key, request, err := newRequest()
	if err != nil {
		return err
	}
	lines, err := transport.New(transport.Options{Pin: token.Pin, Authorize: Controller})
	if err != nil {
		return err
	}
	issued, err := askLeader(ctx, lines, o.Addresses, func(ctx context.Context, c agentpb.EnrollmentClient) (*agentpb.Issued,
		error) {
		r, err := c.Enroll(ctx, &agentpb.EnrollRequest{Token: o.Token, Host: o.Host, Name: o.Name, Request: request})
		return r.GetIssued(), err
	})
	if err != nil {
		return fmt.Errorf("enroll: %w", err)
	}
	return keep(o.Path, identity.Name{Kind: identity.Host, ID: o.Host}, key, issued)
}

// newRequest is a new key and what asks for a certificate for it.
func newRequest() (*ecdsa.PrivateKey, []byte, error) {
	key, err := credential.NewKey()
	if err != nil {
		return nil, nil, err
	}
	request, err := credential.Request(key)
	return key, request, err
}

// Controller lets only nodes of the controller be the other end.
func Controller(peer *x509.Certificate) error {
	name, err := identity.Of(peer)
	if err == nil && name.Kind != identity.Controller {
		err = fmt.Errorf("it is %s, and no controller", name.Short())
	}
	return err
}

// question is one call.
type question func(context.Context, agentpb.EnrollmentClient) (*agentpb.Issued, error)

// askLeader asks again while nobody leads.
func askLeader(ctx context.Context, lines *transport.Transport, addresses []string, q question) (*agentpb.Issued, error) {
	patience, pause := time.NewTimer(electionTime), time.NewTicker(electionPause)
	defer patience.Stop()
	defer pause.Stop()
	for {
		issued, err := ask(ctx, lines, addresses, q)
		if !errors.Is(err, errNoLeader) {
			return issued, err
		}
		select {
		case <-pause.C:
		case <-patience.C:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

// ask goes from node to node, and to those that they name, until one answers. Errors: errNoLeader.
func ask(ctx context.Context, lines *transport.Transport, addresses []string, q question) (*agentpb.Issued, error) {
	queue, asked := slices.Clone(addresses), []string{}
	var failed error
	leaderless, refused := false, false
	for len(queue) > 0 && len(asked) < maxHops {
		address := queue[0]
		queue = queue[1:]
		if slices.Contains(asked, address) {
			continue
		}
		asked = append(asked, address)
		issued, err := one(ctx, lines, address, q)
		if err == nil {
			return issued, nil
		}
		leader, elsewhere := hint(err)
		_, answered := status.FromError(err)
		leaderless, refused = leaderless || elsewhere, refused || answered && !elsewhere
		if leader != "" {
			queue = append([]string{leader}, queue...)
		}
		if failed == nil || !elsewhere { // what the leader says counts
			failed = fmt.Errorf("ask %s: %w", address, plain(err))
		}
	}
	switch {
	case failed == nil:
		failed = errors.New("no address of the controller")
	case leaderless && !refused:
		failed = fmt.Errorf("%w: %w", errNoLeader, failed)
	}
	return nil, failed
}

func one(ctx context.Context, lines *transport.Transport, address string, q question) (*agentpb.Issued, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	probe, err := lines.Dial(ctx, address) // gRPC would say in its own words why it cannot
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	conn, err := lines.Client(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return q(ctx, agentpb.NewEnrollmentClient(conn))
}

// hint is the leader's address in the answer of a node that does not lead.
func hint(err error) (address string, elsewhere bool) {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() == "NOT_LEADER" {
			return info.GetMetadata()["address"], true
		}
	}
	return "", false
}

// plain is an error in its own words.
func plain(err error) error {
	if st, ok := status.FromError(err); ok {
		return errors.New(st.Message())
	}
	return err
}

// keep checks what was given as if it came from an enemy, and writes it down in one piece.
func keep(path string, own identity.Name, key *ecdsa.PrivateKey, issued *agentpb.Issued) error {
	chain, err := credential.Certificates(issued.GetChain())
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	roots, err := credential.Roots(issued.GetRoots())
	if err != nil {
		return fmt.Errorf("read authorities: %w", err)
	}
	name, err := identity.Of(chain[0])
	switch {
	case err != nil:
		return err
	case name.Short() != own.Short():
		return fmt.Errorf("the certificate is for %s, and this is %s", name.Short(), own.Short())
	case !key.PublicKey.Equal(chain[0].PublicKey):
		return errors.New("the certificate is for another key")
	}
	text, err := credential.EncodeKey(key)
	if err != nil {
		return err
	}
	text = slices.Concat(text, credential.EncodeCerts(chain...), credential.EncodeCerts(roots...))
	if _, err := credential.Parse(text); err != nil {
		return err
	}
	if err := durable.Write(path, text, 0o600); err != nil {
		return fmt.Errorf("keep certificate: %w", err)
	}
	return nil
}
